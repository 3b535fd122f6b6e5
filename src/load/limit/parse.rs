//! Limits as they are written.
//!
//! In full: `METRIC [of ENDPOINT | tagged TAG] < VALUE [surely] [over SPAN] [during STAGE]
//! [or abort [after N]]`.

use std::str::FromStr;
use std::time::Duration;

use super::{Error, Limit, Metric, Operator};
use crate::load::error::suggest;
use crate::unit::{self, Rate, Span};

const METRICS: [&str; 11] =
    ["mean", "p50", "p90", "p95", "p99", "max", "errors", "rate", "capacity", "recovery", "drift"];

/// Requests that must have been made before a run is ended early.
const ABORT_AFTER: u64 = 100;

impl FromStr for Limit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let squeezed = words.join(" ");
        let at = squeezed.rfind(['<', '>']).ok_or_else(|| {
            Error(format!("`{squeezed}` compares nothing: write it as `p95 < 300ms`"))
        })?;
        let (left, right) = squeezed.split_at(at);
        if left.ends_with('=') || right.starts_with(">>") || right.starts_with("<<") {
            return Err(Error(format!("`{squeezed}` compares by `<`, `<=`, `>` or `>=` only")));
        }
        let (operator, right) = match (right.strip_prefix("<="), right.strip_prefix(">=")) {
            (Some(right), _) => (Operator::AtMost, right),
            (_, Some(right)) => (Operator::AtLeast, right),
            _ if right.starts_with('<') => (Operator::Below, &right[1..]),
            _ => (Operator::Above, &right[1..]),
        };
        let (metric, of) = left.trim().split_once(' ').unwrap_or((left.trim(), ""));
        let metric = parse_metric(metric)?;
        let (endpoint, tag) = parse_subject(of.trim())?;
        let (value, rest) = split_value(right);
        let value = parse_value(metric, &value)?;
        let mut limit = Self {
            text: squeezed.clone(),
            metric,
            endpoint,
            tag,
            operator,
            value,
            over: None,
            during: None,
            is_sure: false,
            abort: None,
            criterion: String::new(),
        };
        limit.parse_rest(&rest)?;
        limit.check()?;
        Ok(limit)
    }
}

/// Reads what is measured without a bound: `p95 of GET /products`, `errors tagged checkout`.
pub fn parse_measure(text: &str) -> Result<Limit, Error> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (metric, of) = text.split_once(' ').unwrap_or((&text, ""));
    let metric = parse_metric(metric)?;
    if metric.preset().is_some() {
        return Err(Error(format!("`{text}` is found by another preset")));
    }
    let (endpoint, tag) = parse_subject(of)?;
    Ok(Limit {
        metric,
        endpoint,
        tag,
        operator: Operator::AtMost,
        value: 0.0,
        over: None,
        during: None,
        is_sure: false,
        abort: None,
        criterion: String::new(),
        text,
    })
}

/// What stands between metric and operator: an endpoint, with `of` and quotes or without, or
/// `tagged NAME`.
fn parse_subject(text: &str) -> Result<(Option<String>, Option<String>), Error> {
    if let Some(tag) = text.strip_prefix("tagged ") {
        return Ok((None, Some(tag.trim().to_owned())));
    }
    if let Some(word) =
        ["during", "over"].into_iter().find(|word| text.starts_with(&format!("{word} ")))
    {
        return Err(Error(format!("`{text}` belongs behind the value: `p95 < 300ms {word} …`")));
    }
    let name = text.strip_prefix("of ").unwrap_or(text).trim();
    let name = match name.strip_prefix('"') {
        Some(rest) => rest
            .strip_suffix('"')
            .ok_or_else(|| Error(format!("`{name}` is not closed by a quote")))?,
        None => name,
    };
    Ok((Some(name.to_owned()).filter(|name| !name.is_empty()), None))
}

