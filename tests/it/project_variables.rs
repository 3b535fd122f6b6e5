//! A verdict on its way into a project variable, with all that GitLab may have made of it: protected,
//! hidden, masked, of several environments, or written by another pipeline at the same moment.

use serde_json::json;

use crate::support::{Job, MAINTAINER, Race, Runner, Station, Variable, write_plan};

const PROJECT: u64 = 4217;

/// A gate that fails, whose script goes on; the variables are what a maintainer made.
fn gate(
    made: &[Variable],
    race: Option<Race>,
    limit: &str,
    is_protected: bool,
) -> (Job, Vec<Variable>) {
    let station = Station::new(0.5);
    let gitlab = station.lab.gitlab();
    for variable in made {
        gitlab.set_variable(PROJECT, variable.clone());
    }
    if let Some(race) = race {
        gitlab.race(race);
    }
    let job = station
        .runner()
        .response(|response| response["git_info"]["protected"] = json!(is_protected))
        .script([
            &write_plan(limit),
            "code=0; dyno gate plan.yaml --variable abc --no-fail || code=$?",
            "echo \"abc is $abc, the gate ended with $code\"",
        ])
        .run();
    let variables = gitlab.variables_of(PROJECT);
    (job, variables)
}

fn old() -> Variable {
    Variable::new("abc", "passed")
}

#[track_caller]
fn has(job: &Job, parts: &[&str]) {
    for part in parts {
        assert!(job.log.contains(part), "{part} is not in:\n{}", job.log);
    }
}

#[test]
fn a_protected_variable_is_written_and_a_ref_that_does_not_get_it_is_told() {
    let protected = Variable { protected: true, ..old() };
    let (job, variables) = gate(std::slice::from_ref(&protected), None, "mean < 0.1", false);
    let words = "the variable `abc` is protected: jobs of this ref, which is not, do not get it";
    has(&job, &[words, "abc is failed, the gate ended with 0"]);
    assert_eq!(variables, [Variable { value: "failed".to_owned(), ..protected.clone() }]);
    let (job, _) = gate(&[protected], None, "mean < 0.1", true);
    assert!(!job.log.contains(words), "{}", job.log);
}

#[test]
fn a_hidden_variable_is_written_though_it_cannot_be_read_back() {
    let hidden = Variable { hidden: true, ..old() };
    let (job, variables) = gate(std::slice::from_ref(&hidden), None, "mean < 0.1", true);
    has(&job, &["is hidden: what was written cannot be read back", "the gate ended with 0"]);
    assert_eq!(variables, [Variable { value: "failed".to_owned(), ..hidden }]);
}

#[test]
fn a_masked_variable_that_holds_an_older_pass_lets_nobody_forgive_a_failure() {
    let masked = Variable { masked: true, value: "passed-before".to_owned(), ..old() };
    let (job, variables) = gate(std::slice::from_ref(&masked), None, "mean < 0.1", true);
    has(
        &job,
        &[
            "needs at least 8 characters",
            "WARNING: --no-fail does not hold: later jobs may read an older verdict",
            "abc is failed, the gate ended with 99",
        ],
    );
    assert_eq!(variables, [masked], "GitLab took nothing");
}

#[test]
fn of_several_environments_only_the_scope_for_all_is_written() {
    let of = |scope: &str| Variable { scope: scope.to_owned(), ..old() };
    let made = [of("production"), of("*"), of("review/*")];
    let (job, variables) = gate(&made, None, "mean < 0.1", true);
    has(&job, &["the one of scope `*` was written", "the gate ended with 0"]);
    let values: Vec<&str> = variables.iter().map(|variable| variable.value.as_str()).collect();
    assert_eq!(values, ["passed", "failed", "passed"]);
    // Without one for all it is made: several others are nobody's to choose from.
    let (job, variables) = gate(&[of("production"), of("review/*")], None, "mean < 0.1", true);
    has(&job, &["the one of scope `*` was written", "the gate ended with 0"]);
    let made = variables.iter().find(|variable| variable.scope == "*").unwrap();
    assert_eq!((made.value.as_str(), variables.len()), ("failed", 3));
}

