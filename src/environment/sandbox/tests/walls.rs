//! What a job cannot do and cannot see.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use tokio_util::sync::CancellationToken;

use super::{Driver, alone, as_both};
use crate::environment::ScriptEnd;
use crate::environment::sandbox::Network;
use crate::environment::sandbox::run::STARTING;

#[test]
fn a_job_without_network_has_its_own_loopback_only() {
    as_both(|mut bench| async move {
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = host.local_addr().unwrap().port();
        let knock = format!("(: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached; true");
        let script = format!("{knock}; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '");
        bench.prepare().await;
        assert_eq!(bench.run(&script).await.said, "lo\n");
        bench.spec.network = Network::Host;
        bench.prepare().await;
        assert!(bench.run(&script).await.said.starts_with("reached\n"));
    });
}

#[test]
fn the_kernels_keyrings_are_closed() {
    as_both(|bench| async move {
        bench.prepare().await;
        // keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), and an ordinary call beside it.
        let script = "python3 -c 'import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
number = {\"x86_64\": 250, \"aarch64\": 219}[platform.machine()]
print(libc.syscall(number, 0, -3, 0), os.strerror(ctypes.get_errno()), os.getpid() > 0)'";
        assert_eq!(bench.run(script).await.said, "-1 Function not implemented True\n");
    });
}

#[test]
fn a_job_has_no_capabilities_and_cannot_get_any() {
    as_both(|bench| async move {
        bench.prepare().await;
        let ran = bench.run("id -u; id -g; grep -E '^(Cap|NoNew)' /proc/self/status").await;
        let none = "0000000000000000";
        let caps = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t{none}\n"));
        assert_eq!(ran.said, format!("1000\n1000\n{}NoNewPrivs:\t1\n", caps.concat()));
        let ran = bench.run("unshare --user true && echo made; unshare --mount true").await;
        assert!(!ran.said.contains("made"), "{}", ran.said);
        assert_ne!(ran.end, ScriptEnd::Exited(0));
    });
}

#[test]
fn a_job_writes_to_its_own_folders_only() {
    as_both(|bench| async move {
        bench.prepare().await;
        let all = "for d in / /usr /usr/bin /etc /etc/ssl /run /run/dyno /run/dyno/bin /home /var \
            /proc/sys/kernel /builds /cache /tmp /var/tmp /home/job /run/dyno/exports /dev/shm; do \
            (: >$d/new-file) 2>/dev/null && echo $d; done; true";
        let expected = "/builds\n/cache\n/tmp\n/var/tmp\n/home/job\n/run/dyno/exports\n/dev/shm\n";
        assert_eq!(bench.run(all).await.said, expected);
        let program = "echo x >/run/dyno/bin/dyno || rm /run/dyno/bin/dyno || mv /run/dyno/bin /x";
        assert_ne!(bench.run(program).await.end, ScriptEnd::Exited(0));
        assert!(fs::metadata(&bench.spec.program).unwrap().len() > 1000);
    });
}

#[test]
fn a_job_sees_neither_the_hosts_secrets_nor_its_processes() {
    as_both(|bench| async move {
        bench.prepare().await;
        let ran = bench
            .run(
                "ls -d /etc/shadow /etc/dyno /root /sys /boot /mnt /srv 2>/dev/null; \
            ls /home; cut -d: -f1 /etc/passwd; ls /proc | grep -c '^[0-9]'; hostname",
            )
            .await;
        let lines: Vec<_> = ran.said.lines().collect();
        let [home, root, job, nobody, n_processes, name] = lines[..] else {
            panic!("{}", ran.said)
        };
        assert_eq!([home, root, job, nobody, name], ["job", "root", "job", "nobody", "dyno-4711"]);
        assert!(n_processes.parse::<u32>().unwrap() < 8, "{n_processes}");
        // Its own folder on the host is not seen under its path there either.
        let folder = bench.spec.folder.display();
        assert_eq!(bench.run(&format!("ls -d {folder}")).await.end, ScriptEnd::Exited(2));
    });
}

#[test]
fn a_setuid_program_has_no_effect() {
    alone(Driver::Root, |mut bench| async move {
        let granted = bench.place.join("granted");
        fs::create_dir(&granted).unwrap();
        fs::copy("/usr/bin/id", granted.join("id")).unwrap();
        fs::set_permissions(granted.join("id"), PermissionsExt::from_mode(0o6755)).unwrap();
        bench.spec.folders.push(granted.clone());
        bench.prepare().await;
        let script = format!(
            "stat -c %a {0}/id; {0}/id; awk '$4 !~ /nosuid/ && $3 != \"proc\"' /proc/self/mounts",
            granted.display()
        );
        let said = bench.run(&script).await.said;
        assert_eq!(said, "6755\nuid=1000(job) gid=1000(job) groups=1000(job)\n");
    });
}

#[test]
fn the_environment_is_what_the_script_brings_and_shows_nowhere_else() {
    as_both(|mut bench| async move {
        bench.environment.insert("TOKEN".to_owned(), "glpat-very-secret".to_owned());
        bench.environment.insert("LD_LIBRARY_PATH".to_owned(), "/nowhere".to_owned());
        bench.environment.insert("LANG".to_owned(), "de_DE".to_owned());
        bench.environment.insert("NOT=A=NAME".to_owned(), "x".to_owned());
        bench.prepare().await;
        let cancel = CancellationToken::new();
        let script = "compgen -e | sort | tr '\\n' ' '; echo; echo $LANG $TOKEN; sleep 1000";
        let mut lines = Vec::new();
        let (ran, ()) = tokio::join!(bench.run_until(script, &cancel), async {
            bench.heard("very-secret").await;
            lines = fs::read_dir("/proc")
                .unwrap()
                .filter_map(|it| fs::read(it.unwrap().path().join("cmdline")).ok())
                .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
                .collect();
            cancel.cancel();
        });
        let said = ran.unwrap().said;
        let names = "BASH_ENV DYNO_EXPORTS HOME LANG LD_LIBRARY_PATH LOGNAME PATH PWD SHELL SHLVL \
            TOKEN USER ";
        assert_eq!(said, format!("{names}\nde_DE glpat-very-secret\n"));
        let own: Vec<_> = lines.iter().filter(|line| line.contains("bwrap --args")).collect();
        assert!(!own.is_empty());
        assert!(!lines.iter().any(|line| line.contains("very-secret")), "{lines:?}");
    });
}

/// The descriptors that this test program was started with and would hand on to anybody.
fn inherited() -> Vec<String> {
    let _no_start = STARTING.lock().unwrap();
    let fds = fs::read_dir("/proc/self/fdinfo").unwrap();
    let is_handed_on = |info: &str| {
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 == 0
    };
    fds.map(|fd| fd.unwrap())
        .filter(|fd| fs::read_to_string(fd.path()).is_ok_and(|info| is_handed_on(&info)))
        .map(|fd| fd.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn no_descriptor_of_the_driver_gets_in() {
    as_both(|bench| async move {
        bench.prepare().await;
        let said = bench.run("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done").await.said;
        let known = inherited();
        let unknown: Vec<_> = said.lines().filter(|fd| !known.iter().any(|it| it == fd)).collect();
        // bash's own, for the listing.
        assert!(unknown.iter().all(|fd| ["255", "3"].contains(fd)), "{unknown:?} {known:?}");
    });
}

#[test]
fn a_job_cannot_open_the_runners_script_again() {
    alone(Driver::Root, |bench| async move {
        bench.prepare().await;
        let ran = bench.run("cat /proc/$$/fd/0").await;
        assert!(ran.said.contains("Permission denied"), "{}", ran.said);
    });
}