/// The value ends where a word begins that says more.
fn split_value(text: &str) -> (String, Vec<&str>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_more = |word: &&str| ["surely", "over", "during", "or", "abort", "after"].contains(word);
    let at = words.iter().position(is_more).unwrap_or(words.len());
    let (value, rest) = words.split_at(at);
    (value.join(" "), rest.to_vec())
}

impl Limit {
    fn parse_rest(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            [] => Ok(()),
            ["surely", rest @ ..] => {
                self.is_sure = true;
                self.parse_rest(rest)
            }
            ["over", span, rest @ ..] => {
                let span: Span =
                    span.parse().map_err(|error: unit::Error| Error(error.to_string()))?;
                if span.0 < Duration::from_secs(1) {
                    return Err(Error("`over` needs a second at least".to_owned()));
                }
                self.over = Some(span);
                self.parse_rest(rest)
            }
            ["during", rest @ ..] => {
                let at = rest.iter().position(|word| ["surely", "over", "or"].contains(word));
                let (name, rest) = rest.split_at(at.unwrap_or(rest.len()));
                if name.is_empty() {
                    return Err(Error("`during` needs the name of a stage".to_owned()));
                }
                self.during = Some(name.join(" "));
                self.parse_rest(rest)
            }
            ["or", "abort"] => {
                self.abort = Some(ABORT_AFTER);
                Ok(())
            }
            ["or", "abort", "after", number] => {
                let number = number.parse().ok().filter(|n| *n > 0);
                let wrong = || Error("`or abort after` needs a number of requests".to_owned());
                self.abort = Some(number.ok_or_else(wrong)?);
                Ok(())
            }
            other => Err(Error(format!(
                "`{}` is not understood: after the value there may be `surely`, `over 30s`, `during STAGE` \
                 and at the end `or abort` or `or abort after 50`",
                other.join(" ")
            ))),
        }
    }

    /// Some metrics are of a whole run only.
    fn check(&self) -> Result<(), Error> {
        if self.is_sure && (self.over.is_some() || self.metric == Metric::Max) {
            let text = "`surely` needs a value with an interval: no `over`, and not of `max`";
            return Err(Error(text.to_owned()));
        }
        let is_whole = self.endpoint.is_none()
            && self.tag.is_none()
            && self.over.is_none()
            && self.during.is_none()
            && !self.is_sure
            && self.abort.is_none();
        if self.metric.preset().is_some() && !is_whole {
            return Err(Error(format!(
                "`{}` is one figure of a whole run: no endpoint, stretch, stage or `or abort`",
                self.text.split(' ').next().unwrap_or_default()
            )));
        }
        Ok(())
    }
}

fn parse_metric(word: &str) -> Result<Metric, Error> {
    let unknown = || Error(format!("`{word}` is not a metric: {}", suggest(word, &METRICS)));
    match word {
        "mean" | "avg" => Ok(Metric::Mean),
        "median" => Ok(Metric::Percentile(50.0)),
        "max" => Ok(Metric::Max),
        "errors" => Ok(Metric::Errors),
        "rate" => Ok(Metric::Rate),
        "capacity" => Ok(Metric::Capacity),
        "recovery" => Ok(Metric::Recovery),
        "drift" => Ok(Metric::Drift),
        _ => {
            let number: f64 =
                word.strip_prefix('p').and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
            if 0.0 < number && number <= 100.0 {
                Ok(Metric::Percentile(number))
            } else {
                Err(unknown())
            }
        }
    }
}