#[test]
fn another_pipeline_at_the_same_moment_leaves_the_gates_own_verdict_or_a_failed_job() {
    let (job, variables) = gate(&[], Some(Race::Creates), "mean < 0.1", true);
    has(&job, &["the gate ended with 0"]);
    assert_eq!(variables, [Variable { value: "failed".to_owned(), ..old() }]);
    let (job, _) = gate(&[old()], Some(Race::Writes), "mean < 0.1", true);
    has(&job, &["but reads `of another pipeline` now", "the gate ended with 99"]);
    let (job, _) = gate(&[old()], Some(Race::Deletes), "mean < 0.1", true);
    has(&job, &["404 Variable Not Found", "the gate ended with 99"]);
    // A pass is written over whatever is there, and read back.
    let (job, variables) = gate(&[old()], Some(Race::Writes), "mean < 1", true);
    has(&job, &["but reads `of another pipeline` now", "abc is passed, the gate ended with 0"]);
    assert_eq!(variables[0].value, "passed");
}

#[test]
fn the_variable_of_one_environment_is_written_where_its_scope_is_named() {
    let of = |scope: &str| Variable { scope: scope.to_owned(), ..old() };
    let station = Station::new(0.5);
    for scope in ["production", "*", "review/*"] {
        station.lab.gitlab().set_variable(PROJECT, of(scope));
    }
    let job = station
        .runner()
        .script([
            &write_plan("mean < 0.1"),
            "dyno gate plan.yaml --variable abc --scope 'review/*' --no-fail",
            "sed -i 's/settle: 1s/settle: 1s, variable: abc, scope: production/' plan.yaml",
            "dyno gate plan.yaml --no-fail",
            "echo \"the plan's own abc is $abc\"",
        ])
        .run();
    has(&job, &["the plan's own abc is failed"]);
    let values: Vec<(String, String)> = station
        .lab
        .gitlab()
        .variables_of(PROJECT)
        .into_iter()
        .map(|variable| (variable.scope, variable.value))
        .collect();
    let expected = [("production", "failed"), ("*", "passed"), ("review/*", "failed")];
    assert_eq!(values, expected.map(|(scope, value)| (scope.to_owned(), value.to_owned())));
}

#[test]
fn a_plan_that_cannot_be_read_leaves_no_older_pass_behind() {
    let station = Station::new(0.5);
    station.lab.gitlab().set_variable(PROJECT, old());
    let job = station
        .runner()
        .script([
            &write_plan("< 1"),
            "code=0; dyno gate plan.yaml --variable abc || code=$?",
            "echo \"abc is $abc, the gate ended with $code\"",
        ])
        .run();
    has(
        &job,
        &[
            "plan.yaml:5:12: checks[0].limit: `< 1` does not say how samples become one value",
            "abc is failed, the gate ended with 2",
        ],
    );
    assert_eq!(station.lab.gitlab().variables_of(PROJECT)[0].value, "failed");
}

#[test]
fn a_jobs_own_token_writes_the_variable_where_the_policy_has_none() {
    let station = Station::new(0.5);
    let policy = station.policy();
    let without = policy.lines().filter(|line| !line.starts_with("variables-token-file"));
    let policy = without.collect::<Vec<_>>().join("\n");
    let script = [&write_plan("mean < 1"), "dyno gate plan.yaml --variable abc"];
    for (token, expected) in [(None, None), (Some(MAINTAINER), Some("passed"))] {
        let runner = Runner::within(&station.lab, &policy).script(script);
        let runner = match token {
            Some(token) => runner.masked("GITLAB_TOKEN", token),
            None => runner,
        };
        let job = runner.run();
        assert!(!job.log.contains(MAINTAINER), "{}", job.log);
        let variables = station.lab.gitlab().variables_of(PROJECT);
        assert_eq!(variables.first().map(|variable| variable.value.as_str()), expected);
    }
    let job = Runner::within(&station.lab, &policy)
        .script(script)
        .masked("GITLAB_TOKEN", "glpat-of-nobody")
        .run();
    has(&job, &["WARNING: the project variable abc was not written"]);
}
