//! Journeys and steps as meant, from those as written; what is wrong is told by its key.

use std::collections::BTreeMap;

use crate::load::call::proto::Protos;
use crate::load::call::{self};
use crate::load::check;
use crate::load::error::Mistakes;
use crate::load::feed::{self, Feed};
use crate::load::file::{AuthFile, FeedFile, JourneyFile, StepFile};
use crate::load::plan::{
    Action, Journey, LONGEST_TIMEOUT, Method, Origin, Request, Status, Step, Target, Written,
};
use crate::load::template::squeeze;
use crate::load::think::Think;
use crate::load::url;

const MAX_STEPS: usize = 1000;
/// Rounds of a `while` without `repeat`.
const MAX_ROUNDS: u32 = 1000;
pub const TIMEOUTS: &str = "use more than nothing and at most 10m";

/// Builds steps; what is wrong is told by its key.
#[derive(Debug)]
pub struct Steps<'a> {
    headers: &'a BTreeMap<String, String>,
    /// The journey's own.
    pub auth: Option<&'a AuthFile>,
    /// Those of the journey and the groups around a step.
    pub tags: Vec<String>,
    /// What is wrong so far.
    pub mistakes: &'a mut Mistakes,
    /// The texts of the files that the plan names.
    pub files: &'a BTreeMap<String, String>,
    /// The contents of those that are no texts.
    pub blobs: &'a BTreeMap<String, Vec<u8>>,
    /// The plan's target.
    pub target: &'a Target,
    /// What proto files define.
    pub protos: &'a mut Protos,
    n: usize,
}

impl<'a> Steps<'a> {
    /// Begins with what a plan has for all its steps.
    pub fn new(
        written: &'a Written,
        (target, protos): (&'a Target, &'a mut Protos),
        headers: &'a BTreeMap<String, String>,
        mistakes: &'a mut Mistakes,
    ) -> Self {
        let (files, blobs) = (&written.files, &written.blobs);
        let (auth, tags, n) = (None, Vec::new(), 0);
        Self { headers, auth, tags, mistakes, files, blobs, target, protos, n }
    }

    /// Builds a journey.
    pub fn journey(&mut self, key: &str, n: usize, file: &JourneyFile, think: Think) -> Journey {
        if file.weight == Some(0) {
            self.mistakes.add(format!("{key}.weight"), "use 1 or more, or leave the journey out");
        }
        if file.steps.is_empty() {
            self.mistakes.add(format!("{key}.steps"), "a journey needs at least one step");
        }
        for (name, list) in &file.data {
            if list.is_empty() {
                self.mistakes.add(format!("{key}.data.{name}"), "the list is empty");
            }
        }
        let feeds =
            file.feed.iter().filter_map(|(name, feed)| self.feed(key, name, feed)).collect();
        let journey = Journey {
            feeds,
            name: file.name.clone().unwrap_or_else(|| format!("journey {}", n + 1)),
            weight: file.weight.unwrap_or(1),
            think: file.think.unwrap_or(think),
            pace: file.pace,
            data: file.data.clone(),
            user: file.user.clone(),
            start: self.steps(&format!("{key}.start"), &file.start, 0),
            steps: self.steps(&format!("{key}.steps"), &file.steps, 0),
            end: self.steps(&format!("{key}.end"), &file.end, 0),
        };
        if self.n > MAX_STEPS {
            self.mistakes.add(key, format!("more than {MAX_STEPS} steps"));
        }
        journey
    }

    fn feed(&mut self, key: &str, name: &str, file: &FeedFile) -> Option<Feed> {
        let key = format!("{key}.feed");
        self.variable(&key, name);
        let text = self.files.get(&file.file).ok_or_else(|| "it names no file".to_owned());
        let rows = text.and_then(|text| feed::rows(&file.file, text));
        let wrong = |error: String| self.mistakes.add(format!("{key}.{name}.file"), error);
        Some(Feed {
            name: name.to_owned(),
            rows: rows.map_err(wrong).ok()?,
            order: file.order,
            per: file.per,
            at_end: file.at_end,
        })
    }

