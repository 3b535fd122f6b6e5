//! Places in a query that the gate fills when it asks: `{{ window }}`, `{{ start }}`, `{{ end }}`,
//! `{{ step }}`.

use crate::gate::series::Query;

/// How times are written in a language.
pub struct Words {
    /// A moment, of milliseconds since 1970.
    pub moment: fn(i64) -> String,
    /// The whole condition on time.
    pub window: fn(start: &str, end: &str) -> String,
}

/// Fills the places of a query; an unknown one is an error.
pub fn fill(query: &Query, text: &str, words: &Words) -> Result<String, String> {
    let (start, end) = ((words.moment)(query.window.start_ms), (words.moment)(query.window.end_ms));
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) =
            after.split_once("}}").ok_or_else(|| "a `{{` without its `}}`".to_owned())?;
        out.push_str(before);
        match name.trim() {
            "window" => out.push_str(&(words.window)(&start, &end)),
            "start" => out.push_str(&start),
            "end" => out.push_str(&end),
            "step" => {
                out.push_str(&query.step.as_secs().max(1).to_string());
                out.push('s');
            }
            other => {
                return Err(format!(
                    "`{{{{ {other} }}}}` is none of `{{{{ window }}}}`, `{{{{ start }}}}`, \
                     `{{{{ end }}}}`, `{{{{ step }}}}`"
                ));
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// True where the query says what time it is about.
pub fn has_time(text: &str) -> bool {
    let names = text.split("{{").skip(1).filter_map(|after| after.split_once("}}"));
    names.map(|(name, _)| name.trim()).any(|name| matches!(name, "window" | "start"))
}

/// A moment as RFC 3339, to the millisecond.
pub fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| "1970-01-01T00:00:00Z".to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    )
}
