//! Whether an answer is a good one, and what is saved from it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::load::check::Seen;
use crate::load::failure::Failure;
use crate::load::script::{Protocol, Want};
use crate::load::worker::answer::Answer;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;

impl User {
    /// Makes the step's checks, each of which is counted, and saves what the step wants. `elapsed`
    /// is the response time.
    pub fn judge(
        &mut self,
        local: &Local,
        want: &Want,
        mut answer: Answer,
        elapsed: Duration,
    ) -> Result<(), Failure> {
        let status = answer.status;
        let is_status_fine = want.is_fine(status);
        if want.checks.is_empty() && want.save.is_empty() {
            return if is_status_fine { Ok(()) } else { Err(bad(want, &answer)) };
        }
        let body = if want.wants_body { read(&mut answer) } else { Ok(String::new()) };
        let judged = self.look(local, want, (&answer, is_status_fine, elapsed), &body);
        if let Ok(body) = body {
            local.bodies.give(body.into_bytes());
        }
        judged
    }

    fn look(
        &mut self,
        local: &Local,
        want: &Want,
        (answer, is_status_fine, elapsed): (&Answer, bool, Duration),
        body: &Result<String, Failure>,
    ) -> Result<(), Failure> {
        // A save finds its way through the text; a document is built for checks only.
        let json: Option<Value> = match body {
            Ok(body) if want.wants_json => serde_json::from_str(body).ok(),
            Ok(_) | Err(_) => None,
        };
        let seen = Seen {
            is_status_fine,
            headers: &answer.headers,
            body: body.as_deref().unwrap_or_default(),
            json: json.as_ref(),
            elapsed,
        };
        let failed = self.check(local, want, &seen);
        if !is_status_fine {
            return Err(bad(want, answer));
        }
        if let Err(failure) = body {
            return Err(failure.clone());
        }
        if let Some(name) = failed {
            return Err(Failure::Check(name));
        }
        for (slot, take) in &want.save {
            let found = || take.from(&seen, |name| self.jar.find(name));
            let value = match take.path() {
                Some(path) if seen.json.is_none() => {
                    local.recall.take(want.endpoint, (seen.body, path), found)?
                }
                Some(_) | None => Arc::new(found()?),
            };
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = Some(value);
            }
        }
        Ok(())
    }

    /// Makes all checks; returns the name of the first one that failed.
    fn check(&mut self, local: &Local, want: &Want, seen: &Seen<'_>) -> Option<String> {
        let mut failed = None;
        for check in &want.checks {
            let holds = self.holds(local, check, seen);
            if let Some(counts) = local.checks.borrow_mut().get_mut(check.number) {
                counts[usize::from(!holds)] += 1;
            }
            if !holds && failed.is_none() {
                failed = Some(check.name.clone());
            }
        }
        failed
    }
}

/// What a status that is not fine is told as.
fn bad(want: &Want, answer: &Answer) -> Failure {
    match want.protocol {
        Protocol::Http => Failure::Status(answer.status),
        Protocol::Grpc | Protocol::Dns | Protocol::Stream => {
            Failure::Ended(format!("status {}", answer.said))
        }
    }
}

fn read(answer: &mut Answer) -> Result<String, Failure> {
    answer.unpack()?;
    let body = std::mem::take(&mut answer.body);
    Ok(match String::from_utf8(body) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
