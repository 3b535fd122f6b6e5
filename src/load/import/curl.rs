//! curl command lines, as people keep them in notes and as browsers copy them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use super::draft::{Body, Draft, Part, Step, literal, method, split};
use crate::load::plan::Method;

/// Reads command lines; lines that do not begin with `curl` are left out.
pub fn read(text: &str) -> Result<Draft, Error> {
    let mut draft = Draft::default();
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let all = commands(&text)?;
    let of_curl = all.iter().filter(|command| command.first().is_some_and(|word| word == "curl"));
    for (n, command) in of_curl.enumerate() {
        let wrong = |Error(text): Error| Error(format!("curl line {}: {text}", n + 1));
        let (url, mut step) = request(&command[1..], &mut draft.notes).map_err(wrong)?;
        let (origin, path) = split(&url).map_err(wrong)?;
        let bare = Step::new(step.method, path);
        (step.path, step.name) = (bare.path, bare.name);
        if draft.target.is_empty() {
            draft.target.clone_from(&origin);
        }
        if draft.target != origin {
            step.path.insert_str(0, &origin);
            step.name = Some(step.name.unwrap_or_else(|| path.to_owned()));
        }
        draft.steps.push(step);
    }
    Ok(draft)
}

/// Splits a script into commands and words, as a shell does with quotes and backslashes.
fn commands(text: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    let unclosed = || Error("a quote is not closed".to_owned());
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let own = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unclosed)? {
                        '\'' => break,
                        c => own.push(c),
                    }
                }
            }
            '"' => {
                let own = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unclosed)? {
                        '"' => break,
                        '\\' if chars.peek().is_some_and(|c| "\"\\$`".contains(*c)) => {
                            own.extend(chars.next());
                        }
                        c => own.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            c if c.is_whitespace() || c == ';' => {
                if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
                    command.push(word);
                }
                if c == '\n' || c == ';' {
                    commands.push(Vec::new());
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    if let (Some(word), Some(command)) = (word, commands.last_mut()) {
        command.push(word);
    }
    Ok(commands)
}

/// Options without a value that change nothing here.
const IGNORED: [&str; 20] = [
    "-s",
    "-S",
    "-L",
    "-k",
    "-i",
    "-v",
    "-f",
    "-sS",
    "-sL",
    "-fsSL",
    "--compressed",
    "--location",
    "--silent",
    "--show-error",
    "--insecure",
    "--include",
    "--verbose",
    "--fail",
    "--http1.1",
    "--globoff",
];

/// Options with a value that change nothing here.
const IGNORED_VALUES: [&str; 8] =
    ["-o", "--output", "-w", "--write-out", "-m", "--max-time", "--connect-timeout", "--retry"];

/// Options that are headers.
const HEADERS: [(&str, &str, &str); 3] = [
    ("-A", "--user-agent", "user-agent"),
    ("-e", "--referer", "referer"),
    ("-b", "--cookie", "cookie"),
];

fn request(words: &[String], notes: &mut Vec<String>) -> Result<(String, Step), Error> {
    let mut step = Step::new(Method::Get, "/");
    let (mut url, mut verb, mut data, mut parts) = (None, None, Vec::new(), Vec::new());
    let (mut is_json, mut is_query) = (false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (option, inline) = split_option(word);
        let mut value = || {
            let next = inline.map(str::to_owned).or_else(|| words.next().cloned());
            next.ok_or_else(|| Error(format!("`{option}` needs a value")))
        };
        match option {
            "-X" | "--request" => {
                let word = value()?;
                let known = method(&word);
                verb = Some(known.ok_or_else(|| Error(format!("`{word}` is no method")))?);
            }
            "-H" | "--header" => push_header(&mut step, &value()?, notes),
            "-A" | "--user-agent" | "-e" | "--referer" | "-b" | "--cookie" => {
                let name =
                    HEADERS.iter().find(|(short, long, _)| [*short, *long].contains(&option));
                let name = name.map_or("", |(_, _, name)| name);
                push_header(&mut step, &format!("{name}: {}", value()?), notes);
            }
            "-d" | "--data" | "--data-raw" | "--data-ascii" | "--data-binary" => {
                data.push(value()?);
            }
            "--json" => {
                is_json = true;
                data.push(value()?);
            }
            "-F" | "--form" | "--form-string" => parts.push(part(option, &value()?)?),
            "-u" | "--user" => {
                let basic = STANDARD.encode(value()?);
                push_header(&mut step, &format!("authorization: Basic {basic}"), notes);
            }
            "-G" | "--get" => is_query = true,
            "-I" | "--head" => verb = Some(Method::Head),
            "--url" => url = Some(value()?),
            known if IGNORED.contains(&known) => {}
            known if IGNORED_VALUES.contains(&known) => drop(value()?),
            other if other.starts_with('-') && other.len() > 1 => {
                return Err(Error(format!("curl's `{other}` has no counterpart in a plan")));
            }
            _ => url = Some(word.clone()),
        }
    }
    let url = url.ok_or_else(|| Error("it has no URL".to_owned()))?;
    if !parts.is_empty() {
        step.body = Body::Parts(parts);
    }
    finish(step, url, (data, is_json, is_query), verb)
}

/// Reads a part of a form: `name=text`, `name=@file`.
fn part(option: &str, text: &str) -> Result<(String, Part), Error> {
    let wrong = || Error(format!("`{option} {text}` is not `name=text` or `name=@file`"));
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let part = match value.strip_prefix('@').filter(|_| option != "--form-string") {
        Some(file) => Part::File(file.split(';').next().unwrap_or_default().to_owned()),
        None => Part::Text(literal(value)),
    };
    Ok((name.to_owned(), part))
}

/// Puts together what the options said.
fn finish(
    mut step: Step,
    mut url: String,
    (data, is_json, is_query): (Vec<String>, bool, bool),
    verb: Option<Method>,
) -> Result<(String, Step), Error> {
    if !crate::load::url::is_absolute(&url) {
        url.insert_str(0, "http://");
    }
    if data.iter().any(|data| data.starts_with('@')) {
        return Err(Error("a body from a file (`-d @file`) is not read: write it out".to_owned()));
    }
    let data = data.join("&");
    if is_query && !data.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&data);
    } else if !data.is_empty() {
        push_body(&mut step, &data, is_json);
    }
    let has_body = step.body != Body::None;
    step.method = verb.unwrap_or(if has_body { Method::Post } else { Method::Get });
    Ok((url, step))
}

