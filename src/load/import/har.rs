//! An HTTP archive, as browsers save it: pages' own requests without pictures and scripts, in their
//! order, with the ids that answers gave taken from those answers.

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::draft::{Draft, Step, is_id, literal, method, split};

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    request: Request,
    #[serde(default)]
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    status: i32,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    content: Content,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    mime_type: String,
    text: String,
}

const KINDS: [&str; 6] = ["image/", "font/", "video/", "audio/", "text/css", "javascript"];

const ENDINGS: [&str; 16] = [
    ".js", ".mjs", ".css", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".woff",
    ".woff2", ".ttf", ".map", ".mp4", ".avif",
];

/// Reads an archive.
pub fn read(text: &str) -> Result<Draft, Error> {
    let archive: Archive = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Error(format!("it is no HTTP archive: {error}")))?;
    let mut draft = Draft::default();
    let (mut n_static, mut n_foreign, mut n_unknown) = (0, 0, 0);
    let mut followed = String::new();
    let mut answers: Vec<Answer> = Vec::new();
    for entry in archive.log.entries {
        let request = &entry.request;
        let Ok((origin, path)) = split(&request.url) else {
            n_unknown += 1;
            continue;
        };
        if is_static(path, &entry.response.content.mime_type) {
            n_static += 1;
            continue;
        }
        let Some(method) = method(&request.method) else {
            n_unknown += 1;
            continue;
        };
        if draft.target.is_empty() {
            draft.target.clone_from(&origin);
        }
        if draft.target != origin {
            n_foreign += 1;
            continue;
        }
        // The target of a redirect is asked for by the redirect itself.
        let is_followed = !followed.is_empty() && (followed == request.url || followed == path);
        followed.clone_from(&entry.response.redirect_url);
        if is_followed {
            continue;
        }
        let mut step = Step::new(method, path);
        step.path = taken(&literal(path), &mut answers, &mut draft.steps);
        push_headers(&mut step, &request.headers, &mut draft.notes);
        if let Some(post) = request.post_data.as_ref().filter(|post| !post.text.is_empty()) {
            step.set_body(&post.text, Some(&post.mime_type));
        }
        if (400..600).contains(&entry.response.status) {
            step.status.push(entry.response.status.to_string());
        }
        if let Ok(json) = serde_json::from_str(&entry.response.content.text) {
            answers.push(Answer { step: draft.steps.len(), json });
        }
        draft.steps.push(step);
    }
    for (n, what) in [
        (n_static, "for pictures, styles and scripts"),
        (n_foreign, "to other hosts"),
        (n_unknown, "that journeys do not make (OPTIONS, data: …)"),
    ] {
        if n > 0 {
            let s = if n == 1 { "" } else { "s" };
            draft.notes.push(format!("Left out: {n} request{s} {what}."));
        }
    }
    Ok(draft)
}

fn is_static(path: &str, kind: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default().to_lowercase();
    ENDINGS.iter().any(|ending| path.ends_with(ending))
        || KINDS.iter().any(|known| kind.contains(known))
}

/// Own headers stay; what a browser sends by itself does not, nor does any secret.
fn push_headers(step: &mut Step, headers: &[Header], notes: &mut Vec<String>) {
    for header in headers {
        let name = header.name.to_lowercase();
        if name == "authorization" {
            let note = "The plan sends the variable AUTHORIZATION where the archive had a secret.";
            if !notes.iter().any(|known| known == note) {
                notes.push(note.to_owned());
            }
            step.headers.push((name, "{{ env.AUTHORIZATION }}".to_owned()));
        } else if name.starts_with("x-") && name != "x-requested-with" {
            step.headers.push((name, literal(&header.value)));
        }
    }
}

/// A JSON answer and the step that got it.
struct Answer {
    step: usize,
    json: Value,
}

/// Puts a variable in the place of each id that an earlier answer gave; that answer's step saves it.
fn taken(path: &str, answers: &mut [Answer], steps: &mut [Step]) -> String {
    let part = |part: &str| {
        if !is_id(part) {
            return part.to_owned();
        }
        let found = answers
            .iter()
            .rev()
            .find_map(|answer| Some((answer.step, find(&answer.json, part, "$")?)));
        let Some((step, path)) = found else { return part.to_owned() };
        let Some(step) = steps.get_mut(step) else { return part.to_owned() };
        let known =
            step.save.iter().find(|(_, known)| *known == path).map(|(name, _)| name.clone());
        let is_list = path.contains("[*]");
        let name = known.unwrap_or_else(|| {
            let name = format!("{}{}", if is_list { "ids" } else { "id" }, step.save.len() + 1);
            // Unlike in all other steps.
            let name = format!("{name}_{}", path.split(['.', '[']).nth(1).unwrap_or("body"));
            let name = name.replace(|c: char| !(c.is_alphanumeric() || c == '_'), "_");
            step.save.push((name.clone(), path.clone()));
            name
        });
        if is_list { format!("{{{{ pick({name}) }}}}") } else { format!("{{{{ {name} }}}}") }
    };
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    path.split('/').map(part).collect::<Vec<_>>().join("/") + query
}

/// Returns the path to a value; lists on the way are taken as a whole.
fn find(json: &Value, wanted: &str, path: &str) -> Option<String> {
    let is_word = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    };
    match json {
        Value::String(text) => (text == wanted).then(|| path.to_owned()),
        Value::Number(number) => (number.to_string() == wanted).then(|| path.to_owned()),
        Value::Array(list) => {
            list.iter().find_map(|value| find(value, wanted, &format!("{path}[*]")))
        }
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| is_word(key))
            .find_map(|(key, value)| find(value, wanted, &format!("{path}.{key}"))),
        Value::Null | Value::Bool(_) => None,
    }
}
