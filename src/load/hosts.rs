//! Variables of the job in the hosts that steps name: `http://$LOGIN/token`. Where requests go is
//! decided before the run, so hosts have variables; what is sent has templates.

use crate::job::Vars;
use crate::load::error::Mistakes;
use crate::load::file::{AuthFile, StepFile};
use crate::load::plan::Written;
use crate::load::url;

/// What stands for a host that could not be told: one mistake is enough.
const NOWHERE: &str = "localhost:1";

/// Puts variables into the hosts of steps and token servers, and tells those that stand where they
/// would be sent as they are.
pub fn named(mut written: Written, vars: &dyn Vars, mistakes: &mut Mistakes) -> Written {
    let mut hosts = Hosts { vars, mistakes };
    for (n, journey) in written.journeys.iter_mut().enumerate() {
        let key = format!("journeys[{n}]");
        hosts.auth(&key, &mut journey.auth);
        hosts.headers(&key, &journey.headers);
        for (name, steps) in [
            ("start", &mut journey.start),
            ("steps", &mut journey.steps),
            ("end", &mut journey.end),
        ] {
            hosts.steps(&format!("{key}.{name}"), steps);
        }
    }
    hosts.steps("setup", &mut written.setup);
    hosts.steps("teardown", &mut written.teardown);
    written
}

struct Hosts<'a> {
    vars: &'a dyn Vars,
    mistakes: &'a mut Mistakes,
}

impl Hosts<'_> {
    fn steps(&mut self, key: &str, steps: &mut [StepFile]) {
        for (n, step) in steps.iter_mut().enumerate() {
            let key = format!("{key}[{n}]");
            let urls = [
                ("get", &mut step.get),
                ("post", &mut step.post),
                ("put", &mut step.put),
                ("patch", &mut step.patch),
                ("delete", &mut step.delete),
                ("head", &mut step.head),
            ];
            let calls = [
                ("websocket.connect", step.websocket.as_mut().map(|call| &mut call.connect)),
                ("grpc.at", step.grpc.as_mut().map(|call| &mut call.at)),
                ("dns.server", step.dns.as_mut().map(|call| &mut call.server)),
                ("tcp.connect", step.tcp.as_mut().map(|call| &mut call.connect)),
            ];
            let calls = calls.into_iter().filter_map(|(name, url)| Some((name, url?)));
            for (name, url) in urls.into_iter().chain(calls) {
                if let Some(url) = url {
                    self.host(format!("{key}.{name}"), url);
                }
            }
            self.auth(&key, &mut step.auth);
            self.headers(&key, &step.headers);
            self.steps(&format!("{key}.steps"), &mut step.steps);
            self.steps(&format!("{key}.choose"), &mut step.choose);
        }
    }

    /// Puts variables into what stands before a URL's path; one may be the whole beginning.
    fn host(&mut self, key: String, url: &mut String) {
        let begin = match url.find("://") {
            Some(at) => at + "://".len(),
            None if url.starts_with('$') => 0,
            None => return,
        };
        let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
        if !url[begin..end].contains('$') {
            return;
        }
        match url::expand(&url[begin..end], self.vars) {
            Ok(host) => url.replace_range(begin..end, host.trim_end_matches('/')),
            Err(error) => {
                self.mistakes.add(key, error.to_string());
                let scheme = if begin == 0 { "http://" } else { "" };
                url.replace_range(begin..end, &format!("{scheme}{NOWHERE}"));
            }
        }
    }

    fn auth(&mut self, key: &str, auth: &mut Option<AuthFile>) {
        match auth {
            Some(AuthFile::Bearer(token)) => self.sent(&format!("{key}.auth.bearer"), token),
            Some(AuthFile::Basic(basic)) => {
                self.sent(&format!("{key}.auth.basic.user"), &basic.user);
                self.sent(&format!("{key}.auth.basic.password"), &basic.password);
            }
            Some(AuthFile::Oauth(oauth)) => {
                self.host(format!("{key}.auth.oauth.token-url"), &mut oauth.token_url);
                self.sent(&format!("{key}.auth.oauth.client-id"), &oauth.client_id);
                self.sent(&format!("{key}.auth.oauth.client-secret"), &oauth.client_secret);
            }
            None => {}
        }
    }

    fn headers(&mut self, key: &str, headers: &std::collections::BTreeMap<String, String>) {
        for (name, value) in headers {
            self.sent(&format!("{key}.headers.{name}"), value);
        }
    }

    /// Tells a word of what is sent that looks like a variable and would go out as it is.
    fn sent(&mut self, key: &str, text: &str) {
        for word in text.split_whitespace() {
            let name = word.strip_prefix('$').unwrap_or_default();
            let name = name.strip_prefix('{').and_then(|n| n.strip_suffix('}')).unwrap_or(name);
            let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            if is_name {
                let text = format!(
                    "`{word}` would be sent as it stands: a variable of the job is `{{{{ env.{name} }}}}` here"
                );
                self.mistakes.add(key, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::load::tests::support::written;
    use crate::load::{Error, Overrides, Plan};

    fn build(steps: &str) -> Result<Plan, Vec<String>> {
        let yaml = format!(
            "target: http://a\nload: {{ users: 1, duration: 1s }}\njourneys: [{{ {steps} }}]"
        );
        let vars = BTreeMap::from([
            ("LOGIN".to_owned(), "login.example:8443".to_owned()),
            ("API".to_owned(), "https://api.example/".to_owned()),
        ]);
        let plan = Plan::build(&written(&yaml), &Overrides::default(), &vars);
        plan.map_err(|error| {
            let Error::Plan(mistakes) = error else { panic!("{error}") };
            mistakes.0.into_iter().map(|m| format!("{}: {}", m.key, m.text)).collect()
        })
    }

    #[test]
    fn hosts_of_steps_and_of_token_servers_may_be_variables() {
        let plan = build(
            "auth: { oauth: { token-url: 'https://$LOGIN/t', client-id: a, client-secret: b } },\
             steps: [{ get: '$API/x?$top=1' }, { steps: [{ post: 'http://${LOGIN}/y' }] },\
               { tcp: { connect: '$LOGIN', send: x } }, { websocket: { connect: 'ws://$LOGIN/$x' } }]",
        );
        let origins: Vec<String> =
            plan.unwrap().origins().iter().map(crate::load::plan::Origin::url).collect();
        assert_eq!(
            origins,
            [
                "http://a",
                "https://api.example",
                "https://login.example:8443",
                "http://login.example:8443",
                "tcp://login.example:8443",
                "ws://login.example:8443"
            ]
        );
    }

    #[test]
    fn a_variable_that_is_not_set_or_would_be_sent_as_it_stands_is_told_once() {
        let told = build(
            "headers: { x-key: $KEY }, auth: { basic: { user: a, password: '${PASSWORD}' } },\
             steps: [{ get: 'http://$NOWHERE/x' }, { get: /y, headers: { authorization: Bearer $TOKEN, x: $5 } }]",
        );
        let sent = |word: &str, name: &str| {
            format!(
                "`{word}` would be sent as it stands: a variable of the job is `{{{{ env.{name} }}}}` here"
            )
        };
        assert_eq!(
            told.unwrap_err(),
            [
                format!("journeys[0].auth.basic.password: {}", sent("${PASSWORD}", "PASSWORD")),
                format!("journeys[0].headers.x-key: {}", sent("$KEY", "KEY")),
                "journeys[0].steps[0].get: the variable `NOWHERE` is not set".to_owned(),
                format!("journeys[0].steps[1].headers.authorization: {}", sent("$TOKEN", "TOKEN")),
            ]
        );
    }
}
