//! What can be wrong with any source's answer.

use super::body::{Cell, Cells, every_ten, good, of as body};
use super::{Answer, Asked, Flaw, Form, Kind, Told};

/// An answer of code 200: name, content, what is wrong, what the gate makes of it, part of its reason.
pub type Row = (&'static str, String, Flaw, Told, &'static str);

/// What samples can be like in any source's answer, and what is said of it.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn degenerate(asked: Asked) -> Vec<Row> {
    use Cell::{Bool, Null, Number, Word};
    use Flaw::{Empty, Malformed, Stale, Thin};
    use Told::{Error, Inconclusive};
    let kind = asked.kind;
    let one = Number(1.0);
    let of = |cells: Cells| body(asked, &[cells]);
    let late = |offset_ms| of(every_ten(asked, offset_ms, &[one; 6]));
    let scaled = |by: fn(i64) -> i64| {
        of(every_ten(asked, 0, &[one; 6]).into_iter().map(|(at, cell)| (by(at), cell)).collect())
    };
    let hour = 3_600_000;
    let day = 24 * hour;
    // How long its bucket is cannot be told from one.
    let is_blind = matches!(kind, Kind::CloudWatch | Kind::Dynatrace);
    let lone = if is_blind { "" } else { "too few" };
    let mut all = vec![
        ("no series at all", body(asked, &[]), Empty, Inconclusive, "no series"),
        (
            "every value null",
            of(every_ten(asked, 0, &[Null; 6])),
            Empty,
            Inconclusive,
            "null or NaN",
        ),
        (
            "the first two values only",
            of(every_ten(asked, 0, &[one, one, Null, Null, Null, Null])),
            Thin,
            Inconclusive,
            "too old",
        ),
        ("one sample at the end", of(every_ten(asked, 50_000, &[one])), Thin, Inconclusive, lone),
        (
            "two samples at the end",
            of(every_ten(asked, 40_000, &[one, one])),
            Thin,
            Inconclusive,
            "too few",
        ),
        (
            "a hole of half the window",
            of(every_ten(asked, 0, &[one, Null, Null, Null, one, one])),
            Thin,
            Inconclusive,
            "too patchy",
        ),
        ("a month old", late(-30 * day), Stale, Inconclusive, "too old"),
        ("an hour old: a time zone", late(-hour), Stale, Inconclusive, "too old"),
        (
            "ten hours ahead: a time zone",
            late(10 * hour),
            Stale,
            Inconclusive,
            "no samples within the window",
        ),
        (
            "five minutes ahead: a clock",
            late(300_000),
            Stale,
            Inconclusive,
            "no samples within the window",
        ),
        ("five minutes behind: a clock", late(-300_000), Stale, Inconclusive, "too old"),
        (
            "one good series, one without values",
            body(asked, &[every_ten(asked, 0, &[one; 6]), every_ten(asked, 0, &[Null; 6])]),
            Empty,
            Inconclusive,
            "null or NaN",
        ),
        (
            "one good series, one that ended",
            body(asked, &[every_ten(asked, 0, &[one; 6]), every_ten(asked, 0, &[one; 2])]),
            Thin,
            Inconclusive,
            "too old",
        ),
        ("a text for a value", of(every_ten(asked, 0, &[Word; 6])), Malformed, Error, ""),
        ("a boolean for a value", of(every_ten(asked, 0, &[Bool; 6])), Malformed, Error, ""),
        (
            "one text among numbers",
            of(every_ten(asked, 0, &[one, one, one, Word, one, one])),
            Malformed,
            Error,
            "",
        ),
        (
            "an answer of HTML",
            "<html><body>Please log in</body></html>".to_owned(),
            Malformed,
            Error,
            "not what its API promises",
        ),
        (
            "an empty object",
            "{}".to_owned(),
            Malformed,
            if kind == Kind::Json { Inconclusive } else { Error },
            "",
        ),
        (
            "null",
            "null".to_owned(),
            Malformed,
            if kind == Kind::Json { Inconclusive } else { Error },
            "",
        ),
        (
            "a text",
            "\"ok\"".to_owned(),
            Malformed,
            if kind == Kind::Json { Inconclusive } else { Error },
            "",
        ),
    ];
    if asked.form == Form::Series {
        // Whoever asks for one value is told one of them.
        all.push((
            "two values of each moment",
            of(good(asked)
                .concat()
                .into_iter()
                .flat_map(|(at, cell)| [(at, cell), (at, Number(2.0))])
                .collect()),
            Malformed,
            if kind == Kind::Dynatrace { Error } else { Inconclusive },
            if kind == Kind::Dynatrace { "not in order" } else { "two samples of the same moment" },
        ));
    }
    if kind != Kind::Influx2 {
        let body = body(asked, &good(asked));
        let cut = body[..body.len() * 2 / 3].to_owned();
        all.extend([
            ("cut off in the middle", cut, Malformed, Error, "not what its API promises"),
            ("an empty answer", String::new(), Malformed, Error, "not what its API promises"),
            (
                "a number beyond all floats",
                body.replacen(",1]", ",1e999]", 1)
                    .replacen("[1,", "[1e999,", 1)
                    .replacen(":1}", ":1e999}", 1)
                    .replacen("[1]", "[1e999]", 1),
                Malformed,
                Error,
                "not what its API promises",
            ),
            (
                "times in a greater unit",
                scaled(|at| at * 1000),
                Stale,
                Inconclusive,
                "another unit",
            ),
            ("times in a smaller unit", scaled(|at| at / 1000), Stale, Inconclusive, "too old"),
        ]);
        if kind == Kind::Prometheus {
            all.retain(|(name, ..)| *name != "a number beyond all floats");
        }
    }
    all
}

