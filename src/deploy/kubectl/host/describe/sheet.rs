//! What a description is written on: indented lines whose columns are aligned in the end, and the
//! parts of objects that all descriptions show in the same way.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::deploy::kubectl::print::LAST_APPLIED;

/// Longer annotations are cut.
pub const MAX_ANNOTATION: usize = 140;

/// A description that is being written.
#[derive(Debug, Default)]
pub struct Sheet {
    done: String,
    text: String,
    /// How far all that is written now stands to the right.
    pub base: usize,
}

impl Sheet {
    /// Writes text, indented when it begins a line.
    pub fn put(&mut self, level: usize, text: impl AsRef<str>) {
        for _ in 0..self.base + level {
            self.text.push_str("  ");
        }
        // What an object holds is not to move the reader's cursor.
        self.text.push_str(&text.as_ref().replace('\u{1b}', "^[").replace('\r', "\\r"));
    }

    /// Writes `TITLE:` and a value in the next column.
    pub fn field(&mut self, level: usize, title: &str, value: impl Display) {
        self.put(level, format!("{title}:\t{value}\n"));
    }

    /// Columns before and behind here have nothing to do with each other.
    pub fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.done.push_str(&tabbed(&text));
    }

    /// The whole, not aligned.
    pub fn raw(self) -> String {
        self.done + &self.text
    }

    /// The whole, aligned.
    pub fn finish(mut self) -> String {
        self.flush();
        self.done
    }

    /// Writes a map, a line each.
    pub fn labels(&mut self, title: &str, labels: Option<&Map<String, Value>>) {
        self.labels_after("", title, labels);
    }

    /// The same behind a text that begins each line.
    pub fn labels_after(&mut self, before: &str, title: &str, labels: Option<&Map<String, Value>>) {
        let mut lines: Vec<(&String, &Value)> = labels.into_iter().flatten().collect();
        lines.sort_by_key(|(key, _)| *key);
        let lines: Vec<String> =
            lines.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
        self.lines(before, title, &lines);
    }

    /// Writes a title and lines beside it.
    pub fn lines(&mut self, before: &str, title: &str, lines: &[String]) {
        self.put(0, format!("{before}{title}:\t"));
        if lines.is_empty() {
            self.put(0, "<none>\n");
        }
        for (n, line) in lines.iter().enumerate() {
            if n > 0 {
                self.put(0, before);
                self.put(0, "\t");
            }
            self.put(0, format!("{line}\n"));
        }
    }

    /// Writes the annotations, long ones below their name and cut.
    pub fn annotations(&mut self, title: &str, annotations: Option<&Map<String, Value>>) {
        self.put(0, format!("{title}:\t"));
        let mut shown: Vec<(&String, &Value)> =
            annotations.into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED).collect();
        shown.sort_by_key(|(key, _)| *key);
        if shown.is_empty() {
            self.put(0, "<none>\n");
        }
        for (n, (key, value)) in shown.into_iter().enumerate() {
            if n > 0 {
                self.put(0, "\t");
            }
            let value = plain(value);
            let value = value.strip_suffix('\n').unwrap_or(&value);
            if value.len() + key.len() + 2 > MAX_ANNOTATION || value.contains('\n') {
                self.put(0, format!("{key}:\n"));
                for line in value.split('\n') {
                    self.put(0, format!("\t  {}\n", cut(line, MAX_ANNOTATION - 2)));
                }
            } else {
                self.put(0, format!("{key}: {value}\n"));
            }
        }
    }

    /// Writes `Name`, and `Namespace` where the object lies in one.
    pub fn names(&mut self, object: &Value) {
        self.field(0, "Name", text(object, "/metadata/name"));
        self.field(0, "Namespace", text(object, "/metadata/namespace"));
    }

    /// Writes labels and annotations.
    pub fn marks(&mut self, object: &Value) {
        self.labels("Labels", map(object, "/metadata/labels"));
        self.annotations("Annotations", map(object, "/metadata/annotations"));
    }

    /// Writes the conditions of a workload.
    pub fn conditions(&mut self, object: &Value) {
        let conditions = list(object, "/status/conditions");
        if conditions.is_empty() {
            return;
        }
        self.put(0, "Conditions:\n  Type\tStatus\tReason\n");
        self.put(1, "----\t------\t------\n");
        for condition in conditions {
            let part = |key| text(condition, key);
            self.put(1, format!("{} \t{}\t{}\n", part("/type"), part("/status"), part("/reason")));
        }
    }
}

