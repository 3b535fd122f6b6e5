//! Programs of a recipe that stand in `/bin`, among those of the host: for callers that are no bash,
//! which alone can have functions with slashes in their names.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::environment::Error;
use crate::environment::sandbox::spec::File;

/// Makes a `/bin` of links to the host's programs with the recipe's own among them; nothing where
/// the recipe has none. Nobody but the driver can write it.
pub fn make(bin: &Path, programs: &[File]) -> Result<(), Error> {
    if programs.is_empty() {
        return Ok(());
    }
    let make = || {
        fs::create_dir(bin)?;
        fs::set_permissions(bin, Permissions::from_mode(0o755))?;
        for program in programs {
            let Some(name) = program.path.file_name() else { continue };
            fs::write(bin.join(name), &program.content)?;
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755))?;
        }
        for entry in fs::read_dir("/usr/bin")?.flatten() {
            match symlink(entry.path(), bin.join(entry.file_name())) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    };
    make().map_err(Error::file("make", bin))
}

/// True where `/bin` is `/usr/bin`, so that one of links can stand in its place.
pub fn can_be() -> bool {
    fs::read_link("/bin").is_ok_and(|link| link == Path::new("usr/bin"))
}
