//! The helper: a container of dyno's own for git, cache and artifacts, which any image may lack.
//!
//! Its image holds empty folders; its programs are the host's, bound read-only. Nothing is pulled.

use std::io;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::engine::{failed, is_missing};
use crate::environment::Error;

const NAME: &str = "dyno-helper";
/// Changes with what [`archive`] makes.
const TAG: &str = "1";

/// Folders of the host that the helper sees, read-only, where they are.
pub const FOLDERS: [&str; 5] =
    ["/usr", "/etc/ssl", "/etc/alternatives", "/etc/ca-certificates", "/etc/pki"];

const EMPTY: [&str; 17] = [
    "builds",
    "cache",
    "dev",
    "etc",
    "etc/alternatives",
    "etc/ca-certificates",
    "etc/pki",
    "etc/ssl",
    "home",
    "home/job",
    "proc",
    "root",
    "run",
    "run/dyno",
    "sys",
    "usr",
    "var",
];

/// The name of the helper's image.
pub fn image() -> String {
    format!("{NAME}:{TAG}")
}

/// Makes the helper's image unless it is here.
pub async fn ensure(engine: &Docker) -> Result<(), Error> {
    match engine.inspect_image(&image()).await {
        Ok(_) => return Ok(()),
        Err(answer) if is_missing(&answer) => {}
        Err(answer) => return Err(failed("look at the helper's image")(answer)),
    }
    let archive = archive().map_err(Error::process("write the helper's image"))?;
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(NAME).tag(TAG).build();
    let body = bollard::body_full(archive.into());
    let mut events = engine.create_image(Some(options), Some(body), None);
    while let Some(event) = events.next().await {
        event.map_err(failed("make the helper's image"))?;
    }
    Ok(())
}

/// An archive of empty folders, the links of a merged `/usr`, and the users that programs expect.
fn archive() -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, link: Option<&str>, text: &str| {
        let mut head = tar::Header::new_gnu();
        head.set_entry_type(kind);
        head.set_mode(mode);
        head.set_uid(0);
        head.set_gid(0);
        head.set_size(u64::try_from(text.len()).unwrap_or(0));
        match link {
            Some(link) => tar.append_link(&mut head, path, link),
            None => tar.append_data(&mut head, path, text.as_bytes()),
        }
    };
    for folder in EMPTY {
        add(&format!("{folder}/"), tar::EntryType::Directory, 0o755, None, "")?;
    }
    for folder in ["tmp/", "var/tmp/"] {
        add(folder, tar::EntryType::Directory, 0o1777, None, "")?;
    }
    for (link, to) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib32", "usr/lib32"),
        ("lib64", "usr/lib64"),
        ("libx32", "usr/libx32"),
    ] {
        add(link, tar::EntryType::Symlink, 0o777, Some(to), "")?;
    }
    for (file, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ] {
        add(file, tar::EntryType::Regular, 0o644, None, text)?;
    }
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_folders_and_links_and_no_program() {
        let archive = archive().unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        for path in ["builds/", "usr/", "tmp/", "bin", "etc/passwd"] {
            assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
        }
    }
}
