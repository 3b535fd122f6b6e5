//! A job's folder on the host: what is in it, how it is made, and whose it is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use crate::environment::sandbox::spec::Spec;
use crate::environment::sandbox::{caches, cgroup, etc, programs, tree};
use crate::environment::{Error, owner};

/// The job's own parts of its folder and where they are inside.
pub const PARTS: [(&str, &str); 4] = [
    ("builds", "/builds"),
    ("home", "/home/job"),
    ("tmp", "/tmp"),
    ("exports", "/run/dyno/exports"),
];

/// Top folders that a recipe's file cannot be in: they are the host's, or another part's.
const TAKEN: [&str; 17] = [
    "bin", "builds", "cache", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc",
    "run", "sbin", "sys", "tmp", "usr", "var",
];

/// Makes the folder of a job that has none. All of it is new, so no link of a job is met.
pub fn make(spec: &Spec) -> Result<(), Error> {
    if spec.user == Some(0) {
        return Err(Error::Unfit {
            what: "the job's user on the host cannot be root".to_owned(),
            hint: "give `users` a range of uids above 0".to_owned(),
        });
    }
    let folder = &spec.folder;
    if let Some(parent) = folder.parent() {
        make_parents(parent)?;
    }
    // The job's user passes through to its parts. Whatever it may read has a parent of this mode.
    let mode = if spec.user.is_some() { 0o711 } else { 0o700 };
    // Nobody may take a folder for a dead job's that does not say yet whose it is.
    let jobs = folder.parent().unwrap_or(folder);
    let lock = owner::lock(jobs).map_err(Error::file("lock", jobs))?;
    make_folder(folder, mode)?;
    let owner = owner::written(spec.owner, spec.runner_folder.as_deref());
    write(&folder.join("driver"), &owner.ok_or_else(|| owner::none(spec.owner))?, 0o600)?;
    drop(lock);
    for (part, _) in PARTS {
        let part = folder.join(part);
        make_folder(&part, 0o700)?;
        give(&part, spec.user)?;
    }
    make_cache(spec)?;
    etc::make(&folder.join("etc"), &spec.name, spec.network)?;
    make_run(spec)?;
    make_files(spec)?;
    programs::make(&folder.join("bin"), &spec.programs)?;
    if spec.user.is_some() {
        let groups = cgroup::make(&group_name(&spec.name, folder), &spec.limits);
        write(&folder.join("cgroups"), &groups.written(), 0o600)?;
    }
    check_reach(spec)
}

/// Makes folders that are missing, such as the state's; each lets others pass through, no more.
fn make_parents(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .map_err(Error::file("create", folder))
}

fn make_folder(folder: &Path, mode: u32) -> Result<(), Error> {
    fs::create_dir(folder)
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(mode)))
        .map_err(Error::file("create", folder))
}

/// Writes a new file.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(Error::file("write", path))
}

fn give(path: &Path, user: Option<u32>) -> Result<(), Error> {
    user.map_or(Ok(()), |user| chown(path, Some(user), Some(user)))
        .map_err(Error::file("give away", path))
}

/// Makes the job's parts its own again: a script may have closed them to itself.
pub fn open_parts(spec: &Spec) -> Result<(), Error> {
    for (part, _) in PARTS {
        let part = spec.folder.join(part);
        match fs::set_permissions(&part, Permissions::from_mode(0o700)) {
            // What is missing is told by whoever needs it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("open", part)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn make_cache(spec: &Spec) -> Result<(), Error> {
    let cache = &spec.cache;
    if let Some(parent) = cache.parent() {
        make_parents(parent)?;
    }
    let made = DirBuilder::new().mode(0o700).create(cache);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::file("create", cache)(error));
        }
        Ok(()) | Err(_) => (),
    }
    caches::note_use(cache)?;
    spec.user
        .map_or(Ok(()), |user| tree::give(cache, user))
        .map_err(Error::file("give away", cache))
}

/// `/run/dyno`, but for what each script adds: the programs, and the places of the sockets.
fn make_run(spec: &Spec) -> Result<(), Error> {
    let run = spec.folder.join("run");
    for folder in [&run, &run.join("bin"), &run.join("exports")] {
        make_folder(folder, 0o755)?;
    }
    write(&run.join("prelude.sh"), &spec.prelude, 0o644)?;
    for place in ["socket", "relay"] {
        write(&run.join(place), "", 0o644)?;
    }
    let bin = run.join("bin");
    make_program(&bin.join("dyno"), &spec.program, spec.user)?;
    let link = |name: &str| {
        let link = bin.join(name);
        symlink("dyno", &link).map_err(Error::file("create", link))
    };
    spec.names.iter().try_for_each(|name| link(name))?;
    match &spec.runner {
        Some(runner) => make_program(&bin.join("gitlab-runner"), runner, spec.user),
        None => link("gitlab-runner"),
    }
}

