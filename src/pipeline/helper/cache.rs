//! `cache-extractor` and `cache-archiver`, for caches on this machine.

use std::path::{Path, PathBuf};

use crate::pipeline::helper::{Failure, Log, Selection, files, pack, unpack};

/// Unpacks a cache into `folder`; a cold cache is a failure that the script forgives.
pub fn extract(file: &Path, folder: &Path, log: &mut Log<'_>) -> Result<(), Failure> {
    log.platform();
    log.info(
        "No URL provided, cache will not be downloaded from shared cache server. Instead a local \
         version of cache will be extracted.",
        &[],
    );
    let Ok(archive) = std::fs::File::open(file) else {
        log.warn("Cache file does not exist", &[]);
        return Err(Failure::Fatal(String::new()));
    };
    let unpacked = unpack::unzip(std::io::BufReader::new(archive), folder)
        .map_err(|error| Failure::Fatal(format!("extracting cache: {error}")))?;
    for name in unpacked.0 {
        log.warn(&format!("{name}: leaves the project directory, not extracted"), &[]);
    }
    Ok(())
}

/// Packs a cache; an older one stays until the new one is complete.
pub fn archive(file: &Path, selection: &Selection, log: &mut Log<'_>) -> Result<(), Failure> {
    log.platform();
    let paths = files::select(selection, log);
    if is_current(file, &selection.folder, &paths) {
        log.info("Archive is up to date!", &[]);
        return Ok(());
    }
    write(file, &selection.folder, &paths)
        .map_err(|error| Failure::Fatal(format!("{}: {error}", file.display())))?;
    log.info(
        "No URL provided, cache will not be uploaded to shared cache server. Cache will be stored \
         only locally.",
        &[],
    );
    Ok(())
}

fn write(file: &Path, folder: &Path, paths: &[PathBuf]) -> std::io::Result<()> {
    let parent = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let mut packed = tempfile::NamedTempFile::new_in(parent)?;
    pack::zip(folder, paths, packed.as_file_mut())?;
    packed.persist(file).map(drop).map_err(|error| error.error)
}

/// True when the archive is newer than all that goes into it.
fn is_current(file: &Path, folder: &Path, paths: &[PathBuf]) -> bool {
    let changed = |path: &Path| std::fs::symlink_metadata(path).and_then(|found| found.modified());
    let Ok(archived) = changed(file) else { return false };
    paths.iter().all(|path| changed(&folder.join(path)).is_ok_and(|changed| changed <= archived))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_comes_back_and_a_cold_one_is_told() {
        let outer = tempfile::tempdir().unwrap();
        let (from, to) = (outer.path().join("from"), outer.path().join("to"));
        for folder in [&from, &to] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(from.join("stamp"), "2026").unwrap();
        let file = outer.path().join("cache/g/p/key/cache.zip");
        let mut out: Vec<u8> = Vec::new();
        assert!(extract(&file, &to, &mut Log::new(&mut out)).is_err());
        let selection =
            Selection { folder: from, paths: vec!["stamp".to_owned()], ..Selection::default() };
        for _ in 0..2 {
            assert_eq!(archive(&file, &selection, &mut Log::new(&mut out)), Ok(()));
        }
        assert_eq!(extract(&file, &to, &mut Log::new(&mut out)), Ok(()));
        assert_eq!(std::fs::read_to_string(to.join("stamp")).unwrap(), "2026");
        let told = String::from_utf8(out).unwrap();
        assert!(told.contains("WARNING: Cache file does not exist"), "{told}");
        assert!(told.contains("Archive is up to date!"), "{told}");
    }
}
