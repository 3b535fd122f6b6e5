//! What bubblewrap is told, as a pure function of the job and of what the host has.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::Script;
use crate::environment::relay::Listen;
use crate::environment::sandbox::spec::{Network, Spec};
use crate::environment::sandbox::{etc, folder, programs};

const PATH: &str = "/run/dyno/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The uid and gid inside.
const INSIDE: &str = "1000";

/// What of the host is shown to a job, as found on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `/bin`, `/lib`, … with where they link to; `None` for a folder.
    pub roots: Vec<(PathBuf, Option<PathBuf>)>,
    /// Folders of `/etc`.
    pub etc: Vec<&'static str>,
    /// Programs to bind over their places in the job's `bin` folder.
    pub programs: Vec<(PathBuf, &'static str)>,
    /// True where the job has a `/bin` of its own, with a recipe's programs.
    pub has_own_bin: bool,
}

impl Host {
    /// Looks at the host.
    pub fn look(spec: &Spec) -> Self {
        let roots = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
        let roots =
            roots.iter().map(PathBuf::from).filter(|root| fs::symlink_metadata(root).is_ok());
        let is_place = |name: &str| {
            let place = spec.folder.join("run/bin").join(name);
            fs::symlink_metadata(place).is_ok_and(|place| place.is_file() && place.len() == 0)
        };
        let programs = [(Some(&spec.program), "dyno"), (spec.runner.as_ref(), "gitlab-runner")];
        let programs = programs.into_iter().filter_map(|(program, name)| Some((program?, name)));
        Self {
            roots: roots
                .map(|root| (fs::read_link(&root).ok(), root))
                .map(|(l, r)| (r, l))
                .collect(),
            etc: etc::FOLDERS
                .into_iter()
                .filter(|it| Path::new("/etc").join(it).is_dir())
                .collect(),
            programs: programs
                .filter(|(_, name)| is_place(name))
                .map(|(program, name)| (program.clone(), name))
                .collect(),
            has_own_bin: programs::can_be() && spec.folder.join("bin").is_dir(),
        }
    }
}

/// How one script is started inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Where its relay listens.
    pub listen: Option<Listen>,
    /// Its limit of processes, where no control group holds it.
    pub processes: Option<u32>,
}

impl Start {
    /// The command line inside: the shell, behind `dyno inside` where something comes before it.
    pub fn command(&self, shell: &str) -> Vec<OsString> {
        let mut command: Vec<OsString> = Vec::new();
        if *self != Self::default() {
            command.extend(["/run/dyno/bin/dyno", "inside"].map(OsString::from));
            if let Some(listen) = &self.listen {
                command.push("--listen".into());
                command.push(
                    std::net::SocketAddr::new(listen.address, listen.port).to_string().into(),
                );
            }
            if let Some(processes) = self.processes {
                command.extend(["--processes".into(), processes.to_string().into()]);
            }
            command.push("--".into());
        }
        command.push(shell.into());
        command
    }
}

