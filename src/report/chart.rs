//! A small chart of text: bars over time and the line of a limit.

use crate::unit::{float, whole};

const ROWS: u64 = 5;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns the chart's rows, top first: a scale, then one column each. `None` stays empty. Two
/// characters a column where there are few.
pub fn rows(columns: &[Option<f64>], threshold: Option<f64>) -> Vec<String> {
    let known = || columns.iter().flatten().copied().chain(threshold);
    if columns.iter().flatten().next().is_none() || !known().all(f64::is_finite) {
        return Vec::new();
    }
    let low = known().fold(0.0_f64, f64::min);
    let high = known().fold(0.0_f64, f64::max);
    let range = if high > low { high - low } else { 1.0 };
    let height = |value: f64| (value - low) / range * float(ROWS);
    // The limit is a row's lower edge, the nearest one; at the very top that is the last row.
    let limit_row =
        threshold.map(|threshold| whole(height(threshold).floor()).unwrap_or(0).min(ROWS - 1));
    let width = if columns.len() <= 24 { 2 } else { 1 };
    (0..ROWS)
        .rev()
        .map(|row| {
            let scale = match (row, threshold) {
                (_, Some(threshold)) if Some(row) == limit_row => {
                    format!("limit {}", short(threshold))
                }
                _ if row == ROWS - 1 => short(high),
                (0, _) => short(low),
                _ => String::new(),
            };
            let empty = if Some(row) == limit_row { '┈' } else { ' ' };
            let bars: String = columns
                .iter()
                .flat_map(|value| {
                    let cell = value.map_or(0, |value| eighths(height(value) - float(row)));
                    let mark = EIGHTHS.get(cell).copied().filter(|mark| *mark != ' ');
                    std::iter::repeat_n(mark.unwrap_or(empty), width)
                })
                .collect();
            format!("{scale:>14} │{}", bars.trim_end())
        })
        .collect()
}

/// Returns one row for what stands beside a chart, on the same columns: a mark a column, by its share
/// of the greatest. Nothing where there is none of it.
pub fn strip(name: &str, columns: &[Option<f64>]) -> Option<String> {
    let top = columns.iter().flatten().copied().fold(0.0_f64, f64::max);
    if top <= 0.0 || !top.is_finite() {
        return None;
    }
    let width = if columns.len() <= 24 { 2 } else { 1 };
    let marks: String = columns
        .iter()
        .flat_map(|value| {
            // What is there is seen, also beside something much greater.
            let cell =
                value.map_or(0, |value| if value > 0.0 { eighths(value / top).max(1) } else { 0 });
            std::iter::repeat_n(EIGHTHS.get(cell).copied().unwrap_or(' '), width)
        })
        .collect();
    let scale = format!("{name} {}", short(top));
    Some(format!("{scale:>14} │{}", marks.trim_end()))
}

fn eighths(rows: f64) -> usize {
    let eighths = whole((rows * 8.0).clamp(0.0, 8.0)).unwrap_or(0);
    usize::try_from(eighths).unwrap_or(0)
}

fn short(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        _ if magnitude == 0.0 => "0".to_owned(),
        _ if (0.01..1e7).contains(&magnitude) => {
            let decimals = if magnitude >= 100.0 { 0 } else { 2 };
            let text = format!("{value:.decimals$}");
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_stand_on_the_scale_and_the_limit_crosses_the_gaps() {
        let rows = rows(&[Some(100.0), Some(50.0), None, Some(10.0)], Some(60.0));
        assert_eq!(
            rows,
            [
                "           100 │██",
                "      limit 60 │██┈┈┈┈┈┈",
                "               │██▄▄",
                "               │████",
                "             0 │████  ▄▄",
            ]
        );
    }

    #[test]
    fn without_samples_there_is_no_chart() {
        assert!(rows(&[], Some(1.0)).is_empty());
        assert!(rows(&[None, None], Some(1.0)).is_empty());
    }

    proptest! {
        #[test]
        fn a_chart_is_as_high_and_wide_as_it_says(
            columns in proptest::collection::vec(proptest::option::of(-1e9..1e9_f64), 1..48),
            threshold in -1e9..1e9_f64,
        ) {
            for row in rows(&columns, Some(threshold)) {
                prop_assert!(row.chars().count() <= 16 + 48);
            }
        }
    }
}
