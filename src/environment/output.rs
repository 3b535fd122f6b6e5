//! The job's output: gitlab-runner's pipe, which goes to the script as it is.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Gid, Uid, fchown, fstat};

/// What a shell says of a command that was killed.
pub const KILLED: i32 = 137;

/// Lets the job's user open the output again (`/dev/stderr`): only a pipe's owner can. The runner
/// makes one for each script.
pub fn adopt(output: &impl AsFd, uid: u32, gid: u32) {
    let is_pipe =
        fstat(output).is_ok_and(|file| FileType::from_raw_mode(file.st_mode) == FileType::Fifo);
    if is_pipe
        && let Err(error) = fchown(output, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    {
        tracing::debug!(%error, "the job cannot open its own output again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_owns_the_pipe_of_its_output_and_no_file() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let (_reader, writer) = std::io::pipe().unwrap();
        let file = tempfile::tempfile().unwrap();
        adopt(&writer, 4321, 4321);
        adopt(&file, 4321, 4321);
        assert_eq!(fstat(&writer).unwrap().st_uid, 4321);
        assert_eq!(fstat(&file).unwrap().st_uid, 0);
    }
}
