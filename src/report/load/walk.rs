//! A walk through a plan as whoever writes it reads it: each request with its answer.

use std::fmt::Write;

use crate::load::{Exchange, Summary, Traced, millis};
use crate::report::joblog::printable;

/// Tells something of the walk; every line ends.
pub fn walk(traced: &Traced) -> String {
    match traced {
        Traced::Journey(name) => format!("=== journey {} ===\n", printable(name)),
        Traced::LeftOut(why) => format!("! left out: {}\n", printable(why)),
        Traced::Exchange(exchange) => told(exchange),
    }
}

/// Tells the end of a walk.
pub fn end(summary: &Summary) -> String {
    let (count, failed) = (summary.requests.count, summary.requests.failed);
    let mut text = format!("=== {count} requests, {failed} failed ===\n");
    for reason in &summary.reasons {
        let _ = writeln!(text, "note: {}", printable(reason));
    }
    let _ = writeln!(text, "load {}", summary.verdict);
    text
}

fn told(exchange: &Exchange) -> String {
    let mut text = format!("--- {}\n", printable(&exchange.endpoint));
    push(&mut text, '>', exchange.request.trim_end());
    // Writing to a string cannot fail.
    if exchange.status > 0 || !exchange.said.is_empty() {
        let status = match exchange.said.as_str() {
            "" => exchange.status.to_string(),
            said => printable(said),
        };
        let _ = writeln!(text, "< {status} in {}", millis(exchange.elapsed));
        for (name, value) in &exchange.headers {
            let _ = writeln!(text, "< {}: {}", printable(name), printable(value));
        }
        if !exchange.body.is_empty() {
            text.push_str("<\n");
            push(&mut text, '<', &exchange.body);
        }
    }
    for (name, value) in &exchange.saved {
        let _ = writeln!(text, "= {name}: {}", printable(value));
    }
    match &exchange.failure {
        Some(failure) => {
            let _ = writeln!(text, "\u{2717} {}", printable(failure));
        }
        None => text.push_str("\u{2713} good\n"),
    }
    text
}

/// Writes each line of a text behind a mark.
fn push(to: &mut String, mark: char, text: &str) {
    for line in text.lines() {
        let line = printable(line);
        to.push(mark);
        if !line.is_empty() {
            to.push(' ');
        }
        to.push_str(&line);
        to.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_reads_as_meant() {
        let exchange = Exchange {
            endpoint: "POST /login".to_owned(),
            request: "POST /login HTTP/1.1\r\nhost: shop\r\n\r\n{\"a\":1}".to_owned(),
            status: 200,
            said: String::new(),
            headers: vec![("content-type".to_owned(), "application/json\u{1b}[2J".to_owned())],
            body: "{\n\"token\":\"x\"}".to_owned(),
            elapsed: 12.345,
            failure: Some("check failed: within 10ms".to_owned()),
            saved: vec![("token".to_owned(), "\"x\"".to_owned())],
        };
        insta::assert_snapshot!(walk(&Traced::Exchange(exchange)), @r#"
        --- POST /login
        > POST /login HTTP/1.1
        > host: shop
        >
        > {"a":1}
        < 200 in 12.3ms
        < content-type: application/json\u{1b}[2J
        <
        < {
        < "token":"x"}
        = token: "x"
        ✗ check failed: within 10ms
        "#);
        assert_eq!(
            walk(&Traced::LeftOut("`x` is not known".into())),
            "! left out: `x` is not known\n"
        );
    }
}
