//! The user's working tree as a commit in a bare repository of our own; theirs is never touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::job::Vars;

/// A snapshot that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// git is missing or does not start.
    #[error("cannot start `git`")]
    Start(#[source] std::io::Error),
    /// git says no.
    #[error("`git {command}` failed: {told}")]
    Git {
        /// Its arguments.
        command: String,
        /// What it said.
        told: String,
    },
    /// The temporary repository cannot be written.
    #[error("cannot write the snapshot's repository `{path}`")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A commit that holds what the user sees, uncommitted changes included.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The bare repository.
    pub repository: PathBuf,
    /// The commit; the user's own HEAD when nothing was changed.
    pub sha: String,
    /// Branch name.
    pub branch: String,
    /// Full commit message.
    pub message: String,
    /// `Name <mail>`.
    pub author: String,
    /// ISO 8601.
    pub timestamp: String,
    /// `group/project` of the remote `origin`, if it has one.
    pub remote_path: Option<String>,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// Name and mail of the user in git's configuration.
    pub user: (String, String),
    /// True when it holds something that is not committed.
    pub is_dirty: bool,
}

/// Runs git in a clean environment.
#[derive(Debug, Clone)]
pub struct Git {
    environment: BTreeMap<String, String>,
}

impl Git {
    /// A git that sees the user's own configuration and no `GIT_*` variable.
    pub fn new(vars: &dyn Vars) -> Self {
        let mut environment = BTreeMap::new();
        for name in ["PATH", "HOME", "XDG_CONFIG_HOME", "LANG", "TMPDIR"] {
            if let Some(value) = vars.get(name) {
                environment.insert(name.to_owned(), value);
            }
        }
        environment.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
        Self { environment }
    }

