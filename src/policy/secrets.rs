//! Files that hold a secret: read only when nobody else can read them.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::secret::Secret;

/// Longer than any token.
const MOST_BYTES: u64 = 64 * 1024;

/// A secret that cannot be had, or that others can have too.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the secret `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is a folder, a device …
    #[error("the secret `{path}` is not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Group or others can read or write it.
    #[error("the secret `{path}` is open to others (mode {mode:03o})")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody who is neither root nor who we are.
    #[error("the secret `{path}` belongs to uid {owner}")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is nothing in it.
    #[error("the secret `{path}` is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is no single line of text.
    #[error("the secret `{path}` is not one line of text")]
    NotALine {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// The way out.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { path, .. } | Self::NotAFile { path } => {
                format!("put the secret into `{}`", path.display())
            }
            Self::Open { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Owner { path, .. } => format!("chown root {}", path.display()),
            Self::Empty { path } | Self::NotALine { path } => {
                format!("write the secret into `{}`, as one line", path.display())
            }
        }
    }
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let hint = error.hint();
        Self::system(error).hint(hint)
    }
}

/// Reads a secret; the line's end is not part of it.
pub fn read(path: &Path) -> Result<Secret, Error> {
    let text = read_text(path)?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    if line.chars().any(char::is_control) {
        return Err(Error::NotALine { path: path.to_owned() });
    }
    Ok(Secret::new(line.to_owned()))
}

/// Says whether others can read a file that holds a secret, such as a kubeconfig.
pub fn check(path: &Path) -> Result<(), Error> {
    open(path).map(drop)
}

/// Reads a file that anyone may read and nobody else may write: a policy, a recipe.
pub fn read_public(path: &Path) -> Result<String, Problem> {
    let problem = |message: String, hint: Option<String>| Problem {
        file: path.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        message,
        hint,
    };
    let read = |error: std::io::Error| problem(format!("cannot be read: {error}"), None);
    let mut file = std::fs::File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    // A group of one's own is usual on a laptop; to root no group is.
    let is_root = rustix::process::geteuid().is_root();
    let closed = if is_root { 0o022 } else { 0o002 };
    if metadata.mode() & closed != 0 {
        return Err(problem(
            format!("others can write it (mode {:03o})", metadata.mode() & 0o777),
            Some(format!("chmod go-w {}", path.display())),
        ));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != me {
        return Err(problem(
            format!("it belongs to uid {}, who could change it", metadata.uid()),
            Some(format!("chown root {}", path.display())),
        ));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(read)?;
    Ok(text)
}

fn read_text(path: &Path) -> Result<String, Error> {
    let file = open(path)?;
    let mut text = String::new();
    file.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(text)
}

/// The open file is looked at, not its name: nobody can exchange it in between.
fn open(path: &Path) -> Result<std::fs::File, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Open { path: path.to_owned(), mode });
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != me {
        return Err(Error::Owner { path: path.to_owned(), owner: metadata.uid() });
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_secret_is_read_without_its_line_end() {
        for content in ["abc", "abc\n", "abc\r\n"] {
            let (_folder, path) = file(content, 0o600);
            assert_eq!(read(&path).unwrap().reveal(), "abc");
        }
    }

    #[test]
    fn what_others_can_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o620, 0o660, 0o601] {
            let (_folder, path) = file("abc", mode);
            let error = read(&path).unwrap_err();
            assert!(matches!(error, Error::Open { .. }), "{mode:o}");
            assert_eq!(error.hint(), format!("chmod 600 {}", path.display()));
            assert!(matches!(check(&path), Err(Error::Open { .. })));
        }
    }

    #[test]
    fn what_is_no_secret_is_told_without_showing_it() {
        let (folder, path) = file("", 0o600);
        assert!(matches!(read(&path), Err(Error::Empty { .. })));
        assert!(matches!(read(folder.path()), Err(Error::NotAFile { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::Read { .. })));
        let (_folder, path) = file("first\nsecond\n", 0o600);
        let error = read(&path).unwrap_err();
        assert!(matches!(error, Error::NotALine { .. }));
        assert!(!error.to_string().contains("second"));
    }
}
