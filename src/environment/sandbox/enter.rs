//! `dyno enter`: between driver and bubblewrap, to do as the driver's user what only it may do.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Gid, Uid, set_parent_process_death_signal};
use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, setrlimit};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::environment::Error;

/// What `dyno enter` does before it becomes another program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whose death is ours.
    pub parent: u32,
    /// Control groups to join.
    pub join: Vec<PathBuf>,
    /// Most open files of a process.
    pub open_files: Option<u64>,
    /// Most bytes of data of a process.
    pub data: Option<u64>,
    /// Whom to become.
    pub user: Option<u32>,
    /// What to run, and its arguments.
    pub command: Vec<OsString>,
}

impl Entry {
    /// The command line that [`Entry::parse`] reads.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut all = vec!["enter".into(), "--parent".into(), self.parent.to_string().into()];
        for folder in &self.join {
            all.extend(["--join".into(), folder.into()]);
        }
        let user = self.user.map(u64::from);
        for (name, value) in
            [("--open-files", self.open_files), ("--data", self.data), ("--user", user)]
        {
            if let Some(value) = value {
                all.extend([name.into(), value.to_string().into()]);
            }
        }
        all.push("--".into());
        all.extend(self.command.iter().cloned());
        all
    }

    /// Reads the words after `enter`.
    pub fn parse(args: &[OsString]) -> Option<Self> {
        let mut entry = Self::default();
        let mut args = args.iter();
        loop {
            let name = args.next()?.to_str()?;
            if name == "--" {
                entry.command = args.cloned().collect();
                return (!entry.command.is_empty()).then_some(entry);
            }
            let value = args.next()?;
            let number = || value.to_str()?.parse::<u64>().ok();
            match name {
                "--parent" => entry.parent = number()?.try_into().ok()?,
                "--join" => entry.join.push(value.into()),
                "--open-files" => entry.open_files = Some(number()?),
                "--data" => entry.data = Some(number()?),
                "--user" => entry.user = Some(number()?.try_into().ok()?),
                _ => return None,
            }
        }
    }

    /// Joins, limits, drops, and becomes the command.
    fn perform(&self) -> Result<Infallible, Error> {
        for folder in &self.join {
            let door = door(folder);
            fs::write(&door, "0").map_err(Error::file("join", door))?;
        }
        limit(Resource::Nofile, self.open_files)?;
        limit(Resource::Data, self.data)?;
        // A dump of a job's memory has no place on the host.
        limit(Resource::Core, Some(0))?;
        if let Some(user) = self.user {
            become_user(user)?;
        }
        // After the change of user, which clears it; bubblewrap sets it again for its own children.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Error::process("follow the driver")(error.into()))?;
        let parent = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        if parent != Some(self.parent) {
            return Err(Error::Cancelled);
        }
        set_no_new_privs(true)
            .map_err(|error| Error::process("forbid new privileges")(error.into()))?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(Error::Cancelled);
        };
        let source = Command::new(program).args(arguments).exec();
        let program = Path::new(program).display().to_string();
        Err(Error::Start { program, source })
    }
}

/// The file of a control group through which this process joins it.
///
/// A write to `cgroup.procs` waits for every fork and exit on the host to stand still, about 10 ms
/// on a quiet one. The first version has a file for one thread, too: a thread that moves itself
/// has nothing to wait for (Linux, `cgroup_procs_write_start`), and this process has but one.
fn door(group: &Path) -> PathBuf {
    let of_one_thread = group.join("tasks");
    if of_one_thread.exists() { of_one_thread } else { group.join("cgroup.procs") }
}

fn limit(resource: Resource, most: Option<u64>) -> Result<(), Error> {
    let Some(most) = most else { return Ok(()) };
    let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(|error| Error::process("set a limit")(error.into()))
}

fn become_user(user: u32) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(|error| Error::process("become the job's user")(error.into()))
}

/// The internal verb `enter`. Returns only when it fails.
pub fn enter(args: &[OsString]) -> Error {
    let Some(entry) = Entry::parse(args) else {
        return Error::Unfit {
            what: "`dyno enter` is started by dyno itself".to_owned(),
            hint: "see `dyno help`".to_owned(),
        };
    };
    match entry.perform() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let bare = Entry { parent: 7, command: vec!["bwrap".into()], ..Entry::default() };
        let full = Entry {
            parent: 4_000_000,
            join: vec!["/a b".into(), "/c".into()],
            open_files: Some(1024),
            data: Some(1 << 40),
            user: Some(100_000),
            command: ["bwrap", "--", "--user", "0"].map(OsString::from).to_vec(),
        };
        for entry in [bare, full] {
            assert_eq!(Entry::parse(&entry.arguments()[1..]), Some(entry));
        }
        for args in [&["--parent", "7"][..], &["--parent", "7", "--"], &["--user", "-1", "--", "x"]]
        {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            assert_eq!(Entry::parse(&args), None);
        }
    }
}