    /// A git command that has not been started.
    pub fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("git");
        command
            .args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false"])
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs git to its end; returns what it printed.
    pub async fn run(&self, arguments: &[&str], extra: &[(&str, &str)]) -> Result<String, Error> {
        let mut command = self.command(arguments);
        command.envs(extra.iter().copied());
        let output = command.output().await.map_err(Error::Start)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
        }
        Err(Error::Git {
            command: arguments.join(" "),
            told: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// Returns the top of the repository that `folder` lies in; `None` outside of one.
pub async fn top_of(git: &Git, folder: &Path) -> Option<PathBuf> {
    let folder = folder.to_str()?;
    let top = git.run(&["-C", folder, "rev-parse", "--show-toplevel"], &[]).await.ok()?;
    (!top.is_empty()).then(|| PathBuf::from(top))
}

/// Takes the snapshot of `folder` into the new bare repository `into`.
pub async fn take(
    git: &Git,
    folder: &Path,
    into: &Path,
    branch: Option<&str>,
) -> Result<Snapshot, Error> {
    let own = Own::find(git, folder).await?;
    let bare = into.to_string_lossy().into_owned();
    let format = format!("--object-format={}", own.object_format);
    git.run(&["init", "-q", "--bare", &format, &bare], &[]).await?;
    own.lend(into)?;
    let index = into.join("try-index").to_string_lossy().into_owned();
    let tree = folder.to_string_lossy().into_owned();
    let extra = [("GIT_INDEX_FILE", index.as_str())];
    let in_bare = ["--git-dir", bare.as_str(), "--work-tree", tree.as_str()];
    let add = [
        &["-C", tree.as_str()],
        in_bare.as_slice(),
        &["-c", "core.splitIndex=false", "-c", "core.untrackedCache=false", "add", "-A", "--", "."],
    ];
    git.run(&add.concat(), &extra).await?;
    let tree = git.run(&[in_bare.as_slice(), &["write-tree"]].concat(), &extra).await?;
    let user = own.user(git, folder).await;
    let head = own.head.as_deref();
    let committed = match head {
        Some(head) => {
            let of_head = format!("{head}^{{tree}}");
            git.run(&["--git-dir", &bare, "rev-parse", &of_head], &[]).await? == tree
        }
        None => false,
    };
    let sha = match head {
        Some(head) if committed => head.to_owned(),
        _ => commit(git, &bare, &tree, head, &user).await?,
    };
    let branch = branch.map_or_else(|| own.branch.clone(), str::to_owned);
    git.run(&["--git-dir", &bare, "update-ref", &format!("refs/heads/{branch}"), &sha], &[])
        .await?;
    git.run(&["--git-dir", &bare, "symbolic-ref", "HEAD", &format!("refs/heads/{branch}")], &[])
        .await?;
    let show = ["--git-dir", &bare, "log", "-1", "--format=%an <%ae>%n%cI%n%B", &sha];
    let told = git.run(&show, &[]).await?;
    let mut lines = told.splitn(3, '\n').map(str::to_owned);
    Ok(Snapshot {
        repository: into.to_owned(),
        sha,
        branch,
        author: lines.next().unwrap_or_default(),
        timestamp: lines.next().unwrap_or_default(),
        // GitLab gives the message with its last newline.
        message: format!("{}\n", lines.next().unwrap_or_default()),
        remote_path: own.remote_path,
        object_format: own.object_format,
        user,
        is_dirty: head.is_some() && !committed,
    })
}

/// Names the snapshot as a pipeline's ref, which its jobs fetch.
pub async fn name_pipeline(git: &Git, snapshot: &Snapshot, pipeline: u64) -> Result<(), Error> {
    let bare = snapshot.repository.to_string_lossy().into_owned();
    let name = format!("refs/pipelines/{pipeline}");
    git.run(&["--git-dir", &bare, "update-ref", &name, &snapshot.sha], &[]).await.map(drop)
}

async fn commit(
    git: &Git,
    bare: &str,
    tree: &str,
    head: Option<&str>,
    user: &(String, String),
) -> Result<String, Error> {
    let message = match head {
        Some(head) => git.run(&["--git-dir", bare, "log", "-1", "--format=%B", head], &[]).await?,
        None => "Snapshot".to_owned(),
    };
    let message = if message.is_empty() { "Snapshot".to_owned() } else { message };
    let mut arguments = vec!["--git-dir", bare, "commit-tree", tree, "-m", &message];
    if let Some(head) = head {
        arguments.extend(["-p", head]);
    }
    let (name, mail) = user;
    let extra = [
        ("GIT_AUTHOR_NAME", name.as_str()),
        ("GIT_AUTHOR_EMAIL", mail),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_COMMITTER_EMAIL", mail),
    ];
    git.run(&arguments, &extra).await
}

/// The user's own repository, of which only files are read.
struct Own {
    /// Its folder (of this work tree) and the one that work trees share; `None` without one.
    folders: Option<(PathBuf, PathBuf)>,
    head: Option<String>,
    branch: String,
    remote_path: Option<String>,
    object_format: String,
}

impl Own {
    async fn find(git: &Git, folder: &Path) -> Result<Self, Error> {
        let mut own = Self {
            folders: None,
            head: None,
            branch: "main".to_owned(),
            remote_path: None,
            object_format: "sha1".to_owned(),
        };
        let is_top = match top_of(git, folder).await {
            Some(top) => top.canonicalize().ok() == folder.canonicalize().ok(),
            None => false,
        };
        if !is_top {
            return Ok(own);
        }
        let at = folder.to_string_lossy().into_owned();
        let at = ["-C", at.as_str()];
        let with = |rest: &[&'static str]| [at.as_slice(), rest].concat();
        let git_dir = git.run(&with(&["rev-parse", "--absolute-git-dir"]), &[]).await?;
        let common = git.run(&with(&["rev-parse", "--git-common-dir"]), &[]).await?;
        // The common folder is relative to where git was called.
        own.folders = Some((PathBuf::from(git_dir), folder.join(common)));
        own.head =
            git.run(&with(&["rev-parse", "--verify", "-q", "HEAD^{commit}"]), &[]).await.ok();
        if let Ok(branch) = git.run(&with(&["symbolic-ref", "-q", "--short", "HEAD"]), &[]).await {
            own.branch = branch;
        }
        if let Ok(format) = git.run(&with(&["rev-parse", "--show-object-format"]), &[]).await {
            own.object_format = format;
        }
        let remote = git.run(&with(&["config", "remote.origin.url"]), &[]).await.ok();
        own.remote_path = remote.as_deref().and_then(remote_path);
        Ok(own)
    }

    /// Lends the user's objects, index and excludes to our repository.
    fn lend(&self, into: &Path) -> Result<(), Error> {
        let Some((git_dir, common)) = &self.folders else { return Ok(()) };
        let written = |path: PathBuf, done: std::io::Result<()>| {
            done.map_err(|source| Error::Write { path, source })
        };
        let objects = common.join("objects");
        let alternates = into.join("objects/info/alternates");
        let line = format!("{}\n", objects.canonicalize().unwrap_or(objects).display());
        written(alternates.clone(), std::fs::write(&alternates, line))?;
        for (from, to) in [
            (git_dir.join("index"), into.join("try-index")),
            (common.join("shallow"), into.join("shallow")),
            (common.join("info/exclude"), into.join("info/exclude")),
        ] {
            if from.is_file() {
                let done = std::fs::copy(&from, &to).map(drop);
                written(to, done)?;
            }
        }
        Ok(())
    }

    async fn user(&self, git: &Git, folder: &Path) -> (String, String) {
        let at = folder.to_string_lossy().into_owned();
        let get = async |key: &str, otherwise: &str| {
            let told = git.run(&["-C", &at, "config", key], &[]).await.unwrap_or_default();
            if told.is_empty() { otherwise.to_owned() } else { told }
        };
        (get("user.name", "dyno try").await, get("user.email", "try@localhost").await)
    }
}

/// `group/project` of a clone URL, in any of its spellings.
fn remote_path(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((scheme, rest)) if scheme != "file" => rest.split_once('/')?.1,
        Some(_) => return None,
        None => {
            let (host, path) = url.split_once(':')?;
            if host.contains('/') {
                return None;
            }
            path
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.contains('/') && path.split('/').all(|part| !part.is_empty() && part != ".."))
        .then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> BTreeMap<String, String> {
        [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/nonexistent")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn files(git: &Git, snapshot: &Snapshot) -> Vec<String> {
        let bare = snapshot.repository.to_str().unwrap();
        let arguments = ["--git-dir", bare, "ls-tree", "-r", "--name-only", &snapshot.sha];
        let told = git.run(&arguments, &[]).await.unwrap();
        told.lines().map(str::to_owned).collect()
    }

    #[test]
    fn remotes_give_the_project_path_in_every_spelling() {
        for (url, expected) in [
            ("git@gitlab.com:group/sub/project.git", Some("group/sub/project")),
            ("https://gitlab.example.com/group/project.git", Some("group/project")),
            ("ssh://git@host:22/group/project", Some("group/project")),
            ("https://user:pass@host/group/project/", Some("group/project")),
            ("/srv/git/project.git", None),
            ("file:///srv/git/project.git", None),
            ("https://host/project.git", None),
        ] {
            assert_eq!(remote_path(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_folder_that_is_no_repository_becomes_a_commit() {
        runtime().block_on(async {
            let git = Git::new(&vars());
            let (folder, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            write(folder.path(), "a/b.txt", "1");
            write(folder.path(), ".gitignore", "skipped\n");
            write(folder.path(), "skipped", "1");
            let snapshot =
                take(&git, folder.path(), &into.path().join("r.git"), None).await.unwrap();
            assert_eq!(files(&git, &snapshot).await, [".gitignore", "a/b.txt"]);
            assert_eq!(
                (snapshot.branch.as_str(), snapshot.message.as_str()),
                ("main", "Snapshot\n")
            );
            assert!(!folder.path().join(".git").exists());
        });
    }

    #[test]
    fn uncommitted_changes_are_in_and_the_users_repository_stays_as_it_was() {
        runtime().block_on(async {
            let git = Git::new(&vars());
            let (folder, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let at = folder.path().to_str().unwrap();
            git.run(&["-C", at, "init", "-q", "-b", "feature/x"], &[]).await.unwrap();
            write(folder.path(), "kept", "1");
            write(folder.path(), "gone", "1");
            git.run(&["-C", at, "add", "-A"], &[]).await.unwrap();
            let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
            let commit = ["commit", "-q", "-m", "First one"];
            git.run(&[&["-C", at], who.as_slice(), &commit].concat(), &[]).await.unwrap();
            let head = git.run(&["-C", at, "rev-parse", "HEAD"], &[]).await.unwrap();

            let clean = take(&git, folder.path(), &into.path().join("1.git"), None).await.unwrap();
            assert_eq!((clean.sha.as_str(), clean.is_dirty), (head.as_str(), false));
            assert_eq!(clean.branch, "feature/x");
            assert_eq!(clean.author, "Ann <ann@example.com>");

            write(folder.path(), "new", "1");
            std::fs::remove_file(folder.path().join("gone")).unwrap();
            let before = std::fs::read(folder.path().join(".git/index")).unwrap();
            let dirty = take(&git, folder.path(), &into.path().join("2.git"), None).await.unwrap();
            assert_eq!(files(&git, &dirty).await, ["kept", "new"]);
            assert!(dirty.is_dirty && dirty.sha != head);
            assert_eq!(dirty.message.trim(), "First one");
            assert_eq!(std::fs::read(folder.path().join(".git/index")).unwrap(), before);
            let status = git.run(&["-C", at, "status", "--porcelain"], &[]).await.unwrap();
            assert_eq!(status, " D gone\n?? new");
            let objects = git.run(&["-C", at, "cat-file", "-e", &dirty.sha], &[]).await;
            assert!(objects.is_err(), "the snapshot went into the user's repository");
        });
    }
}
