//! Which files a selection names: patterns, folders with all below them, never outside the project.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use globset::{GlobBuilder, GlobMatcher};

use crate::pipeline::helper::{Log, Selection};

/// Returns the files, links and folders of a selection, relative and sorted; says what was found.
pub fn select(selection: &Selection, log: &mut Log<'_>) -> Vec<PathBuf> {
    let exclude: Vec<GlobMatcher> =
        selection.exclude.iter().filter_map(|pattern| matcher(pattern)).collect();
    let mut found = BTreeSet::new();
    for pattern in &selection.paths {
        let Some(relative) = inside(&selection.folder, pattern) else {
            let folder = selection.folder.display();
            log.warn(
                &format!(
                    "processPath: artifact path is not a subpath of project directory: {pattern} \
                     (project directory: {folder})"
                ),
                &[],
            );
            continue;
        };
        let (mut n_found, mut n_excluded) = (0_u32, 0_u32);
        let mut take = |path: PathBuf| {
            if exclude.iter().any(|exclude| exclude.is_match(&path)) {
                n_excluded += 1;
            } else {
                n_found += 1;
                found.insert(path);
            }
        };
        matches(&selection.folder, &relative, &mut take);
        if n_found == 0 && n_excluded == 0 {
            let folder = selection.folder.display();
            log.warn(
                &format!(
                    "{pattern}: no matching files. Ensure that the artifact path is relative to \
                     the working directory ({folder})"
                ),
                &[],
            );
        } else {
            let text =
                format!("{pattern}: found {n_found} matching artifact files and directories");
            log.info(&text, &[]);
        }
        if n_excluded > 0 {
            log.info(&format!("{pattern}: excluded {n_excluded} files"), &[]);
        }
    }
    if selection.untracked {
        let untracked = untracked(&selection.folder);
        log.info(&format!("untracked: found {} files", untracked.len()), &[]);
        found.extend(
            untracked.into_iter().filter(|path| !exclude.iter().any(|glob| glob.is_match(path))),
        );
    }
    found.into_iter().collect()
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

/// The pattern relative to the project, without `.` and `..`; `None` when it leaves the project.
fn inside(folder: &Path, pattern: &str) -> Option<String> {
    let path = Path::new(pattern);
    let path = if path.is_absolute() { path.strip_prefix(folder).ok()? } else { path };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Gives every path that a pattern matches; of a folder all below it too.
fn matches(folder: &Path, pattern: &str, take: &mut dyn FnMut(PathBuf)) {
    let special = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let n_plain = parts.iter().take_while(|part| !special(part)).count();
    let plain: PathBuf = parts.iter().take(n_plain).collect();
    if n_plain == parts.len() {
        if !leads_through_a_link(folder, &plain) {
            all_below(folder, &plain, take);
        }
        return;
    }
    let Some(matcher) = matcher(pattern) else { return };
    let mut roots = Vec::new();
    walk(folder, &plain, &mut |path| {
        if matcher.is_match(path) {
            roots.push(path.to_owned());
        }
    });
    for root in roots {
        all_below(folder, &root, take);
    }
}

/// True when a folder on the way is a link: what lies behind it may be anywhere.
fn leads_through_a_link(folder: &Path, path: &Path) -> bool {
    let Some(parent) = path.parent() else { return false };
    let mut at = folder.to_owned();
    parent.components().any(|part| {
        at.push(part);
        std::fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink())
    })
}

fn all_below(folder: &Path, path: &Path, take: &mut dyn FnMut(PathBuf)) {
    let Ok(found) = std::fs::symlink_metadata(folder.join(path)) else { return };
    if !path.as_os_str().is_empty() {
        take(path.to_owned());
    }
    if found.is_dir() {
        walk(folder, path, &mut |path| take(path.to_owned()));
    }
}

/// Calls `each` with everything below `path`; links are not followed.
fn walk(folder: &Path, path: &Path, each: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder.join(path)) else { return };
    for entry in entries.flatten() {
        let below = path.join(entry.file_name());
        each(&below);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(folder, &below, each);
        }
    }
}

/// What git does not know and does not ignore.
fn untracked(folder: &Path) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-o", "-z"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout)
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["out/a.txt", "out/deep/b.xml", "out/deep/c.txt", "x.xml", "other/y"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "1").unwrap();
        }
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        folder
    }

    #[track_caller]
    fn check(paths: &[&str], exclude: &[&str], expected: &[&str], told: &str) {
        let folder = folder();
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let selection = Selection {
            folder: folder.path().to_owned(),
            paths: own(paths),
            exclude: own(exclude),
            untracked: false,
        };
        let mut out: Vec<u8> = Vec::new();
        let found = select(&selection, &mut Log::new(&mut out));
        let found: Vec<&str> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(found, expected, "{paths:?}");
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(told), "{out}");
    }

    #[test]
    fn patterns_and_folders_are_found_and_what_is_outside_is_not() {
        let below = ["out", "out/a.txt", "out/deep", "out/deep/b.xml", "out/deep/c.txt"];
        check(&["out/"], &[], &below, "out/: found 5 matching artifact files and directories");
        check(&["./out"], &["out/deep/*.txt"], &below[..4], "excluded 1 files");
        check(&["**/*.xml"], &[], &["out/deep/b.xml", "x.xml"], "found 2");
        check(&["*.xml"], &[], &["x.xml"], "found 1");
        check(&["out/{a,z}.txt"], &[], &["out/a.txt"], "found 1");
        check(&["out/d*"], &[], &["out/deep", "out/deep/b.xml", "out/deep/c.txt"], "found 3");
        check(&["nothing/"], &[], &[], "nothing/: no matching files. Ensure");
        check(&["../x"], &[], &[], "not a subpath of project directory: ../x");
        check(&["/etc/passwd"], &[], &[], "not a subpath of project directory");
        check(&["link"], &[], &["link"], "found 1");
        check(&["link/passwd"], &[], &[], "no matching files");
        check(&["out/../x.xml"], &[], &["x.xml"], "found 1");
    }
}
