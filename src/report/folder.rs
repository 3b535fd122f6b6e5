//! The report folder, `dyno-report/`: files are replaced whole, links in it are never followed.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::report::{dotenv, junit};

/// What can go wrong with report files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made.
    #[error("cannot make the report folder `{path}`")]
    Make {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is something else under its name.
    #[error("the report folder `{0}` is not a folder")]
    NotAFolder(PathBuf),
    /// A file in it cannot be read.
    #[error("cannot read the report file `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file in it cannot be written.
    #[error("cannot write the report file `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The dotenv file would not be taken by GitLab.
    #[error("cannot write `{path}`")]
    Dotenv {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: dotenv::Error,
    },
}

/// A report folder that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// Larger files than this are not read back: no honest report is.
const READ_LIMIT: u64 = 32 * 1024 * 1024;

impl Folder {
    /// The name used when the user names none.
    pub const DEFAULT: &'static str = "dyno-report";

    /// Makes the folder where it is missing.
    pub fn create(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path)
            .map_err(|source| Error::Make { path: path.to_owned(), source })?;
        if !path.is_dir() {
            return Err(Error::NotAFolder(path.to_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Replaces a file. It is written beside its place and moved there, so a reader never sees half
    /// of it and a link under its name is replaced, not followed.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        self.replace(&path, content).map_err(|source| Error::Write { path, source })
    }

    fn replace(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(content)?;
        // The runner's upload may run under another user.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Reads a file; `None` when it is not there. Bytes that are no UTF-8 are replaced.
    pub fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(READ_LIMIT).read_to_end(&mut bytes))
            .map_err(|source| Error::Read { path, source })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Merges variables into `dyno.env`, the dotenv report.
    pub fn merge_dotenv(&self, entries: &[(String, String)]) -> Result<(), Error> {
        let name = "dyno.env";
        let before = self.read(name)?.unwrap_or_default();
        let merged = dotenv::merge(&before, entries)
            .map_err(|source| Error::Dotenv { path: self.path.join(name), source })?;
        self.write(name, merged.as_bytes())
    }

    /// Puts a suite into `junit.xml` in place of the one with its name. Returns a warning when what
    /// was there could not be kept.
    pub fn merge_junit(&self, suite: &junit::Suite) -> Result<Option<String>, Error> {
        let name = "junit.xml";
        let before = self.read(name)?.unwrap_or_default();
        let merged = junit::merge(&before, suite);
        self.write(name, merged.text.as_bytes())?;
        Ok(merged.warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_folder_is_replaced_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let precious = root.path().join("precious");
        std::fs::write(&precious, "keep").unwrap();
        let folder = Folder::create(&root.path().join("a/report")).unwrap();
        std::os::unix::fs::symlink(&precious, folder.path.join("load.json")).unwrap();
        assert_eq!(folder.read("load.json").unwrap(), None);
        folder.write("load.json", b"{}").unwrap();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
        assert_eq!(folder.read("load.json").unwrap().as_deref(), Some("{}"));
        let mode = std::fs::metadata(folder.path.join("load.json")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o644);
    }

    #[test]
    fn a_file_under_the_folders_name_is_told() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("report");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Folder::create(&path), Err(Error::Make { .. })));
    }

    #[test]
    fn variables_and_suites_of_several_tools_come_together() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        let entry = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
        folder.merge_dotenv(&entry("A", "1")).unwrap();
        folder.merge_dotenv(&entry("B", "2")).unwrap();
        folder.merge_dotenv(&entry("A", "3")).unwrap();
        assert_eq!(folder.read("dyno.env").unwrap().as_deref(), Some("A=3\nB=2\n"));
        for name in ["dyno load", "dyno gate", "dyno load"] {
            let suite = junit::Suite { name: name.to_owned(), cases: Vec::new() };
            assert_eq!(folder.merge_junit(&suite).unwrap(), None);
        }
        let text = folder.read("junit.xml").unwrap().unwrap();
        assert_eq!(text.matches("<testsuite ").count(), 2, "{text}");
    }
}