/// All that bubblewrap is told but the command, in the order in which it does it.
pub fn arguments(spec: &Spec, host: &Host, script: &Script<'_>, start: &Start) -> Vec<OsString> {
    let mut to = Arguments::default();
    isolate(&mut to, spec, start);
    to.all(["--ro-bind", "/usr", "/usr"]);
    let own_bin = spec.folder.join("bin");
    for (root, link) in &host.roots {
        match link {
            Some(_) if host.has_own_bin && root == Path::new("/bin") => {
                to.pair("--ro-bind", &own_bin, root);
            }
            Some(link) => to.pair("--symlink", link, root),
            None => to.pair("--ro-bind", root, root),
        }
    }
    to.pair("--ro-bind", spec.folder.join("etc"), "/etc");
    for name in &host.etc {
        let folder = Path::new("/etc").join(name);
        to.pair("--ro-bind", &folder, &folder);
    }
    if start.listen.as_ref().is_some_and(|listen| listen.name.is_some()) {
        to.pair("--ro-bind", spec.folder.join("hosts"), "/etc/hosts");
    }
    to.all(["--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]);
    to.pair("--bind", &spec.cache, "/cache");
    to.pair("--ro-bind", spec.folder.join("run"), "/run/dyno");
    for (program, name) in &host.programs {
        to.pair("--ro-bind", program, Path::new("/run/dyno/bin").join(name));
    }
    for (part, inside) in folder::PARTS {
        to.pair("--bind", spec.folder.join(part), inside);
    }
    for top in folder::file_tops(spec) {
        to.pair("--bind", spec.folder.join("files").join(top), Path::new("/").join(top));
    }
    for folder in &spec.folders {
        to.pair("--ro-bind", folder, folder);
    }
    let relay = script.relay.filter(|_| start.listen.is_some());
    for (socket, inside) in [
        (script.socket, "/run/dyno/socket"),
        (relay.map(|r| r.socket.as_path()), "/run/dyno/relay"),
    ] {
        if let Some(socket) = socket {
            to.pair("--bind", socket, inside);
        }
    }
    to.all(["--remount-ro", "/", "--chdir", "/builds"]);
    for (name, value) in environment(script) {
        to.pair("--setenv", name, value);
    }
    to.0
}

fn isolate(to: &mut Arguments, spec: &Spec, start: &Start) {
    to.all(["--die-with-parent", "--new-session", "--unshare-user", "--unshare-pid"]);
    to.all(["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    to.all(["--uid", INSIDE, "--gid", INSIDE, "--hostname"]);
    to.0.push(spec.name.clone().into());
    match spec.network {
        Network::None => to.all(["--unshare-net"]),
        Network::Host => (),
    }
    to.all(["--proc", "/proc"]);
    if !start.listen.as_ref().is_some_and(Listen::is_privileged) {
        return to.all(["--disable-userns", "--dev", "/dev"]);
    }
    // A capability holds in the network namespace only for the user namespace that made it. Both
    // `--dev` (for its terminals) and `--disable-userns` start the command in a further one, so the
    // devices are made by hand here. `dyno inside` gives the capabilities up before the shell starts.
    to.all(["--cap-add", "CAP_NET_BIND_SERVICE", "--cap-add", "CAP_SETPCAP"]);
    to.all(["--tmpfs", "/dev", "--dir", "/dev/shm"]);
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let device = Path::new("/dev").join(device);
        to.pair("--dev-bind", &device, &device);
    }
    for (target, link) in [("", "fd"), ("/0", "stdin"), ("/1", "stdout"), ("/2", "stderr")] {
        to.pair("--symlink", format!("/proc/self/fd{target}"), Path::new("/dev").join(link));
    }
}

/// The shell's environment: what the sandbox sets, under what the script sets.
fn environment<'a>(script: &Script<'a>) -> BTreeMap<&'a str, &'a str> {
    let mut all = BTreeMap::from([
        ("BASH_ENV", "/run/dyno/prelude.sh"),
        ("DYNO_EXPORTS", "/run/dyno/exports"),
        ("HOME", "/home/job"),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", "job"),
        ("PATH", PATH),
        ("SHELL", "/bin/bash"),
        ("USER", "job"),
    ]);
    if script.socket.is_some() {
        all.insert("DYNO_SOCKET", "/run/dyno/socket");
    }
    let theirs = script.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // bubblewrap would refuse all for one name or value that no environment can hold.
    all.extend(theirs.filter(|(name, value)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    }));
    all
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn all<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn pair(&mut self, what: &str, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
        self.0.extend([what.into(), from.as_ref().to_owned(), to.as_ref().to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::environment::Relay;
    use crate::environment::sandbox::spec::{File, Limits};
    use crate::unit::Span;

    fn spec(network: Network) -> Spec {
        Spec {
            name: "dyno-7".to_owned(),
            folder: "/state/jobs/dyno-7".into(),
            cache: "/state/cache/3/open".into(),
            network,
            limits: Limits {
                memory: None,
                processes: None,
                open_files: None,
                grace: Span::seconds(1),
            },
            folders: vec!["/opt/jdk".into()],
            user: Some(100_000),
            owner: 1,
            runner_folder: None,
            program: "/usr/local/bin/dyno".into(),
            names: Vec::new(),
            runner: None,
            files: ["/app/a", "/app/b/c"]
                .map(|path| File { path: path.into(), content: String::new(), executable: false })
                .to_vec(),
            programs: Vec::new(),
            prelude: String::new(),
        }
    }

    fn host() -> Host {
        Host {
            roots: vec![("/bin".into(), Some("usr/bin".into())), ("/lib64".into(), None)],
            etc: vec!["ssl"],
            programs: vec![("/usr/local/bin/dyno".into(), "dyno")],
            has_own_bin: false,
        }
    }

    fn told(network: Network, start: &Start) -> Vec<String> {
        let environment = BTreeMap::from([("A".to_owned(), "--unshare-none".to_owned())]);
        let relay =
            Relay { host: "gitlab".to_owned(), port: 80, socket: "/run/sockets/gitlab".into() };
        let script = Script {
            file: Path::new("/tmp/script"),
            shell: "bash",
            environment: &environment,
            socket: Some(Path::new("/run/sockets/guest")),
            relay: Some(&relay),
        };
        let told = arguments(&spec(network), &host(), &script, start);
        told.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    fn has(told: &[String], words: &[&str]) -> bool {
        told.windows(words.len()).any(|window| window == words)
    }

    #[test]
    fn nothing_of_the_host_is_bound_but_what_is_on_the_list() {
        let told = told(Network::None, &Start::default());
        let bound = |how: &str| -> BTreeSet<(String, String)> {
            let windows = told.windows(3).filter(|window| window[0] == how);
            windows.map(|window| (window[1].clone(), window[2].clone())).collect()
        };
        let pairs = |pairs: &[(&str, &str)]| -> BTreeSet<(String, String)> {
            pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
        };
        let job = |part: &str| format!("/state/jobs/dyno-7/{part}");
        assert_eq!(
            bound("--ro-bind"),
            pairs(&[
                ("/usr", "/usr"),
                ("/lib64", "/lib64"),
                (&job("etc"), "/etc"),
                ("/etc/ssl", "/etc/ssl"),
                (&job("run"), "/run/dyno"),
                ("/usr/local/bin/dyno", "/run/dyno/bin/dyno"),
                ("/opt/jdk", "/opt/jdk"),
            ])
        );
        assert_eq!(
            bound("--bind"),
            pairs(&[
                ("/state/cache/3/open", "/cache"),
                (&job("builds"), "/builds"),
                (&job("home"), "/home/job"),
                (&job("tmp"), "/tmp"),
                (&job("exports"), "/run/dyno/exports"),
                (&job("files/app"), "/app"),
                ("/run/sockets/guest", "/run/dyno/socket"),
            ])
        );
        assert!(bound("--dev-bind").is_empty());
        assert!(has(&told, &["--remount-ro", "/"]));
    }

    #[test]
    fn every_wall_stands_whatever_is_started() {
        let listen = |port| Some(Listen { address: Ipv4Addr::LOCALHOST.into(), port, name: None });
        for (network, port) in [
            (Network::None, None),
            (Network::Host, None),
            (Network::None, Some(80)),
            (Network::None, Some(8080)),
        ] {
            let start = Start { listen: port.and_then(listen), processes: None };
            let told = told(network, &start);
            for wall in ["user", "pid", "ipc", "uts", "cgroup-try"] {
                assert!(has(&told, &[&format!("--unshare-{wall}")]), "{wall}");
            }
            for words in [
                &["--die-with-parent"][..],
                &["--new-session"],
                &["--uid", "1000"],
                &["--proc", "/proc"],
            ] {
                assert!(has(&told, words), "{words:?}");
            }
            assert_eq!(has(&told, &["--unshare-net"]), network == Network::None);
            let needs_capability = port.is_some_and(|port| port < 1024);
            assert_eq!(has(&told, &["--cap-add"]), needs_capability);
            assert_eq!(has(&told, &["--disable-userns"]), !needs_capability);
            let sees_relay = has(&told, &["/run/sockets/gitlab", "/run/dyno/relay"]);
            assert_eq!(sees_relay, port.is_some());
            assert!(has(&told, &["--setenv", "A", "--unshare-none"]));
        }
    }

    #[test]
    fn a_relay_listens_on_the_sandboxs_own_address_or_not_at_all() {
        let name = |name: &str| Some(name.to_owned());
        for (host, expected) in [
            ("gitlab.example.com", Some(("127.0.0.1", name("gitlab.example.com")))),
            ("localhost", Some(("127.0.0.1", None))),
            ("127.0.0.1", Some(("127.0.0.1", None))),
            ("127.8.9.1", Some(("127.8.9.1", None))),
            ("[::1]", Some(("::1", None))),
            ("192.168.0.1", None),
            ("fe80::1", None),
            ("", None),
            ("a b", None),
            ("a\nb", None),
        ] {
            let relay = Relay { host: host.to_owned(), port: 80, socket: PathBuf::new() };
            let found = Listen::new(&relay).ok().map(|it| (it.address.to_string(), it.name));
            assert_eq!(found, expected.map(|(at, name)| (at.to_owned(), name)), "{host}");
        }
    }

    #[test]
    fn dyno_comes_before_the_shell_only_where_it_is_needed() {
        let listen = Some(Listen { address: Ipv4Addr::LOCALHOST.into(), port: 80, name: None });
        for (start, expected) in [
            (Start::default(), "bash"),
            (
                Start { listen: listen.clone(), processes: None },
                "/run/dyno/bin/dyno inside --listen 127.0.0.1:80 -- bash",
            ),
            (
                Start { listen, processes: Some(9) },
                "/run/dyno/bin/dyno inside --listen 127.0.0.1:80 --processes 9 -- bash",
            ),
        ] {
            let command = start.command("bash");
            let words: Vec<_> = command.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), expected);
        }
    }
}
