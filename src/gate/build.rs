//! From the plan file to the plan as meant: all mistakes at once.

use std::time::Duration;

use super::expand::expand;
use super::file::{CheckFile, GateFile, QualityFile, WindowFile};
use super::limit::Limit;
use super::plan::{
    Check, JobTokens, Plan, Quality, Rule, SourceChoice, Style, Variable, WindowChoice,
};
use super::series::Window;
use super::unit::{Unit, share};
use crate::job::Vars;
use crate::unit::Span;

/// The gate's parts of a plan file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// `checks:`
    pub checks: Vec<CheckFile>,
    /// `gate:`
    pub gate: Option<GateFile>,
}

/// What the command line says over the plan file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// What time to look at.
    pub window: Option<WindowChoice>,
    /// Longest wait for data.
    pub settle: Option<Span>,
    /// Name of the variable that gets the verdict.
    pub variable: Option<String>,
    /// The job's own tokens.
    pub tokens: JobTokens,
}

/// Everything that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .mistakes.join("\n"))]
pub struct Error {
    /// One line each: key, value and the way out.
    pub mistakes: Vec<String>,
}

const SETTLE: Span = Span::seconds(120);

impl Plan {
    /// Makes a plan of what is written.
    ///
    /// # Errors
    /// With all mistakes at once.
    pub fn build(written: Written, overrides: Overrides, vars: &dyn Vars) -> Result<Self, Error> {
        let gate = written.gate.unwrap_or_default();
        let mut mistakes = Vec::new();
        if written.checks.is_empty() {
            mistakes.push(
                "`checks:` is empty: a gate needs at least one check (name, source, query, limit)"
                    .to_owned(),
            );
        }
        let mut checks: Vec<Check> = Vec::new();
        for (n, file) in written.checks.iter().enumerate() {
            let place = if file.name.is_empty() {
                format!("checks[{n}]")
            } else {
                format!("checks[{n}] `{}`", file.name)
            };
            if file.name.trim().is_empty() {
                mistakes.push(format!("{place}: `name` is empty"));
            } else if checks.iter().any(|check| check.name == file.name) {
                mistakes.push(format!("{place}: another check has the same name"));
            }
            match check(file, &gate, vars) {
                Ok(check) => checks.push(check),
                Err(found) => {
                    mistakes.extend(found.into_iter().map(|found| format!("{place}: {found}")));
                }
            }
        }
        let window = overrides.window.map_or_else(|| window(&gate), Ok);
        let window = window.map_err(|mistake| mistakes.push(mistake)).ok();
        let key = overrides.variable.or(gate.variable);
        match window {
            Some(window) if mistakes.is_empty() => Ok(Self {
                checks,
                window,
                settle: overrides.settle.or(gate.settle).unwrap_or(SETTLE),
                tokens: overrides.tokens,
                variable: key.map(|key| Variable { key, scope: None }),
                style: Style::Gate,
            }),
            Some(_) | None => Err(Error { mistakes }),
        }
    }
}

fn window(gate: &GateFile) -> Result<WindowChoice, String> {
    let moment = |text: &str| {
        text.parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_millisecond)
            .map_err(|_| format!("gate.window: `{text}` is no time; write `2026-03-01T12:00:00Z`"))
    };
    match &gate.window {
        None | Some(WindowFile::Load) => Ok(WindowChoice::Load { otherwise: gate.without_load }),
        Some(WindowFile::Last(span)) => Ok(WindowChoice::Last(*span)),
        Some(WindowFile::Explicit { start, end }) => {
            let window = Window { start_ms: moment(start)?, end_ms: moment(end)? };
            if window.start_ms < window.end_ms {
                Ok(WindowChoice::Explicit(window))
            } else {
                Err(format!("gate.window: it ends ({end}) before it starts ({start})"))
            }
        }
    }
}

