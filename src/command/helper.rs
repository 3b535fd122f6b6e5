//! `gitlab-runner` inside of a job, answered by dyno: the helper commands that scripts call.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::job::{ProcessVars, Vars};
use crate::pipeline::helper::{self, Access, Failure, Log, Selection, Upload};

/// What a script calls; flags of a real runner that change nothing here are taken and ignored.
#[derive(Debug, Parser)]
#[command(name = "gitlab-runner", disable_version_flag = true)]
struct Cli {
    #[arg(long, short)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    ArtifactsUploader(Uploader),
    ArtifactsDownloader(Downloader),
    CacheExtractor(Extractor),
    CacheArchiver(Archiver),
}

#[derive(Debug, clap::Args)]
struct Server {
    #[arg(long)]
    url: String,
    #[arg(long)]
    token: String,
    #[arg(long)]
    id: u64,
}

impl From<Server> for Access {
    fn from(server: Server) -> Self {
        Self { url: server.url, token: server.token, id: server.id }
    }
}

#[derive(Debug, clap::Args)]
struct Files {
    #[arg(long)]
    path: Vec<String>,
    #[arg(long)]
    exclude: Vec<String>,
    #[arg(long)]
    untracked: bool,
}

impl Files {
    fn selection(self, vars: &dyn Vars) -> std::io::Result<Selection> {
        let expanded =
            |texts: Vec<String>| texts.iter().map(|text| helper::expanded(text, vars)).collect();
        Ok(Selection {
            folder: std::env::current_dir()?,
            paths: expanded(self.path),
            exclude: expanded(self.exclude),
            untracked: self.untracked,
        })
    }
}

#[derive(Debug, clap::Args)]
struct Uploader {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    files: Files,
    #[arg(long, default_value = "")]
    name: String,
    #[arg(long)]
    expire_in: Option<String>,
    #[arg(long, default_value = "zip")]
    artifact_format: String,
    #[arg(long, default_value = "archive")]
    artifact_type: String,
    #[arg(long)]
    timeout: Option<String>,
    #[arg(long)]
    response_header_timeout: Option<String>,
    #[arg(long)]
    compression_level: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Downloader {
    #[command(flatten)]
    server: Server,
    #[arg(long)]
    direct_download: bool,
    #[arg(long)]
    archiver_staging_dir: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Extractor {
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    timeout: Option<String>,
    #[arg(long)]
    env_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Archiver {
    #[arg(long)]
    file: PathBuf,
    #[command(flatten)]
    files: Files,
    #[arg(long)]
    alternate_file: Option<PathBuf>,
    #[arg(long)]
    timeout: Option<String>,
    #[arg(long)]
    env_file: Option<PathBuf>,
    #[arg(long)]
    compression_level: Option<String>,
    #[arg(long)]
    metadata: Vec<String>,
    #[arg(long)]
    max_uploaded_archive_size: Option<u64>,
}

/// Answers as `gitlab-runner`; `argv` starts with that name. Returns the exit code.
pub fn run(argv: &[OsString]) -> u8 {
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => {
            // Help is no failure; nobody is left to read when the stream is gone.
            let _gone = error.print();
            return u8::from(error.use_stderr());
        }
    };
    let mut err = std::io::stderr();
    let mut log = Log::new(&mut err);
    let ended = if let Some(command) = cli.command {
        answer(command, &ProcessVars, &mut log)
    } else {
        version();
        Ok(())
    };
    match ended {
        Ok(()) => 0,
        Err(Failure::Fatal(told)) => {
            if !told.is_empty() {
                log.fatal(&told);
            }
            1
        }
    }
}

fn version() {
    let version = env!("CARGO_PKG_VERSION");
    let _gone = writeln!(
        std::io::stdout(),
        "Version:      {version}\nGit revision: dyno\nOS/Arch:      linux"
    );
}

fn answer(command: Command, vars: &dyn Vars, log: &mut Log<'_>) -> Result<(), Failure> {
    let fatal = |error: std::io::Error| Failure::Fatal(error.to_string());
    match command {
        Command::ArtifactsUploader(args) => {
            let upload = Upload {
                selection: args.files.selection(vars).map_err(fatal)?,
                name: helper::expanded(&args.name, vars),
                expire_in: args.expire_in,
                format: args.artifact_format,
                kind: args.artifact_type,
            };
            let access = args.server.into();
            in_runtime(helper::upload(&access, &upload, log))
        }
        Command::ArtifactsDownloader(args) => {
            let folder = std::env::current_dir().map_err(fatal)?;
            let access = args.server.into();
            in_runtime(helper::download(&access, &folder, log))
        }
        Command::CacheExtractor(args) => {
            let folder = std::env::current_dir().map_err(fatal)?;
            helper::extract(&args.file, &folder, log)
        }
        Command::CacheArchiver(args) => {
            let selection = args.files.selection(vars).map_err(fatal)?;
            helper::archive(&args.file, &selection, log)
        }
    }
}

fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Fatal(error.to_string()))?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_the_documented_shapes_is_taken() {
        for line in [
            "gitlab-runner --version",
            "gitlab-runner artifacts-uploader --url http://H --token T --id 50001 --timeout 1h0m0s \
             --response-header-timeout 10m0s --path out/ --name results --expire-in week \
             --artifact-format zip --artifact-type archive --exclude x --untracked",
            "gitlab-runner artifacts-downloader --url http://H --token T --id 50001",
            "gitlab-runner cache-extractor --file ../c.zip --timeout 10",
            "gitlab-runner cache-archiver --file ../c.zip --alternate-file ../d.zip --timeout 10 \
             --path cached/ --env-file e",
        ] {
            let words = line.split_whitespace();
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
