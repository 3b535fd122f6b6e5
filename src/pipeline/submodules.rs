//! Submodules with relative URLs: beside the project on its GitLab, and so beside it here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::pipeline::snapshot::Git;

/// The user's own clones of submodules, by the path under which a job asks for them.
///
/// Those that the user has not initialised are not here: there is nothing to serve.
pub async fn served(git: &Git, folder: &Path, project: &str) -> BTreeMap<String, PathBuf> {
    let mut served = BTreeMap::new();
    let Some(at) = folder.to_str() else { return served };
    let told = async |arguments: &[&str]| {
        git.run(&[&["-C", at], arguments].concat(), &[]).await.unwrap_or_default()
    };
    let urls = ["config", "-z", "-f", ".gitmodules", "--get-regexp", r"^submodule\..*\.url$"];
    for entry in told(&urls).await.split('\0') {
        let Some((key, url)) = entry.split_once('\n') else { continue };
        let Some(path) = beside(project, url) else { continue };
        let key = format!("{}.path", key.strip_suffix(".url").unwrap_or(key));
        let below = told(&["config", "-f", ".gitmodules", &key]).await;
        if below.is_empty() || !folder.join(&below).join(".git").exists() {
            continue;
        }
        let clone = told(&["-C", &below, "rev-parse", "--absolute-git-dir"]).await;
        if !clone.is_empty() {
            served.insert(path, PathBuf::from(clone));
        }
    }
    served
}

/// `group/lib` for `../lib.git` in `group/project`; `None` for a URL that is not relative.
fn beside(project: &str, url: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = project.split('/').collect();
    for part in url.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." => (),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    Some(path.strip_suffix(".git").unwrap_or(&path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_url_starts_at_the_project() {
        for (url, expected) in [
            ("../lib.git", Some("group/sub/lib")),
            ("../../other/lib", Some("group/other/lib")),
            ("./part.git/", Some("group/sub/project/part")),
            ("../../../../lib.git", None),
            ("https://example.com/lib.git", None),
            ("/srv/lib.git", None),
        ] {
            assert_eq!(beside("group/sub/project", url).as_deref(), expected, "{url}");
        }
    }
}
