//! Series in the words of each kind of source.

use std::fmt::Write;

use super::{Asked, Form, Kind};

/// A sample as an answer holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    Number(f64),
    Null,
    /// A text that is no number.
    Word,
    Bool,
}

/// Samples of one series: milliseconds since 1970, and what stands there.
pub type Cells = Vec<(i64, Cell)>;

/// A sample of 1 every 10 s over the whole window.
pub fn good(asked: Asked) -> Vec<Cells> {
    vec![every_ten(asked, 0, &[Cell::Number(1.0); 6])]
}

pub fn every_ten(asked: Asked, offset_ms: i64, cells: &[Cell]) -> Cells {
    (0..).zip(cells).map(|(n, cell)| (asked.start_ms + offset_ms + n * 10_000, *cell)).collect()
}

fn number(cell: Cell) -> String {
    match cell {
        Cell::Number(value) => format!("{value}"),
        Cell::Null => "null".to_owned(),
        Cell::Word => "\"abc\"".to_owned(),
        Cell::Bool => "true".to_owned(),
    }
}

/// A value as Prometheus writes it, which has no null.
fn quoted(cell: Cell) -> String {
    match cell {
        Cell::Null => "\"NaN\"".to_owned(),
        Cell::Number(value) => format!("\"{value}\""),
        Cell::Word | Cell::Bool => number(cell),
    }
}

fn list(all: impl IntoIterator<Item = String>) -> String {
    all.into_iter().collect::<Vec<_>>().join(",")
}

fn each(cells: &Cells, write: &dyn Fn(i64, Cell) -> String) -> String {
    list(cells.iter().map(|(at, cell)| write(*at, *cell)))
}

