//! Compiles what requests send: headers, who sends them, bodies.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::load::body::Payload;
use crate::load::file::{AuthFile, OauthFile};
use crate::load::plan::{Body, Method, Part};
use crate::load::script::{
    BYTES, CompiledBody, CompiledHeader, CompiledPart, CompiledRequest, Compiler, Protocol, Want,
};
use crate::load::template::{Names, Template};
use crate::load::url;

impl Compiler<'_> {
    /// Compiles a header.
    pub fn header(
        &mut self,
        key: &str,
        name: &str,
        value: &str,
    ) -> Option<(HeaderName, CompiledHeader)> {
        let key = format!("{key}.headers.{name}");
        let Ok(header) = HeaderName::try_from(name) else {
            self.mistakes.add(key, "this is not a header name");
            return None;
        };
        if ["host", "content-length", "transfer-encoding", "connection", "upgrade"]
            .contains(&header.as_str())
        {
            self.mistakes.add(key, "this header is set by dyno itself: leave it out");
            return None;
        }
        let template = self.template(key.clone(), value);
        let compiled = match template.as_fixed() {
            None => CompiledHeader::Template(template),
            Some(text) => {
                if let Ok(value) = HeaderValue::try_from(text) {
                    CompiledHeader::Fixed(value)
                } else {
                    self.mistakes.add(key, "a header's value cannot hold control characters");
                    return None;
                }
            }
        };
        Some((header, compiled))
    }

    /// Compiles the header that says who sends.
    pub fn auth(&mut self, key: &str, auth: &AuthFile) -> Option<(HeaderName, CompiledHeader)> {
        let template = match auth {
            AuthFile::Bearer(token) => Template::parse(&format!("Bearer {token}"), &self.names),
            AuthFile::Basic(basic) => Template::basic(&basic.user, &basic.password, &self.names),
            AuthFile::Oauth(oauth) => {
                let token = CompiledHeader::Token(self.oauth(key, oauth));
                return Some((http::header::AUTHORIZATION, token));
            }
        };
        let wrong = |error: crate::load::template::Error| {
            self.mistakes.add(format!("{key}.auth"), error.to_string());
        };
        Some((http::header::AUTHORIZATION, CompiledHeader::Template(template.map_err(wrong).ok()?)))
    }

    /// Returns the number of a token; the same is asked for once.
    fn oauth(&mut self, key: &str, oauth: &OauthFile) -> usize {
        if let Some(at) = self.oauths.iter().position(|known| known == oauth) {
            return at;
        }
        let key = format!("{key}.auth.oauth");
        let (origin, path) = match url::split(&oauth.token_url) {
            Ok((origin, path)) => (Some(origin), path),
            Err(error) => {
                self.mistakes.add(format!("{key}.token-url"), error.to_string());
                (None, "")
            }
        };
        let fields = [
            ("grant_type", Some("client_credentials")),
            ("client_id", Some(oauth.client_id.as_str())),
            ("client_secret", Some(oauth.client_secret.as_str())),
            ("scope", oauth.scope.as_deref()),
            ("audience", oauth.audience.as_deref()),
        ];
        let fields = fields.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let form = fields
            .map(|(name, text)| {
                let own = format!("{key}.{}", name.replace('_', "-"));
                // What a user knows is not known before there are users.
                let names = Names::default().with_env(self.names.env());
                let template = Template::parse(text, &names).unwrap_or_else(|error| {
                    self.mistakes.add(own, error.to_string());
                    Template::default()
                });
                (name.to_owned(), template)
            })
            .collect();
        self.oauths.push(oauth.clone());
        let path = if path.is_empty() { "/" } else { path };
        let path = self.template(format!("{key}.token-url"), path);
        self.tokens.push(CompiledRequest {
            // No request of a journey has this number.
            number: usize::MAX,
            method: Method::Post,
            origin,
            path,
            headers: Vec::new(),
            body: CompiledBody::Form(form),
            want: Want {
                endpoint: 0,
                protocol: Protocol::Http,
                save: Vec::new(),
                checks: Vec::new(),
                wants_body: true,
                wants_json: true,
                wants_headers: false,
                status: Vec::new(),
                timeout: self.timeout,
            },
        });
        self.tokens.len() - 1
    }

    /// Compiles a body.
    pub fn body(&mut self, key: &str, body: &Body) -> CompiledBody {
        match body {
            Body::None => CompiledBody::None,
            Body::Json(value) => CompiledBody::Json(self.tree(format!("{key}.json"), value)),
            Body::Text(text) => CompiledBody::Text(self.template(format!("{key}.body"), text)),
            Body::Upload(content, kind) => {
                let kind = kind.as_deref().unwrap_or(BYTES).to_owned();
                CompiledBody::Upload(Arc::from([Payload::new(content)]), kind)
            }
            Body::Multipart(parts) => self.multipart(key, parts),
            Body::Form(fields) => CompiledBody::Form(
                fields
                    .iter()
                    .map(|(name, value)| {
                        let mut encoded = String::new();
                        crate::load::template::push_escaped(
                            &mut encoded,
                            name,
                            crate::load::template::Escape::Form,
                        );
                        (encoded, self.template(format!("{key}.form.{name}"), value))
                    })
                    .collect(),
            ),
        }
    }

    fn multipart(&mut self, key: &str, parts: &[(String, Part)]) -> CompiledBody {
        let quoted = |text: &str| text.replace('"', "%22").replace(['\r', '\n'], " ");
        let compile = |(name, part): &(String, Part)| {
            let head = format!("content-disposition: form-data; name=\"{}\"", quoted(name));
            match part {
                Part::Text(text) => {
                    let text = self.template(format!("{key}.multipart.{name}"), text);
                    (format!("{head}\r\n\r\n"), CompiledPart::Text(text))
                }
                Part::File(file, kind, content) => {
                    let head = format!(
                        "{head}; filename=\"{}\"\r\ncontent-type: {kind}\r\n\r\n",
                        quoted(file)
                    );
                    (head, CompiledPart::Bytes(Payload::new(content)))
                }
            }
        };
        let parts = parts.iter().map(compile).collect();
        // No bytes that somebody wrote hold it.
        let boundary = format!("dyno-{:032x}", SmallRng::from_os_rng().random::<u128>());
        CompiledBody::Multipart(boundary, parts)
    }
}
