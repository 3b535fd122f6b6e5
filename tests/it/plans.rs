//! Plan files in a job without network: what they include and feed is read by the guest, secrets
//! are sent and not shown.

use crate::support::{Ending, Station};

const FILES: &str = r#"
mkdir -p plans
printf 'username\neric\nphoebe\n' > plans/accounts.csv
cat > plans/login.yaml <<'END'
journeys:
  - name: buyer
    feed: { account: { file: accounts.csv } }
    steps:
      - post: /login/
        json: { username: "{{ account.username }}", password: "{{ env.SHOP_PASSWORD }}" }
        save: { token: $.token }
        check: { status: 200, json: { $.status: 200 } }
      - get: "/cart/items/{{ token }}"
        name: /cart/items/{user}
        tags: [cart]
        check: { status: [200, 404] }
END
cat > perf.yaml <<'END'
include: [plans/login.yaml]
target: $SHOP
load: { stages: [{ name: warm, arrivals: 5/s, hold: 1s }, { arrivals: 40/s, hold: 2s }] }
limits: [errors < 1% or abort, p95 tagged cart < 5s, rate > 5/s during warm]
END
"#;

#[test]
fn a_plan_of_several_files_with_a_secret_is_walked_through_and_driven() {
    let station = Station::new(0.5);
    let job = station
        .runner()
        .masked("SHOP_PASSWORD", "vmware1!")
        .script([
            FILES,
            "dyno load perf.yaml --once",
            "dyno load perf.yaml",
            "grep DYNO_VERDICT dyno-report/dyno.env",
            "head -1 dyno-report/load.csv",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for text in [
        "=== journey buyer ===",
        r#"{"password":"[MASKED]","username":"eric"}"#,
        "= token: \"5c61ed848d891bd9e8016",
        "=== 2 requests, 0 failed ===",
        "2 stages, up to 40/s, for 3s",
        "passed: p95 tagged cart < 5s",
        "passed: rate > 5/s during warm",
        "DYNO_VERDICT=passed",
        "time_ms,span_ms,users",
    ] {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
    assert!(!job.log.contains("vmware1!"), "{}", job.log);
}

#[test]
fn a_mistake_in_an_included_file_is_told_with_its_place_and_what_was_meant() {
    let job = Station::new(0.5)
        .runner()
        .variable("SHOP_PASSWORD", "x")
        .script([
            FILES,
            "sed -i 's/account.username/acount.username/' plans/login.yaml",
            "dyno load perf.yaml",
        ])
        .run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(2)), "{}", job.log);
    let told = "plans/login.yaml:6:15: journeys[0].steps[0].json: `acount` is not set anywhere: did \
                you mean `account`?";
    assert!(job.log.contains(told), "{}", job.log);
}