    /// Builds the steps of a list, so deep in others.
    pub fn steps(&mut self, key: &str, files: &[StepFile], depth: usize) -> Vec<Step> {
        if depth > 8 {
            self.mistakes.add(key, "steps are nested deeper than 8");
            return Vec::new();
        }
        self.n += files.len();
        files
            .iter()
            .enumerate()
            .map(|(n, file)| self.step(&format!("{key}[{n}]"), file, depth))
            .collect()
    }

    fn step(&mut self, key: &str, file: &StepFile, depth: usize) -> Step {
        for tag in &file.tags {
            if tag.is_empty() || tag.contains(char::is_whitespace) {
                self.mistakes.add(format!("{key}.tags"), format!("`{tag}` is not one word"));
            }
        }
        for (name, number) in [("repeat", file.repeat), ("weight", file.weight)] {
            if number == Some(0) {
                self.mistakes.add(format!("{key}.{name}"), "use 1 or more, or leave the step out");
            }
        }
        let n_tags = self.tags.len();
        self.tags.extend(file.tags.iter().cloned());
        let action = self.action(key, file, depth);
        self.tags.truncate(n_tags);
        let is_only_set = matches!(&action, Action::Group(steps) if steps.is_empty());
        for name in file.set.keys() {
            self.variable(&format!("{key}.set"), name);
        }
        Step {
            when: file.when.clone(),
            while_: file.while_.clone(),
            repeat: file.repeat.unwrap_or(if file.while_.is_some() { MAX_ROUNDS } else { 1 }),
            weight: file.weight.unwrap_or(1),
            think: file.think.or(is_only_set.then_some(Think::NONE)),
            set: file.set.clone(),
            action,
        }
    }

    /// What a step does; one that cannot be told does nothing.
    fn action(&mut self, key: &str, file: &StepFile, depth: usize) -> Action {
        let kinds = [!file.steps.is_empty(), !file.choose.is_empty()];
        let n_calls = call::n_calls(file);
        let wrong = match (self.request_line(key, file), kinds) {
            (None, [false, false]) if n_calls == 1 => return self.call(key, file),
            _ if n_calls > 0 => {
                "a step is one request or one of `websocket`, `grpc`, `dns`, `tcp`: make more steps"
            }
            (Some((method, url)), [false, false]) => {
                return Action::Request(Box::new(self.request(key, file, method, url)));
            }
            (None, [true, false]) => {
                self.only_requests(key, file);
                return Action::Group(self.steps(&format!("{key}.steps"), &file.steps, depth + 1));
            }
            (None, [false, true]) => {
                self.only_requests(key, file);
                let steps = self.steps(&format!("{key}.choose"), &file.choose, depth + 1);
                return Action::Choice(steps);
            }
            // A step may do no more than set variables.
            (None, [false, false]) if !file.set.is_empty() => return Action::Group(Vec::new()),
            (None, [false, false]) => {
                "a step needs one of `get`, `post`, `put`, `patch`, `delete`, `head`, `websocket`, \
                 `grpc`, `dns`, `tcp`, `steps`, `choose` or `set`"
            }
            (Some(_), _) | (None, [true, true]) => {
                "a step is one request or has `steps` or `choose`, not two of them"
            }
        };
        self.mistakes.add(key, wrong);
        Action::Group(Vec::new())
    }