/// A program that the job's user can reach is bound to an empty place; another one, such as one in
/// root's home, is linked or copied here.
fn make_program(place: &Path, program: &Path, user: Option<u32>) -> Result<(), Error> {
    let can_run = |mode: u32| mode & 0o005 == 0o005;
    let reachable = match user {
        None => true,
        Some(user) => {
            let mode = fs::metadata(program).map_err(Error::file("read", program))?.mode();
            can_run(mode) && barrier(program, user).is_none()
        }
    };
    if reachable {
        return write(place, "", 0o755);
    }
    fs::hard_link(program, place)
        .or_else(|_| fs::copy(program, place).map(|_| ()))
        .and_then(|()| {
            let mode = fs::metadata(place)?.mode();
            if can_run(mode) {
                Ok(())
            } else {
                fs::set_permissions(place, Permissions::from_mode(0o755))
            }
        })
        .map_err(Error::file("place", program))
}

fn make_files(spec: &Spec) -> Result<(), Error> {
    let files = spec.folder.join("files");
    make_folder(&files, 0o755)?;
    let mut made = Vec::new();
    for file in &spec.files {
        let mut at = files.clone();
        let parts = parts(&file.path)?;
        for (n, part) in parts.iter().enumerate() {
            at.push(part);
            if n + 1 == parts.len() {
                write(&at, &file.content, if file.executable { 0o755 } else { 0o644 })?;
            } else if !at.is_dir() {
                make_folder(&at, 0o755)?;
            }
            made.push(at.clone());
        }
    }
    // Given away when all is made: from here on the job could set links.
    made.iter().try_for_each(|path| give(path, spec.user))
}

fn parts(path: &Path) -> Result<Vec<&OsStr>, Error> {
    let unfit = |why: &str| Error::Unfit {
        what: format!("a recipe's file cannot be at `{}`: {why}", path.display()),
        hint: "put it into a top folder of its own, such as /app/FILE".to_owned(),
    };
    let below = path.strip_prefix("/").map_err(|_| unfit("the path is not absolute"))?;
    let parts: Option<Vec<_>> = below
        .components()
        .map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    let parts = parts.ok_or_else(|| unfit("the path is not plain"))?;
    match parts.as_slice() {
        [top, _, ..] if TAKEN.iter().any(|taken| taken == top) => {
            Err(unfit("its top folder is the sandbox's"))
        }
        [_, _, ..] => Ok(parts),
        [] | [_] => Err(unfit("it has no folder")),
    }
}

/// The top folders of the recipe's files, each once.
pub fn file_tops(spec: &Spec) -> BTreeSet<&OsStr> {
    spec.files.iter().filter_map(|file| parts(&file.path).ok()?.first().copied()).collect()
}

/// The name of a job's group, apart from those of another dyno with another state folder.
pub fn group_name(job: &str, folder: &Path) -> String {
    let hash = folder.as_os_str().as_encoded_bytes().iter();
    let hash = hash
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{job}-{hash:08x}")
}

/// The first folder on the way to `path` that does not let `user` through.
fn barrier(path: &Path, user: u32) -> Option<PathBuf> {
    let mut above: Vec<_> =
        path.ancestors().skip(1).filter(|at| !at.as_os_str().is_empty()).collect();
    above.reverse();
    let passes = |at: &Path| {
        fs::metadata(at).is_ok_and(|folder| {
            folder.mode() & 0o001 != 0 || (folder.uid() == user && folder.mode() & 0o100 != 0)
        })
    };
    above.into_iter().find(|at| !passes(at)).map(Path::to_owned)
}

fn check_reach(spec: &Spec) -> Result<(), Error> {
    let Some(user) = spec.user else { return Ok(()) };
    for path in [&spec.folder.join("builds"), &spec.cache].into_iter().chain(&spec.folders) {
        if let Some(path) = barrier(path, user) {
            return Err(Error::Unreachable { path, user });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipes_file_has_a_top_folder_that_nobody_else_has() {
        for (path, is_fit) in [
            ("/app/traffic_gen.py", true),
            ("/opt/tool/bin/x", true),
            ("/entrypoint.sh", false),
            ("app/x", false),
            ("/usr/bin/x", false),
            ("/tmp/x", false),
            ("/app/../etc/passwd", false),
            ("/", false),
        ] {
            assert_eq!(parts(Path::new(path)).is_ok(), is_fit, "{path}");
        }
    }

    #[test]
    fn a_folder_that_lets_nobody_through_is_named() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o711)).unwrap();
        let inner = place.path().join("inner");
        make_folder(&inner, 0o700).unwrap();
        assert_eq!(barrier(&inner, 4321), None);
        assert_eq!(barrier(&inner.join("x"), 4321), Some(inner));
    }
}