/// `-XPOST` and `-H'x: y'` are written without a space, too.
fn split_option(word: &str) -> (&str, Option<&str>) {
    let is_glued = word.len() > 2
        && !word.starts_with("--")
        && ["-X", "-H", "-d", "-u", "-b", "-A", "-e", "-F"]
            .iter()
            .any(|known| word.starts_with(known));
    if is_glued {
        return (&word[..2], Some(&word[2..]));
    }
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (option, Some(value)),
        Some(_) | None => (word, None),
    }
}

fn push_header(step: &mut Step, text: &str, notes: &mut Vec<String>) {
    let Some((name, value)) = text.split_once(':') else { return };
    let name = name.trim().to_lowercase();
    if ["host", "content-length", "connection", "accept-encoding"].contains(&name.as_str()) {
        return;
    }
    let is_secret = name == "authorization" || name == "cookie";
    let variable = name.to_uppercase();
    let value = if is_secret {
        let note = format!("The plan sends the variable {variable} where a line had a secret.");
        if !notes.contains(&note) {
            notes.push(note);
        }
        format!("{{{{ env.{variable} }}}}")
    } else {
        literal(value.trim())
    };
    step.headers.push((name, value));
}

fn push_body(step: &mut Step, data: &str, is_json: bool) {
    let at = step.headers.iter().position(|(name, _)| name == "content-type");
    let kind = at.map(|at| step.headers.remove(at).1);
    let kind = match kind {
        Some(kind) => kind,
        None if is_json => "application/json".to_owned(),
        None => "application/x-www-form-urlencoded".to_owned(),
    };
    step.set_body(data, Some(&kind));
}
