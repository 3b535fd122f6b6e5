//! Scripts in every environment: how they end, what they see, what one leaves for the next.

use std::sync::Arc;

use crate::support::{Ending, Lab, Place};

fn every_exit_code_is_told_as_it_is(place: Place) {
    let verbs = place.runner().by_hand();
    assert!(verbs.call("prepare").status.success());
    for code in [1, 2, 3, 96, 97, 99, 126, 127, 128, 130, 143, 254, 255] {
        let output = verbs.run(&format!("exit {code}"), "build_script");
        assert_eq!(output.status.code(), Some(1), "{code}: {output:?}");
        assert_eq!(verbs.code().as_deref(), Some(code.to_string().as_str()));
    }
    assert!(verbs.run("exit 0", "build_script").status.success());
    assert!(verbs.run("", "build_script").status.success(), "an empty script is fine");
    assert!(verbs.call("cleanup").status.success());
}

fn a_shell_that_a_signal_ends_has_128_and_the_signals_number(place: Place) {
    let verbs = place.runner().by_hand();
    assert!(verbs.call("prepare").status.success());
    for (signal, code) in [("HUP", 129), ("INT", 130), ("KILL", 137), ("SEGV", 139), ("TERM", 143)]
    {
        let output = verbs.run(&format!("kill -{signal} $$; sleep 5"), "build_script");
        assert_eq!(output.status.code(), Some(1), "{signal}: {output:?}");
        assert_eq!(verbs.code(), Some(code.to_string()), "{signal}");
    }
    assert!(verbs.call("cleanup").status.success());
}

fn a_script_that_replaces_its_shell_keeps_its_code(place: Place) {
    let job = place.runner().script(["exec sh -c 'echo replaced; exit 9'", "echo never"]).run();
    assert_eq!((job.ending, job.exit_code), (Ending::ScriptFailure, Some(9)), "{}", job.log);
    assert!(job.log.contains("\nreplaced\n") && !job.log.contains("\nnever"), "{}", job.log);
}

fn what_no_shell_can_run_is_the_jobs_own_failure(place: Place) {
    for (line, told) in
        [("if then; fi", "syntax error"), ("no-such-program-here --now", "no-such-program-here")]
    {
        let job = place.runner().script([line, "echo never"]).run();
        assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
        assert!(job.log.matches(told).count() > 0 && !job.log.contains("\nnever"), "{}", job.log);
    }
}