/// Answers of other codes, and connections that are no answer; the content is a good one.
pub fn transports(asked: Asked) -> Vec<(&'static str, Answer, &'static str)> {
    let body = body(asked, &good(asked));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n";
    let status = |status: &'static str, why| (status, Answer::json(status, &body), why);
    vec![
        status("202 Accepted", "only `200 OK` is a whole answer"),
        status("203 Non-Authoritative Information", "only `200 OK` is a whole answer"),
        status("206 Partial Content", "only `200 OK` is a whole answer"),
        status("400 Bad Request", "400 Bad Request"),
        status("401 Unauthorized", "the token is missing, wrong or expired"),
        status("403 Forbidden", "the token may not ask this"),
        status("404 Not Found", "is the URL in the policy right?"),
        status("422 Unprocessable Entity", "422 Unprocessable Entity"),
        status("429 Too Many Requests", "429 Too Many Requests"),
        status("500 Internal Server Error", "500 Internal Server Error"),
        status("502 Bad Gateway", "502 Bad Gateway"),
        status("503 Service Unavailable", "503 Service Unavailable"),
        (
            "a pause beyond all clocks",
            Answer::with(
                "429 Too Many Requests",
                "Retry-After: 18446744073709551615\r\nContent-Type: application/json",
                &body,
            ),
            "429 Too Many Requests",
        ),
        (
            "a redirect to a login",
            Answer::with("302 Found", "Location: http://127.0.0.1:9/", &body),
            "redirects are not followed",
        ),
        ("no answer", Answer::Whole(Vec::new()), "cannot reach"),
        ("half a status line", Answer::Whole(b"HTTP/1.1 200".to_vec()), "cannot reach"),
        ("a body cut off", Answer::Whole(format!("{head}{body}").into_bytes()), "cannot reach"),
        (
            "another protocol",
            Answer::Whole(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            "cannot reach",
        ),
        ("silence", Answer::Hang(Vec::new()), "cannot reach"),
        (
            "silence in the middle",
            Answer::Hang(format!("{head}{body}").into_bytes()),
            "cannot reach",
        ),
        ("a slow drip", Answer::Drip(format!("{head}{body}").into_bytes()), "cannot reach"),
    ]
}
