//! Trees that a job made: removed and given away without ever following what is in them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid, chmodat, chownat, fchmod,
    fstat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

/// Deeper folders of a cache are left to whom they belong: no cache is that deep.
const DEEPEST: usize = 64;

/// Removes a file or a whole tree; nothing to remove is fine. `path`'s parent must not be the job's,
/// and none of the job's processes may be alive.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = CString::new(name.as_bytes())?;
    let parent = match openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => (),
        Err(error) => return Err(error.into()),
    }
    Removal { top: open_own(&parent, &name)?, n_moved: 0 }.empty()?;
    Ok(unlinkat(&parent, &name, AtFlags::REMOVEDIR)?)
}

/// The folders below `top` are moved up into it one by one and emptied there, so that two open
/// files and no recursion do for a tree of any depth.
struct Removal {
    top: OwnedFd,
    n_moved: u64,
}

impl Removal {
    fn empty(&mut self) -> io::Result<()> {
        loop {
            let mut any = false;
            for entry in Dir::read_from(&self.top)? {
                let entry = entry?;
                let name = entry.file_name();
                if is_dots(name) {
                    continue;
                }
                any = true;
                match unlinkat(&self.top, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => self.remove_folder(name)?,
                    other => gone(other)?,
                }
            }
            if !any {
                return Ok(());
            }
        }
    }

    fn remove_folder(&mut self, name: &CStr) -> io::Result<()> {
        if unlinkat(&self.top, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        let folder = open_own(&self.top, name)?;
        loop {
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if is_dots(name) {
                    continue;
                }
                match unlinkat(&folder, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => self.move_up(&folder, name)?,
                    other => gone(other)?,
                }
            }
            match unlinkat(&self.top, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => (),
                other => return gone(other),
            }
        }
    }

    fn move_up(&mut self, folder: &OwnedFd, name: &CStr) -> io::Result<()> {
        if unlinkat(folder, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        loop {
            let there = format!("moved-{}", self.n_moved);
            self.n_moved += 1;
            match renameat_with(folder, name, &self.top, &there, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST | Errno::NOTEMPTY) => (),
                // Without privileges a folder is moved only by who may write to it.
                Err(Errno::ACCESS) => chmodat(folder, name, Mode::RWXU, AtFlags::empty())?,
                other => return Ok(other?),
            }
        }
    }
}

fn gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// Opens a folder that was just seen, not a link, and makes sure that its owner may empty it.
fn open_own(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    if Mode::from_raw_mode(fstat(&folder)?.st_mode) & Mode::RWXU != Mode::RWXU {
        fchmod(&folder, Mode::RWXU)?;
    }
    Ok(folder)
}

/// Gives a folder and all in it to `user`, unless it is theirs already.
///
/// # Errors
/// When the folder cannot be read or given away.
pub fn give(path: &Path, user: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(CWD, path, flags, Mode::empty())?;
    if fstat(&folder)?.st_uid == user {
        return Ok(());
    }
    let owner = (Uid::from_raw(user), Gid::from_raw(user));
    give_content(&folder, owner, 0)?;
    // Last, so that a broken attempt is repeated.
    Ok(chownat(&folder, c"", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH)?)
}

fn give_content(folder: &impl AsFd, owner: (Uid, Gid), depth: usize) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dots(name) {
            continue;
        }
        chownat(folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(kind.st_mode) == FileType::Directory && depth < DEEPEST {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            give_content(&openat(folder, name, flags, Mode::empty())?, owner, depth + 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_tree_is_removed_and_what_its_links_point_to_stays() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "1").unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join("moved-0/x/y")).unwrap();
        for at in ["link", "a/link", "a/b/link", "moved-0/x/link"] {
            symlink(&outside, tree.join(at)).unwrap();
        }
        fs::write(tree.join("a/b/c/file"), "2").unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "1");
        remove(&tree).unwrap();
        remove(&place.path().join("never/was")).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_tree_is_removed_itself() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("outside")).unwrap();
        fs::write(place.path().join("outside/precious"), "1").unwrap();
        symlink(place.path().join("outside"), place.path().join("tree")).unwrap();
        remove(&place.path().join("tree")).unwrap();
        assert!(place.path().join("outside/precious").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut at = openat(CWD, &tree, OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
            at = openat(&at, "deep", OFlags::PATH, Mode::empty()).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_folder_that_its_owner_may_not_enter_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        let user = 4321;
        for folder in ["", "a", "a/b", "a/b/c"] {
            std::os::unix::fs::chown(tree.join(folder), Some(user), Some(user)).ok();
        }
        for folder in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(tree.join(folder), PermissionsExt::from_mode(0o000)).unwrap();
        }
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).unwrap();
        if rustix::process::geteuid().is_root() {
            // Of this thread only; the kernel drops its capabilities with it.
            let user = Uid::from_raw(user);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_cache_is_given_to_the_next_user_but_not_what_its_links_point_to() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (outside, cache) = (place.path().join("outside"), place.path().join("cache"));
        fs::write(&outside, "1").unwrap();
        fs::create_dir_all(cache.join("a/b")).unwrap();
        symlink(&outside, cache.join("a/link")).unwrap();
        give(&cache, 4321).unwrap();
        assert_eq!(fs::symlink_metadata(cache.join("a/b")).unwrap().uid(), 4321);
        assert_eq!(fs::symlink_metadata(cache.join("a/link")).unwrap().uid(), 4321);
        assert_eq!(fs::metadata(&cache).unwrap().gid(), 4321);
        assert_eq!(fs::metadata(&outside).unwrap().uid(), 0);
    }
}