/// Writes series as the source answers the question.
pub fn of(asked: Asked, all: &[Cells]) -> String {
    if asked.form == Form::Series {
        return series(asked.kind, all);
    }
    let newest: Vec<Cells> =
        all.iter().map(|cells| cells.last().copied().into_iter().collect()).collect();
    let values: Vec<Cell> = newest.iter().flatten().map(|(_, cell)| *cell).collect();
    match (asked.kind, asked.form) {
        (Kind::Prometheus, _) => vector(&newest),
        (Kind::Datadog, _) => scalars(&values),
        (Kind::NewRelic, Form::Insights) => {
            let results =
                list(values.iter().map(|cell| format!(r#"{{"result":{}}}"#, number(*cell))));
            format!(r#"{{"results":[{results}]}}"#)
        }
        (Kind::NewRelic, _) => facets(&values),
        (kind, _) => series(kind, &newest),
    }
}

fn vector(newest: &[Cells]) -> String {
    let samples = list((0..).zip(newest).map(|(n, cells): (u32, _)| {
        let value = each(cells, &|at, cell| format!("[{},{}]", at / 1000, quoted(cell)));
        format!(r#"{{"metric":{{"n":"{n}"}},"value":{value}}}"#)
    }));
    super::words::result("vector", &samples)
}

/// Datadog's second API, which answers with columns.
fn scalars(values: &[Cell]) -> String {
    let groups = list((0..values.len()).map(|n| format!(r#"["n:{n}"]"#)));
    let groups = if values.len() < 2 {
        String::new()
    } else {
        format!(r#"{{"name":"n","type":"group","values":[{groups}]}},"#)
    };
    let values = list(values.iter().map(|cell| number(*cell)));
    format!(
        r#"{{"data":{{"type":"scalar_response","attributes":{{"columns":[{groups}{{"name":"query","type":"number","values":[{values}]}}]}}}}}}"#
    )
}

fn facets(values: &[Cell]) -> String {
    let is_alone = values.len() == 1;
    let rows = list((0..).zip(values).map(|(n, cell): (u32, _)| {
        let facet = if is_alone { String::new() } else { format!(r#""facet":"{n}","#) };
        format!(r#"{{{facet}"average.v":{}}}"#, number(*cell))
    }));
    nrql(&rows)
}

fn nrql(rows: &str) -> String {
    format!(r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":[{rows}]}}}}}}}}}}"#)
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn series(kind: Kind, all: &[Cells]) -> String {
    let named = || (0..).zip(all);
    match kind {
        Kind::Wavefront => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let data = each(cells, &|at, cell| format!("[{},{}]", at / 1000, number(cell)));
                format!(r#"{{"label":"m","host":"{n}","data":[{data}]}}"#)
            }));
            format!(r#"{{"query":"q","timeseries":[{series}]}}"#)
        }
        Kind::Prometheus => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let values = each(cells, &|at, cell| format!("[{},{}]", at / 1000, quoted(cell)));
                format!(r#"{{"metric":{{"n":"{n}"}},"values":[{values}]}}"#)
            }));
            super::words::result("matrix", &series)
        }
        Kind::Influx1 => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let rows = each(cells, &|at, cell| format!("[{at},{}]", number(cell)));
                format!(
                    r#"{{"name":"cpu","tags":{{"n":"{n}"}},"columns":["time","mean"],"values":[{rows}]}}"#
                )
            }));
            format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#)
        }
        Kind::Influx2 => influx2(all),
        Kind::Graphite => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = each(cells, &|at, cell| format!("[{},{}]", number(cell), at / 1000));
                format!(r#"{{"target":"{n}","datapoints":[{points}]}}"#)
            }));
            format!("[{series}]")
        }
        Kind::Datadog => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = each(cells, &|at, cell| format!("[{at},{}]", number(cell)));
                format!(r#"{{"metric":"m","scope":"n:{n}","interval":10,"pointlist":[{points}]}}"#)
            }));
            format!(r#"{{"status":"ok","series":[{series}]}}"#)
        }
        Kind::CloudWatch => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let times = each(cells, &|at, _| (at / 1000).to_string());
                let values = each(cells, &|_, cell| number(cell));
                format!(
                    r#"{{"Id":"q{n}","Label":"m","StatusCode":"Complete","Timestamps":[{times}],"Values":[{values}]}}"#
                )
            }));
            format!(r#"{{"MetricDataResults":[{series}]}}"#)
        }
        Kind::NewRelic => nrql(&list(named().flat_map(|(n, cells): (u32, &Cells)| {
            cells.iter().map(move |(at, cell)| {
                let begin = at / 1000;
                let end = begin + 10;
                format!(
                    r#"{{"beginTimeSeconds":{begin},"endTimeSeconds":{end},"facet":"{n}","average.v":{}}}"#,
                    number(*cell)
                )
            })
        }))),
        Kind::Dynatrace => {
            let data = list(named().map(|(n, cells): (u32, _)| {
                let times = each(cells, &|at, _| (at + 10_000).to_string());
                let values = each(cells, &|_, cell| number(cell));
                format!(
                    r#"{{"dimensions":["{n}"],"dimensionMap":{{"n":"{n}"}},"timestamps":[{times}],"values":[{values}]}}"#
                )
            }));
            format!(r#"{{"totalCount":1,"result":[{{"metricId":"m","data":[{data}]}}]}}"#)
        }
        Kind::Json => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = each(cells, &|at, cell| format!("[{},{}]", at / 1000, number(cell)));
                format!(r#"{{"tags":{{"n":"{n}"}},"points":[{points}]}}"#)
            }));
            format!(r#"{{"series":[{series}]}}"#)
        }
    }
}

fn influx2(all: &[Cells]) -> String {
    let mut text = "#datatype,string,long,dateTime:RFC3339,string,double\r\n\
                    #group,false,false,false,true,false\r\n#default,_result,,,,\r\n\
                    ,result,table,_time,n,_value\r\n"
        .to_owned();
    for (n, cells) in all.iter().enumerate() {
        for (at, cell) in cells {
            let time = jiff::Timestamp::from_millisecond(*at).unwrap();
            let value = match cell {
                Cell::Null => String::new(),
                Cell::Number(value) => format!("{value}"),
                Cell::Word => "abc".to_owned(),
                Cell::Bool => "true".to_owned(),
            };
            write!(text, ",,{n},{time},{n},{value}\r\n").unwrap();
        }
    }
    text
}
