//! What a push of the snapshot would change: the files that `changes:` is about.

use std::path::Path;

use crate::pipeline::snapshot::{Git, Snapshot};

/// Changed files, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What they are compared with, as a user would name it.
    pub base: String,
    /// Paths relative to the project's folder.
    pub paths: Vec<String>,
}

/// Compares with the branch as the remote `origin` was last seen to have it, or with the commit
/// before where all is pushed. `None` where GitLab compares with nothing: a branch that is new to
/// it, a pipeline that no push started.
pub async fn find(git: &Git, folder: &Path, snapshot: &Snapshot, source: &str) -> Option<Changed> {
    if !["push", "merge_request_event"].contains(&source) {
        return None;
    }
    let folder = folder.to_str()?;
    let remote = format!("refs/remotes/origin/{}", snapshot.branch);
    let of = |revision: String| async move {
        git.run(&["-C", folder, "rev-parse", "--verify", "-q", &revision], &[]).await.ok()
    };
    let pushed = of(format!("{remote}^{{commit}}")).await?;
    let (base, shown) = if pushed == snapshot.sha {
        (of(format!("{pushed}^")).await?, "the commit before".to_owned())
    } else {
        (pushed, format!("origin/{}", snapshot.branch))
    };
    let bare = snapshot.repository.to_str()?;
    let diff = ["--git-dir", bare, "diff", "--name-only", "--no-renames", "-z", &base];
    let told = git.run(&[diff.as_slice(), &[&snapshot.sha]].concat(), &[]).await.ok()?;
    let paths = told.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    Some(Changed { base: shown, paths })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pipeline::snapshot;

    #[tokio::test]
    async fn what_a_push_would_bring_is_compared_with_the_branch_on_the_remote() {
        let vars = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/nonexistent")];
        let vars: BTreeMap<String, String> =
            vars.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let git = Git::new(&vars);
        let (folder, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = folder.path().to_str().unwrap().to_owned();
        let run = async |arguments: &[&str]| {
            let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
            git.run(&[&["-C", &at], who.as_slice(), arguments].concat(), &[]).await.unwrap()
        };
        run(&["init", "-q", "-b", "main"]).await;
        for name in ["first", "second"] {
            std::fs::write(folder.path().join(name), "").unwrap();
            run(&["add", "-A"]).await;
            run(&["commit", "-q", "-m", name]).await;
        }
        let taken = async |n: u32| {
            let bare = into.path().join(format!("{n}.git"));
            snapshot::take(&git, folder.path(), &bare, None).await.unwrap()
        };
        let clean = taken(1).await;
        assert_eq!(find(&git, folder.path(), &clean, "push").await, None, "a new branch");

        run(&["update-ref", "refs/remotes/origin/main", "HEAD"]).await;
        let changed = find(&git, folder.path(), &clean, "push").await.unwrap();
        assert_eq!(
            (changed.base.as_str(), changed.paths),
            ("the commit before", vec!["second".to_owned()])
        );

        std::fs::write(folder.path().join("zweitens é"), "").unwrap();
        let dirty = taken(2).await;
        let changed = find(&git, folder.path(), &dirty, "push").await.unwrap();
        assert_eq!(
            (changed.base.as_str(), changed.paths),
            ("origin/main", vec!["zweitens é".to_owned()])
        );
        assert_eq!(find(&git, folder.path(), &dirty, "schedule").await, None);
    }
}
