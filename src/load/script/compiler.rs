//! Compiles steps, and what is wanted of their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;
use serde_json::Value;

use crate::load::check::{Check, CompiledCheck};
use crate::load::error::Mistakes;
use crate::load::file::{AuthFile, OauthFile};
use crate::load::gauge::Tags;
use crate::load::plan::{Action, Journey, LONGEST_TIMEOUT, Request, Step};
use crate::load::script::{
    CompiledAction, CompiledHeader, CompiledJourney, CompiledRequest, CompiledStep, Protocol, Want,
};
use crate::load::take::Take;
use crate::load::template::{Condition, Names, Template, Tree};
use crate::unit::Span;

/// Compiles steps; what is wrong is told by its key.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// The names that templates may use.
    pub names: Names,
    /// The endpoints so far.
    pub endpoints: &'a mut Vec<String>,
    /// Tags and their endpoints so far.
    pub tags: &'a mut Tags,
    /// The checks so far.
    pub checks: &'a mut Vec<(String, String)>,
    /// How many requests there are so far.
    pub n_requests: &'a mut usize,
    /// How many feeds there are so far.
    pub n_feeds: &'a mut usize,
    /// The tokens so far, as written.
    pub oauths: &'a mut Vec<OauthFile>,
    /// What asks for them.
    pub tokens: &'a mut Vec<CompiledRequest>,
    /// The plan's timeout.
    pub timeout: Duration,
    /// What is wrong so far.
    pub mistakes: &'a mut Mistakes,
}