/// Cut at a number of bytes, though never inside of a character.
pub fn cut(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_owned();
    }
    let end = (0..=length).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// Aligns cells that end with a tab: those above each other without a gap are equally wide.
fn tabbed(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let cells = |line: &Vec<&str>| line.len() - 1;
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; cells(line)]).collect();
    let n_columns = lines.iter().map(cells).max().unwrap_or(0);
    for column in 0..n_columns {
        let mut at = 0;
        while at < lines.len() {
            let has = |line: &&Vec<&str>| cells(line) > column;
            let run = lines.iter().skip(at).take_while(has).count();
            let wide = |line: &Vec<&str>| line.get(column).map_or(0, |cell| cell.chars().count());
            let width = lines.iter().skip(at).take(run).map(wide).max().unwrap_or(0) + 2;
            for known in widths.iter_mut().skip(at).take(run) {
                known.get_mut(column).into_iter().for_each(|known| *known = width);
            }
            at += run.max(1);
        }
    }
    let mut out = String::new();
    for (n, (line, widths)) in lines.iter().zip(&widths).enumerate() {
        if n > 0 {
            out.push('\n');
        }
        for (column, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                out.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
            }
        }
    }
    out
}

/// A text of an object, empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A text of an object, when it is there and not empty.
pub fn filled<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A number of an object, 0 where there is none.
pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// A text, number or truth value as it is told; `None` where there is none.
pub fn told(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer).filter(|value| !value.is_null()).map(plain)
}

/// True where an object says so.
pub fn is(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer) == Some(&Value::Bool(true))
}

/// A list of an object, empty where there is none.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A map of an object.
pub fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

/// The texts of a list.
pub fn texts<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(object, pointer).iter().filter_map(Value::as_str).collect()
}

/// A list as Go prints one.
pub fn bracketed(object: &Value, pointer: &str) -> String {
    format!("[{}]", texts(object, pointer).join(" "))
}

/// A value without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `a=b,c=d`; `<none>` for nothing.
pub fn joined(labels: Option<&Map<String, Value>>) -> String {
    let mut pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect();
    pairs.sort();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector in the words of `-l`; empty where it selects all or nothing.
pub fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let mut parts: Vec<(String, String)> = map(selector, "/matchLabels")
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), format!("{key}={}", plain(value))))
        .collect();
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let mut values = texts(expression, "/values");
        values.sort_unstable();
        let values = values.join(",");
        let part = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|left, right| left.0.cmp(&right.0));
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

/// The same, `<none>` where it is empty.
pub fn selector_or_none(of: Option<&Value>) -> String {
    Some(selector(of)).filter(|text| !text.is_empty()).unwrap_or_else(|| "<none>".to_owned())
}

/// A moment as Go's RFC 1123 has it.
pub fn moment(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
        |time| {
            let time = time.to_zoned(jiff::tz::TimeZone::system());
            time.strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
        },
    )
}

/// How long ago a moment was.
pub fn since(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| "<unknown>".to_owned(),
        |time| human(jiff::Timestamp::now().as_second() - time.as_second()),
    )
}

/// A duration in seconds with two figures at most: `90s`, `5m20s`, `3h`, `2d5h`.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |large: i64, unit: &str, small: i64, other: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{other}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(hours / 24, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{}d", hours / 24),
        63_072_000..252_288_000 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        _ => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_above_each_other_are_equally_wide() {
        let mut sheet = Sheet::default();
        sheet.field(0, "A", "b");
        sheet.field(0, "Longer", "c\td");
        sheet.put(0, "no columns\n");
        sheet.put(1, "x\t\ty\n");
        assert_eq!(sheet.finish(), "A:       b\nLonger:  c  d\nno columns\n  x    y\n");
    }

    #[test]
    fn durations_are_told_as_kubectl_tells_them() {
        for (seconds, told) in [
            (-5, "<invalid>"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (7200, "120m"),
            (11_100, "3h5m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(human(seconds), told);
        }
    }

    #[test]
    fn selectors_are_sorted_by_their_keys() {
        let value = serde_json::json!({"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["z", "y"]},
            {"key": "c", "operator": "DoesNotExist"}]});
        assert_eq!(selector(Some(&value)), "a in (y,z),b=1,!c");
        assert_eq!(selector_or_none(None), "<none>");
    }
}