    fn request_line<'f>(&mut self, key: &str, file: &'f StepFile) -> Option<(Method, &'f str)> {
        let mut found = [
            (Method::Get, &file.get),
            (Method::Post, &file.post),
            (Method::Put, &file.put),
            (Method::Patch, &file.patch),
            (Method::Delete, &file.delete),
            (Method::Head, &file.head),
        ]
        .into_iter()
        .filter_map(|(method, url)| Some((method, url.as_deref()?)));
        let first = found.next();
        if let (Some((a, _)), Some((b, _))) = (first, found.next()) {
            self.mistakes.add(key, format!("{a} and {b} are two requests: make two steps"));
        }
        first
    }

    /// Tells what stands at a group but belongs to requests.
    fn only_requests(&mut self, key: &str, file: &StepFile) {
        for (name, is_there) in [
            ("json", file.json.is_some()),
            ("form", !file.form.is_empty()),
            ("body", file.body.is_some()),
            ("upload", file.upload.is_some()),
            ("multipart", !file.multipart.is_empty()),
            ("headers", !file.headers.is_empty()),
            ("save", !file.save.is_empty()),
            ("check", file.check.is_some()),
            ("timeout", file.timeout.is_some()),
            ("auth", file.auth.is_some()),
        ] {
            if is_there {
                self.mistakes
                    .add(format!("{key}.{name}"), "it belongs to a request, not to a group");
            }
        }
    }

    fn request(&mut self, key: &str, file: &StepFile, method: Method, url: &str) -> Request {
        let (origin, path) = self.path(key, method, url);
        let name = match &file.name {
            Some(name) => name.split_whitespace().collect::<Vec<_>>().join(" "),
            None => squeeze(url),
        };
        let name = if name.is_empty() { "/".to_owned() } else { name };
        let headers = self.all_headers(file);
        let body = self.body(key, file);
        if file.timeout.is_some_and(|span| span.0.is_zero() || span.0 > LONGEST_TIMEOUT) {
            self.mistakes.add(format!("{key}.timeout"), TIMEOUTS);
        }
        for name in file.save.keys() {
            self.variable(&format!("{key}.save"), name);
        }
        Request {
            method,
            origin,
            path,
            name,
            tags: self.tags.clone(),
            auth: file.auth.as_ref().or(self.auth).cloned(),
            headers,
            body,
            save: file.save.clone(),
            checks: file.check.as_ref().map(check::checks).unwrap_or_default(),
            status: self.statuses(key, file),
            timeout: file.timeout,
        }
    }

    /// The journey's headers and the step's own, names in lower case.
    pub fn all_headers(&self, file: &StepFile) -> BTreeMap<String, String> {
        let all = self.headers.iter().chain(&file.headers);
        all.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
    }

    /// Tells a name that no variable can have.
    pub fn variable(&mut self, key: &str, name: &str) {
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !is_name {
            self.mistakes.add(
                format!("{key}.{name}"),
                "a variable's name is made of letters, digits and underscores",
            );
        }
    }

    fn path(&mut self, key: &str, method: Method, url: &str) -> (Option<Origin>, String) {
        let key = format!("{key}.{}", method.to_string().to_lowercase());
        if url::is_absolute(url) {
            return match url::split(url) {
                Ok((origin, path)) => (Some(origin), path.to_owned()),
                Err(error) => {
                    self.mistakes.add(key, error.to_string());
                    (None, String::new())
                }
            };
        }
        if !self.target.origin.scheme.is_http() {
            let text = format!("the target is no HTTP server: name one, `http://host{url}`");
            self.mistakes.add(&*key, text);
        }
        if !url.is_empty() && !url.starts_with(['/', '?']) && !url.starts_with("{{") {
            self.mistakes.add(key, format!("`{url}` is not a path: begin it with `/`"));
        }
        (None, url.to_owned())
    }

    fn statuses(&mut self, key: &str, file: &StepFile) -> Vec<Status> {
        let written = file.check.as_ref().and_then(|check| check.status.as_ref());
        let mut statuses = Vec::new();
        for text in written.iter().flat_map(|list| &list.0) {
            match status(text) {
                Some(status) => statuses.push(status),
                None => self.mistakes.add(
                    format!("{key}.check.status"),
                    format!("`{text}` is not a status such as `200` or `2xx`"),
                ),
            }
        }
        statuses
    }
}

fn status(text: &str) -> Option<Status> {
    if let Some(class) = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok()) {
        return (1..=5).contains(&class).then(|| Status { lo: class * 100, hi: class * 100 + 99 });
    }
    let status: u16 = text.parse().ok()?;
    (100..=599).contains(&status).then_some(Status { lo: status, hi: status })
}
