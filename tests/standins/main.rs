//! `standins shop|wavefront|gitlab|hostile|runner`: servers on loopback for the demo and the bench, and
//! an emulated runner that can be killed. Called `gitlab-runner` it is the helper that scripts call.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a stand-in says what it does, and stops at the first surprise"
)]

#[path = "mod.rs"]
mod standins;
#[path = "../hostile/mod.rs"]
mod hostile;
#[path = "../hostile/serve.rs"]
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use standins::{gitlab, runner, shop, wavefront};

/// Servers on loopback that stand in for what tests and the demo cannot have.
#[derive(Debug, Parser)]
#[command(name = "standins")]
enum Arguments {
    /// A shop like the ACME Fitness demo
    Shop {
        /// Port on 127.0.0.1, 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Milliseconds before each answer
        #[arg(long, default_value_t = 0.0)]
        latency_ms: f64,
        /// Share of requests answered with 500
        #[arg(long, default_value_t = 0.0)]
        error_rate: f64,
        /// Milliseconds of processor time burnt for each answer
        #[arg(long, default_value_t = 0.0)]
        cpu_ms: f64,
    },
    /// Wavefront's chart API
    Wavefront {
        /// Port on 127.0.0.1, 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// The token that may ask
        #[arg(long)]
        token: String,
        /// Follow this shop's processor time, in millicores
        #[arg(long)]
        shop: Option<SocketAddr>,
        /// A constant value instead
        #[arg(long, conflicts_with = "shop")]
        value: Option<f64>,
        /// Metric name
        #[arg(long, default_value = "kubernetes.pod_container.cpu.usage_rate")]
        metric: String,
        /// Point tags, KEY=VALUE
        #[arg(long = "tag", value_parser = key_value)]
        tags: Vec<(String, String)>,
    },
    /// GitLab's API: variables of project 4217, the job of token JOB-TOKEN-50001
    Gitlab {
        /// Port on 127.0.0.1, 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// The token that may write variables
        #[arg(long)]
        token: String,
    },
    /// Metric sources that answer badly in every way the gate is held to
    Hostile {
        /// Port on 127.0.0.1, 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Run one job as gitlab-runner would; the log on stdout, the result in SPEC.job
    Runner {
        /// JSON of a `runner::Spec`
        spec: PathBuf,
        /// Values to mask
        #[arg(long)]
        mask: Vec<String>,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let mut words = std::env::args();
    let name = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let is_helper = Path::new(&name).file_name().is_some_and(|name| name == "gitlab-runner");
    // The runner that a test kills is the same program under the same name.
    if is_helper && rest.first().is_none_or(|first| first != "runner") {
        return ExitCode::from(runner::answer_helper_command(&rest));
    }
    start(Arguments::parse())
}

fn start(arguments: Arguments) -> ExitCode {
    let milliseconds = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
    let server = match arguments {
        Arguments::Shop { port, latency_ms, error_rate, cpu_ms } => {
            let (latency, cpu) = (milliseconds(latency_ms), milliseconds(cpu_ms));
            shop::Shop::open(port, shop::Dial { latency, error_rate, cpu })
                .map(|(_, server)| server)
        }
        Arguments::Wavefront { port, token, shop, value, metric, tags } => {
            let tags: Vec<(&str, &str)> =
                tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let series = match (shop, value) {
                (Some(shop), _) => {
                    let feed = wavefront::Feed::default();
                    feed.follow(shop);
                    wavefront::Series::fed(&metric, &tags, feed)
                }
                (None, value) => {
                    wavefront::Series::constant(&metric, &tags, value.unwrap_or_default())
                }
            };
            wavefront::Wavefront::start(port, &token, vec![series]).map(|(_, server)| server)
        }
        Arguments::Gitlab { port, token } => {
            gitlab::GitLab::start(port, &token).map(|(site, server)| {
                site.seat(gitlab::Seat::default());
                server
            })
        }
        Arguments::Hostile { port } => {
            return serve::run(port)
                .map_or_else(|error| cannot_listen(&error), |()| ExitCode::SUCCESS);
        }
        Arguments::Runner { spec, mask } => return run_job(&spec, mask),
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => return cannot_listen(&error),
    };
    println!("{}", server.url());
    server.serve();
    ExitCode::SUCCESS
}

fn cannot_listen(error: &std::io::Error) -> ExitCode {
    eprintln!("standins: cannot listen: {error}");
    ExitCode::FAILURE
}

fn run_job(file: &Path, mask: Vec<String>) -> ExitCode {
    let text = std::fs::read(file).expect("a readable spec");
    let spec = serde_json::from_slice(&text).expect("JSON of a runner::Spec");
    let log = Arc::new(runner::Log::masking(mask).echoing());
    let job = runner::start(spec, log).end();
    let result = serde_json::to_vec(&job).expect("plain data");
    std::fs::write(file.with_extension("job"), result).expect("a writable folder");
    ExitCode::SUCCESS
}