impl Compiler<'_> {
    /// Compiles a journey; setup and teardown have no key.
    pub fn journey(&mut self, key: &str, journey: &Journey) -> CompiledJourney {
        let (start, end) = match key {
            "" => ("setup".to_owned(), "teardown".to_owned()),
            key => (format!("{key}.start"), format!("{key}.end")),
        };
        let user = journey.user.as_ref().map(|user| self.tree(format!("{key}.user"), user));
        let first_feed = *self.n_feeds;
        *self.n_feeds += journey.feeds.len();
        let mut compiled = CompiledJourney {
            given: Vec::new(),
            names: Vec::new(),
            feeds: journey.feeds.iter().map(|feed| self.names.variable(&feed.name)).collect(),
            first_feed,
            think: journey.think,
            pace: journey.pace.map(|span| span.0),
            data: journey.data.values().map(|list| Value::Array(list.clone())).collect(),
            user,
            start: self.steps(&start, &journey.start),
            steps: self.steps(&format!("{key}.steps"), &journey.steps),
            end: self.steps(&end, &journey.end),
            n_variables: self.names.n_variables(),
        };
        compiled.names = self.names.variables().map(str::to_owned).collect();
        compiled
    }

    fn steps(&mut self, key: &str, steps: &[Step]) -> Vec<CompiledStep> {
        steps.iter().enumerate().map(|(n, step)| self.step(&format!("{key}[{n}]"), step)).collect()
    }

    fn step(&mut self, key: &str, step: &Step) -> CompiledStep {
        let when = step.when.as_ref().and_then(|text| self.condition(format!("{key}.when"), text));
        let while_ =
            step.while_.as_ref().and_then(|text| self.condition(format!("{key}.while"), text));
        let set = step
            .set
            .iter()
            .map(|(name, value)| {
                (self.names.variable(name), self.tree(format!("{key}.set.{name}"), value))
            })
            .collect();
        let action = match &step.action {
            Action::Request(request) => {
                CompiledAction::Request(Box::new(self.request(key, request)))
            }
            Action::Call(call) => CompiledAction::Call(Box::new(self.call(key, call))),
            Action::Group(steps) => {
                CompiledAction::Group(self.steps(&format!("{key}.steps"), steps))
            }
            Action::Choice(steps) => {
                let mut sum = 0;
                let sums = steps.iter().map(|step| {
                    sum += u64::from(step.weight);
                    sum
                });
                let sums: Vec<u64> = sums.collect();
                let steps = self.steps(&format!("{key}.choose"), steps);
                CompiledAction::Choice(sums.into_iter().zip(steps).collect())
            }
        };
        CompiledStep { when, while_, repeat: step.repeat, think: step.think, set, action }
    }

    fn request(&mut self, key: &str, request: &Request) -> CompiledRequest {
        let method = request.method;
        let endpoint = format!("{method} {}", request.name);
        let verb = method.to_string().to_lowercase();
        let path = self.template(format!("{key}.{verb}"), &request.path);
        let headers = self.headers(key, &request.headers, request.auth.as_ref());
        let mut want = self.want(key, endpoint, &request.tags, (&request.save, &request.checks));
        want.status.clone_from(&request.status);
        want.timeout = self.timeout(request.timeout);
        let number = *self.n_requests;
        *self.n_requests += 1;
        CompiledRequest {
            number,
            method,
            origin: request.origin.clone(),
            path,
            headers,
            body: self.body(key, &request.body),
            want,
        }
    }

    /// Compiles headers, the one that says who sends among them.
    pub fn headers(
        &mut self,
        key: &str,
        headers: &BTreeMap<String, String>,
        auth: Option<&AuthFile>,
    ) -> Vec<(HeaderName, CompiledHeader)> {
        let mut compiled: Vec<(HeaderName, CompiledHeader)> =
            headers.iter().filter_map(|(name, value)| self.header(key, name, value)).collect();
        compiled.extend(auth.and_then(|auth| self.auth(key, auth)));
        compiled
    }

    /// How long something may take; `None`: as the plan says.
    pub fn timeout(&self, own: Option<Span>) -> Duration {
        own.map_or(self.timeout, |span| span.0).min(LONGEST_TIMEOUT)
    }

    /// Compiles what is wanted of an answer to HTTP; other protocols change what differs.
    pub fn want(
        &mut self,
        key: &str,
        endpoint: String,
        tags: &[String],
        (save, checks): (&BTreeMap<String, String>, &[Check]),
    ) -> Want {
        for tag in tags {
            let tagged = self.tags.entry(tag.clone()).or_default();
            if !tagged.contains(&endpoint) {
                tagged.push(endpoint.clone());
            }
        }
        let save = self.takes(key, save);
        let checks = self.checks(key, checks, &endpoint);
        Want {
            endpoint: self.endpoint(endpoint),
            protocol: Protocol::Http,
            wants_body: save.iter().any(|(_, take)| take.wants_body())
                || checks.iter().any(CompiledCheck::wants_body),
            wants_json: checks.iter().any(CompiledCheck::wants_json),
            wants_headers: save.iter().any(|(_, take)| take.wants_headers())
                || checks.iter().any(CompiledCheck::wants_headers),
            save,
            checks,
            status: Vec::new(),
            timeout: self.timeout,
        }
    }

    fn takes(&mut self, key: &str, save: &BTreeMap<String, String>) -> Vec<(usize, Take)> {
        save.iter()
            .filter_map(|(name, from)| {
                let slot = self.names.variable(name);
                let taken = Take::parse(from);
                let wrong = |text: String| self.mistakes.add(format!("{key}.save.{name}"), text);
                Some((slot, taken.map_err(wrong).ok()?))
            })
            .collect()
    }

    fn checks(&mut self, key: &str, checks: &[Check], endpoint: &str) -> Vec<CompiledCheck> {
        checks
            .iter()
            .filter_map(|check| {
                let own = (endpoint.to_owned(), check.name.clone());
                let at = self.checks.iter().position(|known| *known == own);
                let number = at.unwrap_or(self.checks.len());
                if at.is_none() {
                    self.checks.push(own);
                }
                let compiled = CompiledCheck::new(check, number, &self.names);
                let key = format!("{key}.check.{}", check.what.key());
                let wrong = |text: String| self.mistakes.add(key, text);
                compiled.map_err(wrong).ok()
            })
            .collect()
    }

    fn endpoint(&mut self, name: String) -> usize {
        self.endpoints.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.endpoints.push(name);
            self.endpoints.len() - 1
        })
    }

    fn condition(&mut self, key: String, text: &str) -> Option<Condition> {
        let condition = Condition::parse(text, &self.names);
        condition.map_err(|error| self.mistakes.add(key, error.to_string())).ok()
    }

    /// Reads a template.
    pub fn template(&mut self, key: String, text: &str) -> Template {
        Template::parse(text, &self.names).unwrap_or_else(|error| {
            self.mistakes.add(key, error.to_string());
            Template::default()
        })
    }

    /// Reads a value whose strings are templates.
    pub fn tree(&mut self, key: String, value: &Value) -> Tree {
        Tree::parse(value, &self.names).unwrap_or_else(|error| {
            self.mistakes.add(key, error.to_string());
            Tree::Fixed(Value::Null, String::new())
        })
    }
}
