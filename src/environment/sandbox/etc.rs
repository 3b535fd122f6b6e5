//! The sandbox's `/etc`: made, with the few parts of the host's that programs cannot do without.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::environment::Error;
use crate::environment::sandbox::folder::write;
use crate::environment::sandbox::spec::Network;

/// Folders of the host's `/etc` that are seen inside: certificates, and what `/usr` links to.
pub const FOLDERS: [&str; 4] = ["alternatives", "ca-certificates", "pki", "ssl"];

/// Files of the host's `/etc` that are copied.
const FILES: [&str; 7] = [
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "mime.types",
    "protocols",
    "services",
    "timezone",
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/usr/sbin/nologin
job:x:1000:1000:job:/home/job:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:x:0:\njob:x:1000:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
";

/// Makes `/etc` at `etc`.
pub fn make(etc: &Path, name: &str, network: Network) -> Result<(), Error> {
    fs::create_dir(etc).map_err(Error::file("create", etc))?;
    let host = Path::new("/etc");
    write(&etc.join("passwd"), PASSWD, 0o644)?;
    write(&etc.join("group"), GROUP, 0o644)?;
    write(&etc.join("nsswitch.conf"), NSSWITCH, 0o644)?;
    let theirs = match network {
        Network::None => String::new(),
        Network::Host => fs::read_to_string(host.join("hosts")).unwrap_or_default(),
    };
    write(&etc.join("hosts"), &hosts(name, &theirs, None), 0o644)?;
    for folder in FOLDERS.into_iter().filter(|folder| host.join(folder).is_dir()) {
        let folder = etc.join(folder);
        fs::create_dir(&folder).map_err(Error::file("create", folder))?;
    }
    let resolver = match network {
        Network::None => None,
        Network::Host => Some("resolv.conf"),
    };
    for file in FILES.into_iter().chain(resolver) {
        copy(&host.join(file), &etc.join(file))?;
    }
    let parts = etc.join("ld.so.conf.d");
    fs::create_dir(&parts).map_err(Error::file("create", &parts))?;
    for file in fs::read_dir(host.join("ld.so.conf.d")).into_iter().flatten().flatten() {
        copy(&file.path(), &parts.join(file.file_name()))?;
    }
    if let Ok(zone) = fs::read_link(host.join("localtime")) {
        let link = etc.join("localtime");
        symlink(zone, &link).map_err(Error::file("create", link))?;
    }
    Ok(())
}

/// Copies a file of the host; one that it does not have is left out.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    match fs::read(from) {
        Ok(content) => fs::write(to, content).map_err(Error::file("write", to)),
        Err(_) => Ok(()),
    }
}

/// The text of `/etc/hosts`: the job's own name, the host's entries, and the name that is relayed.
pub fn hosts(name: &str, theirs: &str, relayed: Option<&str>) -> String {
    let relayed = relayed.map(|host| format!("127.0.0.1\t{host}\n")).unwrap_or_default();
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{name}\n{relayed}{theirs}")
}
