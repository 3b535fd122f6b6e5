//! The fail-open table: hostile and degenerate answers over every kind of source. None may pass, and
//! each has to say why.

use super::hostile::{Told, cases};
use super::{HASTY, PATIENT, TOKEN, asked, gate, good};
use crate::gate::source::Kind;
use crate::job::standin::Act;
use crate::verdict::Verdict;

#[tokio::test]
async fn a_good_answer_of_every_kind_is_judged() {
    for kind in Kind::ASKED {
        for (limit, verdict) in [("mean <= 1", Verdict::Passed), ("mean < 1", Verdict::Failed)] {
            let ran = gate(kind, limit, PATIENT, vec![Act::json("200 OK", &good(kind))]).await;
            assert_eq!(ran.summary.verdict, verdict, "{kind}: {:?}", ran.summary.reasons);
            assert_eq!(ran.summary.checks[0].value, Some(1.0), "{kind}");
            assert!(!format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN), "{kind}");
        }
    }
}

#[tokio::test]
async fn no_degenerate_answer_passes_and_each_one_says_why() {
    let of = |kind| cases(asked(kind)).into_iter().map(move |case| (kind, case));
    let cases: Vec<_> = Kind::ASKED.into_iter().flat_map(of).collect();
    assert!(cases.len() >= 400, "{}", cases.len());
    let mut names = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for (kind, case) in cases {
        let verdict = match case.told {
            Told::Inconclusive => Verdict::Inconclusive,
            Told::Error => Verdict::Error,
        };
        let act = Act::from(case.answer);
        // Answers that are meant to be late are not waited for.
        let patience = if matches!(act, Act::Send(_)) { PATIENT } else { HASTY };
        assert!(names.insert(case.name.clone()), "{} stands twice", case.name);
        // Limits that every value would hold, in both directions.
        for limit in ["mean < 1e300", "mean > -1e300"] {
            let ran = gate(kind, limit, patience, vec![act.clone()]).await;
            let check = &ran.summary.checks[0];
            let is_as_expected = ran.summary.verdict == verdict
                && check.value.is_none()
                && check.reason.contains(case.why)
                && !check.reason.is_empty()
                && ran.summary.reasons[0].contains(case.why)
                && !format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN);
            if !is_as_expected {
                wrong.push(format!(
                    "{}: {} ({:?}), expected {} with `{}`",
                    case.name, check.reason, ran.summary.verdict, verdict, case.why
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
