//! Unpacking a zip that somebody else made: nothing lands outside, and nothing is reached by links.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

/// What was refused in an archive, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refused(pub Vec<String>);

/// Unpacks into `folder`; an entry that leaves it is left out and named.
pub fn unzip<R: Read + Seek>(from: R, folder: &Path) -> io::Result<Refused> {
    let mut archive = ZipArchive::new(from)?;
    let mut refused = Refused::default();
    // Links come last: until then no entry can be written through one of them.
    let mut links = Vec::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        let name = entry.name().to_owned();
        let Some(path) = safe_path(&name) else {
            refused.0.push(name);
            continue;
        };
        if entry.is_symlink() {
            let mut target = String::new();
            entry.by_ref().take(4096).read_to_string(&mut target)?;
            links.push((name, path, target));
            continue;
        }
        if !parents_are_folders(folder, &path)? {
            refused.0.push(name);
            continue;
        }
        if entry.is_dir() {
            make_folder(folder, &path)?;
        } else {
            write_file(&mut entry, &folder.join(&path))?;
        }
    }
    for (name, path, target) in links {
        if !stays_inside(&path, &target) || !parents_are_folders(folder, &path)? {
            refused.0.push(name);
            continue;
        }
        let at = folder.join(&path);
        remove(&at)?;
        std::os::unix::fs::symlink(&target, &at)?;
    }
    Ok(refused)
}

/// The entry's path, when it is relative and has no `..` in it.
fn safe_path(name: &str) -> Option<PathBuf> {
    if name.contains(['\0', '\\']) {
        return None;
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

/// True when a link at `path` to `target` points to somewhere below the folder.
fn stays_inside(path: &Path, target: &str) -> bool {
    let target = Path::new(target);
    if target.is_absolute() {
        return false;
    }
    let mut depth = path.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// Makes the folders above `path`; false when one of them is something else, such as a link.
fn parents_are_folders(folder: &Path, path: &Path) -> io::Result<bool> {
    let mut at = folder.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::create_dir(&at)?,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn make_folder(folder: &Path, path: &Path) -> io::Result<()> {
    let at = folder.join(path);
    match std::fs::symlink_metadata(&at) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => std::fs::remove_file(&at).and_then(|()| std::fs::create_dir(&at)),
        Err(_) => std::fs::create_dir(&at),
    }
}

/// Removes what is in the way, a link itself and not what it points to.
fn remove(at: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(at),
        Ok(_) => std::fs::remove_file(at),
        Err(_) => Ok(()),
    }
}

fn write_file(entry: &mut ZipFile<'_, impl Read>, at: &Path) -> io::Result<()> {
    let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
    remove(at)?;
    // `create_new` does not follow a link that comes into being meanwhile.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(at)?;
    io::copy(entry, &mut file)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(make: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Cursor<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        make(&mut writer);
        writer.finish().unwrap()
    }

    fn file(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, content: &str) {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }

    #[test]
    fn nothing_lands_outside_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("project");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(outer.path(), folder.join("there")).unwrap();
        let options = SimpleFileOptions::default();
        let archive = archive(|writer| {
            file(writer, "../slipped", "x");
            file(writer, "/tmp/slipped", "x");
            file(writer, "a/../../slipped", "x");
            file(writer, "there/slipped", "x");
            writer.add_symlink("up", "..", options).unwrap();
            file(writer, "up/slipped", "x");
            writer.add_symlink("abs", "/etc", options).unwrap();
            writer.add_symlink("sub/ok", "../fine", options).unwrap();
            file(writer, "fine", "content");
        });
        let refused = unzip(archive, &folder).unwrap();
        assert_eq!(
            refused.0,
            ["../slipped", "/tmp/slipped", "a/../../slipped", "there/slipped", "up", "abs"]
        );
        assert_eq!(std::fs::read_to_string(folder.join("sub/ok")).unwrap(), "content");
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
        // `up` was a folder by then: what was meant to go through the link lies inside.
        assert_eq!(std::fs::read_to_string(folder.join("up/slipped")).unwrap(), "x");
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        let (folder, secret) = (outer.path().join("project"), outer.path().join("secret"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&secret, "kept").unwrap();
        std::os::unix::fs::symlink(&secret, folder.join("file")).unwrap();
        unzip(archive(|writer| file(writer, "file", "new")), &folder).unwrap();
        assert_eq!(std::fs::read_to_string(secret).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), "new");
    }

    #[test]
    fn what_is_packed_comes_back_with_modes_and_links() {
        let outer = tempfile::tempdir().unwrap();
        let (from, to) = (outer.path().join("from"), outer.path().join("to"));
        std::fs::create_dir_all(from.join("d/empty")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("d/run"), "#!").unwrap();
        std::fs::set_permissions(from.join("d/run"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        std::os::unix::fs::symlink("run", from.join("d/link")).unwrap();
        let paths = ["d", "d/empty", "d/link", "d/run"].map(PathBuf::from);
        let packed = crate::pipeline::helper::pack::zip(&from, &paths, Cursor::new(Vec::new()));
        assert_eq!(unzip(packed.unwrap(), &to).unwrap(), Refused::default());
        assert!(to.join("d/empty").is_dir());
        let mode = std::fs::metadata(to.join("d/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(std::fs::read_link(to.join("d/link")).unwrap(), Path::new("run"));
    }
}