fn check(file: &CheckFile, gate: &GateFile, vars: &dyn Vars) -> Result<Check, Vec<String>> {
    let mut mistakes = Vec::new();
    let unit = file.unit.as_deref().and_then(|name| {
        let unit = Unit::find(name);
        if unit.is_none() {
            mistakes.push(format!("unit: `{name}` is no unit: one of {}", Unit::names()));
        }
        unit
    });
    let mut read = |key: &str, text: &str| {
        Limit::parse(text, unit).map_err(|why| mistakes.push(format!("{key}: {why}"))).ok()
    };
    let limit = read("limit", &file.limit);
    let warn = file.warn.as_deref().and_then(|text| read("warn", text));
    if let (Some(limit), Some(warn)) = (&limit, &warn) {
        mistakes.extend(useless_warning(limit, warn));
    }
    if file.source.trim().is_empty() {
        mistakes.push("source: is empty; name a source of the runner's policy".to_owned());
    }
    if file.query.trim().is_empty() {
        mistakes.push("query: is empty".to_owned());
    }
    let query =
        expand(&file.query, vars).map_err(|why| mistakes.push(format!("query: {why}"))).ok();
    if file.step.is_some_and(|step| step.0 < Duration::from_secs(1)) {
        mistakes.push("step: must be at least 1s".to_owned());
    }
    let quality = quality(file.quality.as_ref(), gate.quality.as_ref());
    let quality = quality.map_err(|mistake| mistakes.push(mistake)).ok();
    match (limit, query, quality) {
        (Some(limit), Some(query), Some(quality)) if mistakes.is_empty() => Ok(Check {
            name: file.name.clone(),
            source: SourceChoice::Named(file.source.clone()),
            query,
            unit: file.unit.clone(),
            rule: Rule {
                limit,
                warn,
                across: file.across.unwrap_or_default(),
                quality,
                step: file.step,
                on_inconclusive: file.on_inconclusive.or(gate.on_inconclusive).unwrap_or_default(),
            },
        }),
        _ => Err(mistakes),
    }
}

/// A warning that can only be crossed when the limit is crossed too would never be seen.
fn useless_warning(limit: &Limit, warn: &Limit) -> Option<String> {
    let same = limit.reduce == warn.reduce;
    if same && limit.operator.is_upper() != warn.operator.is_upper() {
        return Some(format!("warn: `{warn}` looks the other way than the limit `{limit}`"));
    }
    let beyond = if limit.operator.is_upper() {
        warn.threshold > limit.threshold
    } else {
        warn.threshold < limit.threshold
    };
    (same && beyond).then(|| format!("warn: `{warn}` lies beyond the limit `{limit}`"))
}

