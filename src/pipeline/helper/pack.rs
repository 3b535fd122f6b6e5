//! Packing: zip with modes, links and times; gzip, a member a file; raw for a single file.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zip::write::{SimpleFileOptions, ZipWriter};

/// Packs files and folders into a zip.
pub fn zip<W: Write + Seek>(folder: &Path, paths: &[PathBuf], out: W) -> io::Result<W> {
    let mut writer = ZipWriter::new(out);
    for path in paths {
        let from = folder.join(path);
        let found = std::fs::symlink_metadata(&from)?;
        let name = path.to_string_lossy().into_owned();
        let mut options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .unix_permissions(found.mode() & 0o7777)
            .large_file(found.len() > u64::from(u32::MAX) / 2);
        if let Some(time) = time(&found) {
            options = options.last_modified_time(time);
        }
        if found.is_symlink() {
            let target = std::fs::read_link(&from)?;
            writer.add_symlink(name, target.to_string_lossy().into_owned(), options)?;
        } else if found.is_dir() {
            writer.add_directory(name, options)?;
        } else if found.is_file() {
            writer.start_file(name, options)?;
            io::copy(&mut File::open(&from)?, &mut writer)?;
        }
        // Sockets, devices and pipes are no artifacts.
    }
    Ok(writer.finish()?)
}

/// A zip's time has no zone: UTC, as Go writes it.
fn time(found: &std::fs::Metadata) -> Option<zip::DateTime> {
    let moment = jiff::Timestamp::from_second(found.mtime()).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(moment.year()).ok()?,
        part(moment.month())?,
        part(moment.day())?,
        part(moment.hour())?,
        part(moment.minute())?,
        part(moment.second())?,
    )
    .ok()
}

/// Packs files one after the other, each as a gzip member of its own.
pub fn gzip<W: Write>(folder: &Path, paths: &[PathBuf], mut out: W) -> io::Result<W> {
    for path in files(folder, paths) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut member = flate2::GzBuilder::new()
            .filename(name.unwrap_or_default())
            .comment(path.to_string_lossy().into_owned())
            .write(out, flate2::Compression::default());
        io::copy(&mut File::open(folder.join(path))?, &mut member)?;
        out = member.finish()?;
    }
    Ok(out)
}

/// Takes the one file as it is.
pub fn raw<W: Write>(folder: &Path, paths: &[PathBuf], mut out: W) -> io::Result<W> {
    let files = files(folder, paths);
    let [path] = files.as_slice() else {
        return Err(io::Error::other("only one file can be sent as raw"));
    };
    io::copy(&mut File::open(folder.join(path))?, &mut out)?;
    Ok(out)
}

fn files<'a>(folder: &Path, paths: &'a [PathBuf]) -> Vec<&'a PathBuf> {
    let is_file = |path: &&PathBuf| {
        std::fs::symlink_metadata(folder.join(path)).is_ok_and(|found| found.is_file())
    };
    paths.iter().filter(is_file).collect()
}