fn a_command_that_reads_its_input_gets_nothing_of_the_script(place: Place) {
    let job = place.runner().script(["cat", "read line || echo nothing to read"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nnothing to read\n"), "{}", job.log);
}

fn only_files_go_from_one_stage_to_the_next(place: Place) {
    let job = place
        .runner()
        .script([
            "cd /tmp; umask 077; export LEAK=1; alias ls=false; echo kept > /tmp/kept",
            "echo in $PWD with ${LEAK:-none}",
        ])
        .after_script(["echo in $PWD with ${LEAK:-none}", "umask; cat /tmp/kept; ls >/dev/null"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for text in ["\nin /tmp with 1\n", "\nin /builds/group/project with none\n", "22\nkept\n"] {
        assert!(job.log.contains(text), "{text}\n{}", job.log);
    }
}

fn what_a_script_hands_on_is_there_in_all_later_scripts(place: Place) {
    let job = place
        .runner()
        .variable("COLOUR", "red")
        .script(["echo COLOUR=blue >> $GITLAB_ENV", "echo now $COLOUR"])
        .step("release", &["echo then $COLOUR"])
        .after_script(["echo last $COLOUR"])
        .run();
    for text in ["\nnow red\n", "\nthen blue\n", "\nlast blue\n"] {
        assert!(job.log.contains(text), "{text}\n{}", job.log);
    }
}

fn a_failing_step_ends_the_steps_and_after_script_hears_of_it(place: Place) {
    let job = place
        .runner()
        .script(["exit 5"])
        .step("release", &["echo released"])
        .after_script(["echo status $CI_JOB_STATUS; exit 6"])
        .run();
    assert_eq!((job.ending, job.exit_code), (Ending::ScriptFailure, Some(5)), "{}", job.log);
    assert!(
        job.log.contains("\nstatus failed\n") && !job.log.contains("\nreleased"),
        "{}",
        job.log
    );
}

fn a_file_variable_holds_its_bytes(place: Place) {
    let content = "first: $HOME `x` 'y' \"z\"\n\tünder\r\nno newline at the end";
    let job = place
        .runner()
        .file("SETTINGS", content)
        .script(["echo -n '<'; cat \"$SETTINGS\"; echo '>'", "wc -c < $SETTINGS"])
        .run();
    assert!(job.log.contains(&format!("\n{}\n", content.len())), "{}", job.log);
    assert!(job.log.contains("<first: $HOME `x` 'y' \"z\"\n"), "{}", job.log);
    assert!(job.log.contains("no newline at the end>\n"), "{}", job.log);
}

fn masked_values_do_not_reach_the_log_by_any_stage(place: Place) {
    let secret = "s3cr3t-of-the-project";
    let job = place
        .runner()
        .masked("TOKEN", secret)
        .variable("GREETING", "hello")
        .script([
            "echo \"$GREETING $TOKEN.\"; echo \"$TOKEN$TOKEN\" >&2",
            "printf '%s' s3cr3t-of-; sleep 0.3; echo the-project",
            "env | grep -c TOKEN > /tmp/n; set -x; : $TOKEN",
        ])
        .after_script(["echo after $TOKEN; exit 1"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(!job.log.contains(secret), "{}", job.log);
    assert!(job.log.contains("hello [MASKED]."), "{}", job.log);
    assert!(job.log.contains("\n[MASKED]\n") && job.log.contains("after [MASKED]"), "{}", job.log);
}

fn long_scripts_long_lines_and_many_variables_fit(place: Place) {
    let mut runner = place.runner();
    for n in 0..100 {
        runner = runner.variable(&format!("FILLER_{n}"), &"x".repeat(1000));
    }
    let long = format!("echo {} | wc -c", "y".repeat(200_000));
    let many = vec!["true"; 20_000].join("\n");
    let job = runner
        .script([&long, &many, "head -c 300000 /dev/zero | tr '\\0' z; echo", "echo $FILLER_99"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log.len());
    assert!(job.log.contains("\n200001\n"));
    assert!(job.log.contains(&"z".repeat(300_000)) && job.log.contains(&"x".repeat(1000)));
}

fn a_project_of_a_deep_group_has_its_own_folder(place: Place) {
    let lab = Arc::new(Lab::new());
    let policy = place.policy().replace("\"group/*\"", "\"group/**\"");
    let job = place
        .runner_of(&lab, &policy)
        .seat(|seat| "group/sub/deeper/project.x".clone_into(&mut seat.project_path))
        .script(["echo in $PWD of $CI_PROJECT_PATH"])
        .run();
    let told = "\nin /builds/group/sub/deeper/project.x of group/sub/deeper/project.x\n";
    assert!(job.log.contains(told), "{}", job.log);
}

fn neither_the_runners_files_nor_the_drivers_are_in_sight(place: Place) {
    let lab = Arc::new(Lab::new());
    let folder = lab.folder().display().to_string();
    let job = place
        .runner_in(&lab)
        .script([
            &format!("ls {folder} 2>/dev/null && echo seen || echo out of sight"),
            &format!("cat {folder}/dyno.yaml 2>/dev/null && echo seen || echo out of sight"),
            "cat /etc/shadow 2>/dev/null | grep -c '\\$' || true",
            "touch /run/dyno/bin/dyno 2>/dev/null && echo seen || echo out of sight",
            "echo x > /run/dyno/prelude.sh 2>/dev/null && echo seen || echo out of sight",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert_eq!(job.log.matches("\nout of sight\n").count(), 4, "{}", job.log);
    assert!(!job.log.contains("\nseen\n"), "{}", job.log);
}

in_each_environment! {
    every_exit_code_is_told_as_it_is,
    a_shell_that_a_signal_ends_has_128_and_the_signals_number,
    a_script_that_replaces_its_shell_keeps_its_code,
    what_no_shell_can_run_is_the_jobs_own_failure,
    a_command_that_reads_its_input_gets_nothing_of_the_script,
    only_files_go_from_one_stage_to_the_next,
    what_a_script_hands_on_is_there_in_all_later_scripts,
    a_failing_step_ends_the_steps_and_after_script_hears_of_it,
    a_file_variable_holds_its_bytes,
    masked_values_do_not_reach_the_log_by_any_stage,
    long_scripts_long_lines_and_many_variables_fit,
    a_project_of_a_deep_group_has_its_own_folder,
    neither_the_runners_files_nor_the_drivers_are_in_sight,
}
