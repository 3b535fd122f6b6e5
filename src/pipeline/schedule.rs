//! Which job may start: decided from what is before it, by stages or by `needs:`.

use crate::pipeline::plan::{Job, When};

/// How a job stands in its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not part of this run.
    Unselected,
    /// It waits for others.
    Waiting,
    /// It runs.
    Running,
    /// It passed.
    Passed,
    /// It failed and is forgiven.
    Forgiven,
    /// It failed.
    Failed,
    /// It was cancelled.
    Canceled,
    /// It does not run: what it waits for did not come.
    Skipped,
    /// It does not run: nobody pressed its button. What comes after goes on without it.
    Manual,
    /// It does not run: nobody pressed its button. What comes after waits for it.
    Blocking,
}

impl State {
    fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

/// What becomes of a waiting job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It starts.
    Start,
    /// It goes on waiting.
    Wait,
    /// It does not run, for this reason.
    Skip(String),
}

/// Decides on the job at `at`; `states` are in the order of `jobs`.
pub fn next(jobs: &[Job], states: &[State], at: usize) -> Next {
    let Some(job) = jobs.get(at) else { return Next::Wait };
    let before: Vec<(&Job, State)> = jobs
        .iter()
        .zip(states.iter().copied())
        .filter(|(other, state)| *state != State::Unselected && is_before(other, job))
        .collect();
    if before.iter().any(|(_, state)| state.is_open()) {
        return Next::Wait;
    }
    // In GitLab such a pipeline stands still: jobs for failures and for any case wait as well.
    if let Some((other, _)) = before.iter().find(|(_, state)| *state == State::Blocking) {
        let name = &other.name;
        return Next::Skip(format!(
            "waits for manual job `{name}`: name it and this job to run them"
        ));
    }
    let failed = before
        .iter()
        .find(|(_, state)| matches!(state, State::Failed | State::Canceled))
        .map(|(other, _)| other.name.as_str());
    match job.when {
        When::Always => Next::Start,
        When::OnFailure => match failed {
            Some(_) => Next::Start,
            None => Next::Skip("nothing before it failed".to_owned()),
        },
        When::OnSuccess | When::Manual | When::Delayed => {
            if let Some(name) = failed {
                return Next::Skip(format!("`{name}` failed"));
            }
            let missing = before
                .iter()
                .find(|(_, state)| matches!(state, State::Skipped | State::Manual))
                .filter(|_| job.needs.is_some());
            match missing {
                Some((other, _)) => Next::Skip(format!("`{}` did not run", other.name)),
                None => Next::Start,
            }
        }
    }
}

/// True when `job` waits for `other`.
fn is_before(other: &Job, job: &Job) -> bool {
    match &job.needs {
        Some(needs) => needs.iter().any(|need| need.job == other.name),
        None => other.stage_index < job.stage_index,
    }
}

/// Names of the jobs whose artifacts and variables a job gets.
pub fn sources(jobs: &[Job], at: usize) -> Vec<&str> {
    let Some(job) = jobs.get(at) else { return Vec::new() };
    jobs.iter()
        .filter(|other| match (&job.needs, &job.dependencies) {
            (Some(needs), None) => {
                needs.iter().any(|need| need.job == other.name && need.artifacts)
            }
            (_, Some(names)) => names.contains(&other.name),
            (None, None) => other.stage_index < job.stage_index,
        })
        .map(|other| other.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::plan::{AllowFailure, Need, Retry};

    fn job(name: &str, stage_index: usize, when: When, needs: Option<&[&str]>) -> Job {
        let need = |name: &&str| Need { job: (*name).to_owned(), artifacts: true };
        Job {
            name: name.to_owned(),
            stage: stage_index.to_string(),
            stage_index,
            script: Vec::new(),
            after_script: Vec::new(),
            run: Vec::new(),
            image: None,
            services: Vec::new(),
            variables: Vec::new(),
            artifacts: Vec::new(),
            caches: Vec::new(),
            needs: needs.map(|needs| needs.iter().map(need).collect()),
            dependencies: None,
            when,
            allow_failure: AllowFailure::No,
            retry: Retry::default(),
            timeout: Duration::from_mins(1),
            environment: None,
            tags: Vec::new(),
            held: None,
            unable: None,
        }
    }

    #[track_caller]
    fn check(jobs: &[Job], states: &[State], expected: &Next) {
        let last = jobs.len() - 1;
        let states = [states, &[State::Waiting]].concat();
        assert_eq!(&next(jobs, &states, last), expected, "{states:?}");
    }

    #[test]
    fn stages_wait_for_the_stages_before_them() {
        let jobs = |when| {
            vec![
                job("a", 0, When::OnSuccess, None),
                job("b", 0, When::OnSuccess, None),
                job("c", 1, when, None),
            ]
        };
        let skip = |text: &str| Next::Skip(text.to_owned());
        let waits = skip("waits for manual job `b`: name it and this job to run them");
        for (when, states, expected) in [
            (When::OnSuccess, [State::Passed, State::Running], Next::Wait),
            (When::OnSuccess, [State::Passed, State::Passed], Next::Start),
            (When::OnSuccess, [State::Passed, State::Forgiven], Next::Start),
            (When::OnSuccess, [State::Passed, State::Manual], Next::Start),
            (When::OnSuccess, [State::Passed, State::Skipped], Next::Start),
            (When::OnSuccess, [State::Unselected, State::Passed], Next::Start),
            (When::OnSuccess, [State::Failed, State::Passed], skip("`a` failed")),
            (When::OnFailure, [State::Failed, State::Running], Next::Wait),
            (When::OnFailure, [State::Failed, State::Passed], Next::Start),
            (When::OnFailure, [State::Forgiven, State::Passed], skip("nothing before it failed")),
            (When::Always, [State::Failed, State::Passed], Next::Start),
            (When::OnSuccess, [State::Blocking, State::Running], Next::Wait),
            (When::OnSuccess, [State::Passed, State::Blocking], waits.clone()),
            (When::OnFailure, [State::Failed, State::Blocking], waits.clone()),
            (When::Always, [State::Passed, State::Blocking], waits),
        ] {
            check(&jobs(when), &states, &expected);
        }
    }

    #[test]
    fn needs_wait_for_the_named_jobs_only() {
        let jobs = vec![
            job("a", 0, When::OnSuccess, None),
            job("b", 0, When::OnSuccess, None),
            job("c", 1, When::OnSuccess, Some(&["a"])),
        ];
        check(&jobs, &[State::Passed, State::Running], &Next::Start);
        check(&jobs, &[State::Skipped, State::Passed], &Next::Skip("`a` did not run".to_owned()));
        let jobs =
            vec![job("a", 0, When::OnSuccess, None), job("c", 1, When::OnSuccess, Some(&[]))];
        check(&jobs, &[State::Running], &Next::Start);
    }

    #[test]
    fn artifacts_come_from_needs_dependencies_or_all_earlier_stages() {
        let mut jobs = vec![
            job("a", 0, When::OnSuccess, None),
            job("b", 0, When::OnSuccess, None),
            job("c", 1, When::OnSuccess, None),
        ];
        assert_eq!(sources(&jobs, 2), ["a", "b"]);
        jobs[2].dependencies = Some(vec!["b".to_owned()]);
        assert_eq!(sources(&jobs, 2), ["b"]);
        jobs[2] = job("c", 1, When::OnSuccess, Some(&["a"]));
        assert_eq!(sources(&jobs, 2), ["a"]);
        jobs[2].needs.as_mut().unwrap()[0].artifacts = false;
        assert!(sources(&jobs, 2).is_empty());
    }
}