fn quality(own: Option<&QualityFile>, of_all: Option<&QualityFile>) -> Result<Quality, String> {
    let (none, all) = (QualityFile::default(), QualityFile::default());
    let (own, of_all) = (own.unwrap_or(&none), of_all.unwrap_or(&all));
    let coverage = match own.coverage.as_ref().or(of_all.coverage.as_ref()) {
        None => None,
        Some(text) => Some(share(text).ok_or_else(|| {
            format!("quality.coverage: `{text}` is no share; write `80%`, between 0% and 100%")
        })?),
    };
    Ok(Quality {
        points: own.points.or(of_all.points),
        series: own.series.or(of_all.series),
        coverage,
        max_gap: own.max_gap.or(of_all.max_gap),
        max_age: own.max_age.or(of_all.max_age),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::gate::plan::{Across, OnInconclusive};

    /// Reads a plan file's two keys as the plan file does.
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        checks: Vec<CheckFile>,
        gate: Option<GateFile>,
    }

    fn build(text: &str) -> Result<Plan, Error> {
        let file: File = serde_saphyr::from_str(text).unwrap();
        let written = Written { checks: file.checks, gate: file.gate };
        let vars = BTreeMap::from([("pod".to_owned(), "web-1".to_owned())]);
        Plan::build(written, Overrides::default(), &vars)
    }

    #[test]
    fn a_plan_as_the_design_shows_it_is_built() {
        let plan = build(
            r#"
checks:
  - name: frontend CPU
    source: wavefront
    query: ts("cpu.usage_rate", pod_name="${pod}")
    limit: "mean < 800"
"#,
        )
        .unwrap();
        assert_eq!(plan.checks[0].query, r#"ts("cpu.usage_rate", pod_name="web-1")"#);
        assert_eq!(plan.checks[0].source, SourceChoice::Named("wavefront".to_owned()));
        assert_eq!(plan.window, WindowChoice::Load { otherwise: None });
        assert_eq!(plan.checks[0].rule.on_inconclusive, OnInconclusive::Fail);
        assert_eq!((plan.variable, plan.settle), (None, SETTLE));
    }

    #[test]
    fn every_key_is_read_and_a_check_comes_before_the_gate() {
        let plan = build(
            r"
checks:
  - name: a
    source: p
    query: up
    limit: p95 < 250ms
    warn: p95 < 0.2s
    unit: ms
    across: sum
    step: 15s
    quality: { points: 5, coverage: 0.9, max-gap: 1m }
    on-inconclusive: warn
  - { name: b, source: p, query: up, limit: max < 1 }
gate:
  window: { explicit: { start: 2026-03-01T12:00:00Z, end: 2026-03-01T12:01:00Z } }
  settle: 5s
  quality: { points: 9, max-age: 30s, series: 2 }
  on-inconclusive: pass
  variable: abc
",
        )
        .unwrap();
        let (a, b) = (&plan.checks[0].rule, &plan.checks[1].rule);
        assert_eq!((a.limit.threshold, a.across), (250.0, Across::Sum));
        assert_eq!((a.quality.points, a.quality.coverage), (Some(5), Some(0.9)));
        assert_eq!((a.quality.max_age, a.quality.series), (Some(Span::seconds(30)), Some(2)));
        assert_eq!((b.quality.points, b.quality.coverage), (Some(9), None));
        assert_eq!(a.on_inconclusive, OnInconclusive::Warn);
        assert_eq!(b.on_inconclusive, OnInconclusive::Pass);
        assert_eq!(plan.variable.unwrap().key, "abc");
        let WindowChoice::Explicit(window) = plan.window else { panic!("{:?}", plan.window) };
        assert_eq!(window.span(), Duration::from_mins(1));
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_place() {
        let error = build(
            r#"
checks:
  - { name: a, source: "", query: "up == $nothing", limit: mean < , unit: parsec }
  - { name: a, source: p, query: up, limit: mean < 1, warn: mean > 0 }
  - { name: b, source: p, query: up, limit: mean < 1, warn: mean < 2 }
  - { name: "", source: p, query: "", limit: mean < 1, step: 1ms, quality: { coverage: 80 } }
gate: { window: { explicit: { start: yesterday, end: today } } }
"#,
        )
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "checks[0] `a`: source: is empty",
            "checks[0] `a`: query: the variable `nothing` is not set",
            "checks[0] `a`: limit: `` is not a number",
            "checks[0] `a`: unit: `parsec` is no unit",
            "checks[1] `a`: warn: `mean > 0` looks the other way",
            "checks[2] `b`: warn: `mean < 2` lies beyond the limit",
            "checks[3]: `name` is empty",
            "checks[3]: query: is empty",
            "checks[3]: step: must be at least 1s",
            "checks[3]: quality.coverage: `80` is no share",
            "gate.window: `yesterday` is no time",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }

    #[test]
    fn a_plan_without_a_check_and_a_name_that_comes_twice_are_told() {
        assert!(build("gate: {}").unwrap_err().to_string().contains("`checks:` is empty"));
        let twice = "checks: [{ name: a, source: p, query: up, limit: mean < 1 }, \
                     { name: a, source: p, query: up, limit: mean < 1 }]";
        assert!(build(twice).unwrap_err().to_string().contains("the same name"));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        for text in [
            "checks: [{ name: a, source: p, query: up, limit: mean < 1, querry: x }]",
            "gate: { windw: load }",
            "gate: { window: lod }",
            "gate: { quality: { point: 1 } }",
        ] {
            assert!(serde_saphyr::from_str::<File>(text).is_err(), "{text}");
        }
    }
}
