//! The stages between prepare and cleanup: which come, in which order, after which failure.

use std::time::Duration;

use tokio::time::Instant;

use crate::pipeline::build::Status;
use crate::pipeline::runner::attempt::{Attempt, Failure, private_folder, write_new};
use crate::pipeline::runner::call::{Call, Stops, Stream, Why, call};
use crate::pipeline::runner::interrupt::Level;
use crate::pipeline::runner::trace::Source;
use crate::pipeline::script::{Passed, Stage, generate};
use crate::pipeline::variables;
use crate::unit::Span;

const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Said when a user's script meets a timeout.
const TIMED_OUT: &str = "could not run to completion because the timeout was exceeded. For more \
                         control over job and script timeouts see: https://docs.gitlab.com/ci/runners/\
                         configure_runners/#set-script-and-after_script-timeouts";

impl Attempt<'_> {
    /// Everything between prepare and cleanup.
    pub(super) async fn stages(&mut self) -> Result<(), Failure> {
        match self.stage(Stage::PrepareScript, None).await {
            Ok(()) => (),
            Err(Failure::Script(code)) => return Err(not_prepared(&format!("exit status {code}"))),
            Err(Failure::System(told)) => return Err(not_prepared(&told)),
            Err(stopped) => return Err(stopped),
        }
        let mut result = self.sources().await;
        if result.is_ok() {
            result = self.script().await;
        }
        if ends_at_once(&result) {
            return result;
        }
        let passed = if result.is_ok() { Passed::Yes } else { Passed::No };
        for stage in [Stage::ArchiveCache(passed), Stage::UploadArtifacts(passed)] {
            let ended = self.stage(stage, None).await;
            if matches!(ended, Err(Failure::Stopped(Why::Forced | Why::JobTimeout))) {
                return ended;
            }
            result = result.and(ended);
        }
        let ended = self.stage(Stage::CleanupFileVariables, None).await;
        result.and(ended)
    }

    /// What comes before the user's script; no `after_script` follows when it fails.
    async fn sources(&mut self) -> Result<(), Failure> {
        for (stage, attempts) in [
            (Stage::GetSources, "GET_SOURCES_ATTEMPTS"),
            (Stage::RestoreCache, "RESTORE_CACHE_ATTEMPTS"),
            (Stage::DownloadArtifacts, "ARTIFACT_DOWNLOAD_ATTEMPTS"),
        ] {
            let attempts = variables::get(&self.build, attempts).parse().unwrap_or(1);
            self.tried(stage, u32::clamp(attempts, 1, 10)).await?;
        }
        Ok(())
    }

    /// Tries a stage again, whatever class its failure has.
    async fn tried(&mut self, stage: Stage, attempts: u32) -> Result<(), Failure> {
        let mut pause = self.around.timing.stage_pause;
        let mut attempt = 1;
        loop {
            let failure = match self.stage(stage, None).await {
                Err(failure @ (Failure::Script(_) | Failure::System(_))) => failure,
                other => return other,
            };
            if attempt == attempts {
                return Err(failure);
            }
            attempt += 1;
            self.trace.say("\u{1b}[0;33mWARNING: Retrying...\u{1b}[0;m");
            self.pause(pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            if stage == Stage::GetSources && attempt == 2 {
                self.stage(Stage::ClearWorktree, None).await?;
            }
        }
    }

    /// The user's script, then `after_script` whatever became of it.
    async fn script(&mut self) -> Result<(), Failure> {
        let limit = span(&variables::get(&self.build, "RUNNER_SCRIPT_TIMEOUT"));
        let result = self.stage(Stage::BuildScript, limit).await;
        match &result {
            Err(Failure::Stopped(Why::Cancelled)) => {
                let told = "WARNING: script canceled externally (UI, API)";
                self.trace.say(&format!("\u{1b}[0;33m{told}\u{1b}[0;m"));
            }
            Err(Failure::Stopped(Why::JobTimeout | Why::ScriptTimeout)) => {
                self.trace.say(&format!("\u{1b}[0;33mWARNING: step_script {TIMED_OUT}\u{1b}[0;m"));
            }
            Ok(()) | Err(_) => (),
        }
        if ends_at_once(&result) {
            return result;
        }
        self.build.status = Self::status_after(&result);
        let limit = span(&variables::get(&self.build, "RUNNER_AFTER_SCRIPT_TIMEOUT"));
        let limit = limit.unwrap_or(AFTER_SCRIPT_TIMEOUT);
        let ended = self.stage(Stage::AfterScript, Some(limit)).await;
        let told = match &ended {
            Ok(()) => return result,
            Err(Failure::Stopped(Why::Forced | Why::JobTimeout)) => return ended,
            Err(Failure::Script(code)) => format!("exit status {code}"),
            Err(Failure::System(told)) => told.clone(),
            Err(Failure::Stopped(Why::Cancelled)) => "context canceled".to_owned(),
            Err(Failure::Stopped(Why::ScriptTimeout)) => "context deadline exceeded".to_owned(),
        };
        if variables::get(&self.build, "AFTER_SCRIPT_IGNORE_ERRORS") == "false" {
            return result.and(ended);
        }
        self.trace.say(&format!(
            "\u{1b}[0;33mWARNING: after_script failed, but job will continue unaffected: {told}\u{1b}[0;m"
        ));
        result
    }

    /// One stage: section, script file, call. A stage without a script is not called.
    async fn stage(&mut self, stage: Stage, limit: Option<Duration>) -> Result<(), Failure> {
        let Some(script) = generate(stage, &self.build) else { return Ok(()) };
        if self.around.interrupt.level() == Level::Forced {
            return Err(Failure::Stopped(Why::Forced));
        }
        self.trace.open(stage.section(), stage.title());
        if stage == Stage::BuildScript {
            self.trace.say(
                "\u{1b}[0;33mWARNING: Starting with version 17.0 the 'build_script' stage will be \
                 replaced with 'step_script': https://gitlab.com/groups/gitlab-org/-/epics/6112\u{1b}[0;m",
            );
        }
        let result = self.call_stage(stage, &script, limit).await;
        self.trace.flush();
        self.trace.close(stage.section());
        result
    }

    async fn call_stage(
        &mut self,
        stage: Stage,
        script: &str,
        limit: Option<Duration>,
    ) -> Result<(), Failure> {
        let temp = self.temp_folder();
        let failed = |error: std::io::Error| Failure::System(error.to_string());
        // Gone after the call: the job's token is in its text.
        let folder = private_folder("script", &temp).map_err(failed)?;
        let file = folder.path().join("script");
        write_new(&file, 0o700, script.as_bytes()).map_err(failed)?;
        // Once cancelled, what is left to do is stopped by force only.
        let cancelled = self.build.status == Status::Canceled;
        let stops = Stops {
            interrupt: self.around.interrupt,
            level: if cancelled { Level::Forced } else { Level::Cancelled },
            job: Some(self.deadline),
            script: limit.map(|limit| Instant::now() + limit),
        };
        let environment = self.environment();
        let name = file.display().to_string();
        let run = Call {
            verb: "run",
            tail: &[&name, stage.argument()],
            environment: &environment,
            folder: &temp,
        };
        let trace = &mut self.trace;
        let timing = self.around.timing;
        let ended = call(self.around.driver, &run, &stops, &timing, &mut |stream, bytes| {
            let source = match stream {
                Stream::Out => Source::Work,
                Stream::Err => Source::WorkErrors,
            };
            trace.output(source, bytes);
        })
        .await;
        drop(folder);
        self.judge(ended)
    }
}

fn not_prepared(told: &str) -> Failure {
    Failure::System(format!(
        "prepare environment: {told}. Check https://docs.gitlab.com/runner/shells/#shell-profile-loading \
         for more information"
    ))
}

/// True where only the driver's cleanup follows.
fn ends_at_once(result: &Result<(), Failure>) -> bool {
    matches!(result, Err(Failure::Stopped(Why::Forced | Why::JobTimeout)))
}

/// `5s`, `1h30m`, or a bare number of seconds.
fn span(text: &str) -> Option<Duration> {
    match text.parse::<Span>() {
        Ok(span) => Some(span.0),
        Err(_) => text.parse().ok().map(Duration::from_secs),
    }
}
