//! Claims about a real sandbox, as root and without.

mod ends;
mod walls;
mod parts;
mod limits;
mod relays;
mod remains;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Gid, Uid};
use tokio_util::sync::CancellationToken;

use crate::environment::sandbox::{Limits, Network, Sandbox, Spec, process};
use crate::environment::{Environment, Error, Relay, Script, ScriptEnd};
use crate::unit::Span;

/// Who the driver is, and with it the job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    Root,
    User,
}

/// The job's user on the host under root, and the unprivileged driver's.
const JOB: u32 = 100_321;
const USER: u32 = 1234;

/// A job on a state folder of its own.
struct Bench {
    place: PathBuf,
    spec: Spec,
    environment: BTreeMap<String, String>,
    relay: Option<Relay>,
}

/// What the script said, and how it ended.
#[derive(Debug)]
struct Ran {
    end: ScriptEnd,
    said: String,
}

/// The program, which `cargo test --lib` does not build by itself.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("dyno");
    assert!(program.is_file(), "no {}: run `cargo build` first", program.display());
    program
}

impl Bench {
    fn new(place: &Path, driver: Driver) -> Self {
        let state = place.join("state");
        let spec = Spec {
            name: "dyno-4711".to_owned(),
            folder: state.join("jobs/dyno-4711"),
            cache: state.join("cache/7/open"),
            network: Network::None,
            limits: Limits {
                memory: None,
                processes: None,
                open_files: None,
                grace: Span::seconds(20),
            },
            folders: Vec::new(),
            user: (driver == Driver::Root).then_some(JOB),
            owner: std::process::id(),
            runner_folder: None,
            program: place.join("dyno"),
            names: vec!["kubectl".to_owned(), "locust".to_owned()],
            runner: None,
            files: Vec::new(),
            programs: Vec::new(),
            prelude: "prelude=sourced\n".to_owned(),
        };
        Self { place: place.to_owned(), spec, environment: BTreeMap::new(), relay: None }
    }

    fn is_root(&self) -> bool {
        self.spec.user.is_some()
    }

    fn environment(&self) -> Sandbox {
        Sandbox::new(self.spec.clone())
    }

    async fn prepare(&self) {
        self.environment().prepare(&CancellationToken::new()).await.unwrap();
    }

    /// Runs a script; what it says goes into its home, where a test can read it.
    async fn run(&self, script: &str) -> Ran {
        self.run_until(script, &CancellationToken::new()).await.unwrap()
    }

    async fn run_until(&self, script: &str, cancel: &CancellationToken) -> Result<Ran, Error> {
        fs::remove_file(self.said()).ok();
        let file = self.script(script);
        let script = Script {
            file: &file,
            shell: "bash",
            environment: &self.environment,
            socket: None,
            relay: self.relay.as_ref(),
        };
        let end = self.environment().run(&script, cancel).await?;
        Ok(Ran { end, said: fs::read_to_string(self.said()).unwrap_or_default() })
    }

    /// A script as the runner's: for its owner only.
    fn script(&self, script: &str) -> PathBuf {
        let file = self.place.join("script");
        fs::write(&file, format!("exec >$HOME/said 2>&1\n{script}\n")).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o700)).unwrap();
        file
    }

    fn said(&self) -> PathBuf {
        self.part("home").join("said")
    }

    /// Waits until the script has said something.
    async fn heard(&self, word: &str) {
        until(|| fs::read_to_string(self.said()).is_ok_and(|said| said.contains(word))).await;
    }

    fn part(&self, name: &str) -> PathBuf {
        self.spec.folder.join(name)
    }

    fn n_inmates(&self) -> usize {
        process::inmates(&self.part("builds")).len()
    }
}

/// Waits for something that happens, without a guess how long it takes.
async fn until(mut look: impl FnMut() -> bool) {
    while !look() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Shows a claim with the driver as root and as an unprivileged user.
fn as_both<F, T>(claim: F)
where
    F: Fn(Bench) -> T + Copy + Send + 'static,
    T: Future<Output = ()>,
{
    for driver in [Driver::Root, Driver::User] {
        alone(driver, claim);
    }
}

/// Shows a claim with one driver, in a thread of its own: dropping root's rights is a matter of one
/// thread, and of all that it starts.
fn alone<F, T>(driver: Driver, claim: F)
where
    F: Fn(Bench) -> T + Send + 'static,
    T: Future<Output = ()>,
{
    let is_root = rustix::process::geteuid().is_root();
    if driver == Driver::Root && !is_root {
        eprintln!("skipped: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
    let dyno = place.join("dyno");
    fs::hard_link(program(), &dyno).or_else(|_| fs::copy(program(), &dyno).map(|_| ())).unwrap();
    let thread = std::thread::spawn(move || {
        if driver == Driver::User && is_root {
            let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let bench = Bench::new(&place, driver);
        runtime.enable_all().build().unwrap().block_on(claim(bench));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
