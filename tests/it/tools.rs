//! dyno's own tools inside of every environment: asked in the job, done by the driver.

use std::sync::Arc;

use crate::support::{Ending, Lab, Place, Station, write_plan};

fn a_load_is_driven_by_the_driver_though_the_job_reaches_nothing(place: Place) {
    let station = Station::new(0.5);
    let job = place
        .runner_of(&station.lab, &place.adapted(&station.policy()))
        .variable("SHOP", &format!("http://{}", station.shop_host()))
        .script(["dyno load --target $SHOP --get / --users 2 --duration 1s && ls dyno-report"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("load.json"), "{}", job.log);
}

fn a_verdict_is_in_the_next_line_of_the_same_script(place: Place) {
    let station = Station::new(0.5);
    let job = place
        .runner_of(&station.lab, &place.adapted(&station.policy()))
        .script([
            &write_plan("mean < 0.1"),
            "dyno gate plan.yaml --variable abc --no-fail",
            "echo \"the verdict is $abc\"; [ -x \"$(command -v kubectl)\" ]",
        ])
        .after_script(["echo \"and still $abc\""])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nthe verdict is failed\n"), "{}", job.log);
    assert!(job.log.contains("\nand still failed\n"), "{}", job.log);
}

fn a_refusal_and_wrong_usage_have_their_own_codes(place: Place) {
    let job = place
        .runner_in(&Arc::new(Lab::new()))
        .script([
            "dyno load nowhere.yaml || echo usage $?",
            "dyno load --target http://127.0.0.1:1 --get / --users 1 --duration 1s || echo refused $?",
            "dyno no-such-verb || echo unknown $?",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for text in ["\nusage 2\n", "\nrefused 96\n", "\nunknown 2\n"] {
        assert!(job.log.contains(text), "{text}\n{}", job.log);
    }
}

#[test]
fn a_recipes_program_answers_callers_that_are_no_bash() {
    let station = Station::new(0.5);
    let job = station
        .runner()
        .image("retgits/wavefront-pod-inspector:1.0")
        .script([
            "/bin/entrypoint.sh > one 2>&1 || echo first ended with $?",
            "sh -c /bin/entrypoint.sh > two 2>&1 || echo second ended with $?",
            "cmp one two && cat two; [ -x /bin/entrypoint.sh ] && echo it can be run",
            "sh -c 'command -v wavefront'; /bin/ls -d /bin; touch /bin/x 2>/dev/null || echo closed",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for text in ["it can be run", "/bin/wavefront", "/bin", "closed"] {
        assert!(job.log.contains(&format!("\n{text}\n")), "{text}\n{}", job.log);
    }
    let ended = |call: &str| {
        let line = job.log.lines().find_map(|line| line.strip_prefix(call));
        line.map(str::to_owned)
    };
    assert!(ended("first ended with ").is_some(), "it has no settings: {}", job.log);
    assert_eq!(ended("first ended with "), ended("second ended with "), "{}", job.log);
}

in_each_environment! {
    a_load_is_driven_by_the_driver_though_the_job_reaches_nothing,
    a_verdict_is_in_the_next_line_of_the_same_script,
    a_refusal_and_wrong_usage_have_their_own_codes,
}