fn parse_value(metric: Metric, text: &str) -> Result<f64, Error> {
    match metric {
        Metric::Mean | Metric::Percentile(_) | Metric::Max | Metric::Recovery => text
            .parse::<Span>()
            .map(|span| span.0.as_secs_f64() * 1000.0)
            .map_err(|error| Error(error.to_string())),
        Metric::Errors | Metric::Drift => text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|number| *number >= 0.0 && (*number <= 100.0 || metric == Metric::Drift))
            .map(|number| number / 100.0)
            .ok_or_else(|| Error(format!("`{text}` is not a share such as `1%`"))),
        Metric::Rate | Metric::Capacity => {
            text.parse::<Rate>().map(|rate| rate.0).map_err(|error| Error(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_written() {
        for (text, metric, endpoint, operator, value) in [
            ("p95 < 300ms", Metric::Percentile(95.0), None, Operator::Below, 300.0),
            ("p99.9<=1.5s", Metric::Percentile(99.9), None, Operator::AtMost, 1500.0),
            ("errors < 1%", Metric::Errors, None, Operator::Below, 0.01),
            ("rate > 100/s", Metric::Rate, None, Operator::Above, 100.0),
            ("rate >= 600/m", Metric::Rate, None, Operator::AtLeast, 10.0),
            ("max  <  2s", Metric::Max, None, Operator::Below, 2000.0),
            ("mean /a < 5ms", Metric::Mean, Some("/a"), Operator::Below, 5.0),
            (
                "p99 GET /products/{id} < 1s",
                Metric::Percentile(99.0),
                Some("GET /products/{id}"),
                Operator::Below,
                1000.0,
            ),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(
                (limit.metric, limit.endpoint.as_deref(), limit.operator, limit.value),
                (metric, endpoint, operator, value),
                "{text}"
            );
        }
    }

    #[test]
    fn a_limit_may_say_of_what_when_and_what_then() {
        type Row = (&'static str, Option<&'static str>, Option<&'static str>, Option<u64>);
        let rows: [(Row, Option<&str>, Option<u64>); 6] = [
            (("p95 of \"GET /a b\" < 1s", Some("GET /a b"), None, None), None, None),
            (("p95 of GET /a < 1s over 30s", Some("GET /a"), None, Some(30)), None, None),
            (("errors tagged checkout < 1%", None, Some("checkout"), None), None, None),
            (("errors < 5 % or abort", None, None, None), None, Some(100)),
            (
                ("p95<1s during the peak or abort after 9", None, None, None),
                Some("the peak"),
                Some(9),
            ),
            (("rate > 5/s during up over 1m", None, None, Some(60)), Some("up"), None),
        ];
        for ((text, endpoint, tag, over), during, abort) in rows {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.endpoint.as_deref(), endpoint, "{text}");
            assert_eq!(limit.tag.as_deref(), tag, "{text}");
            assert_eq!(limit.over, over.map(Span::seconds), "{text}");
            assert_eq!((limit.during.as_deref(), limit.abort), (during, abort), "{text}");
        }
    }

    #[test]
    fn a_wrong_limit_says_what_would_be_right() {
        for (text, says) in [
            ("p95", "compares nothing"),
            ("p95 =< 300ms", "compares by `<`, `<=`, `>` or `>=` only"),
            ("p95 == 300ms", "compares nothing"),
            ("p95 < 300", "duration"),
            ("p95 < 1%", "duration"),
            ("p0 < 1s", "not a metric"),
            ("p101 < 1s", "not a metric"),
            ("speed < 1s", "not a metric"),
            ("errors < 5", "share"),
            ("errors < 101%", "share"),
            ("rate > fast", "rate"),
            ("< 5ms", "not a metric"),
            ("p95 <", "duration"),
            ("errrors < 1%", "did you mean `errors`?"),
            ("p95 < 1s over 1", "duration"),
            ("p95 < 1s over 10ms", "a second at least"),
            ("max < 1s surely", "a value with an interval"),
            ("p95 < 1s during", "name of a stage"),
            ("p95 < 1s or stop", "`or stop` is not understood"),
            ("p95 < 1s or abort after x", "number of requests"),
            ("p95 of \"a < 1s", "not closed"),
            (
                "p95 during peak < 1s",
                "`during peak` belongs behind the value: `p95 < 300ms during …`",
            ),
            ("capacity GET /a > 5/s", "one figure of a whole run"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
