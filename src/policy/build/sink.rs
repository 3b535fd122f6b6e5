//! Sinks as meant.

use super::Builder;
use crate::load::push::Kind;
use crate::policy::sink::{SinkEntry, SinkFile};

impl Builder {
    pub(super) fn sink(&mut self, name: &str, written: SinkFile) -> SinkEntry {
        let key = format!("sinks.{name}");
        self.name(&key, name);
        let (kind, word, written) = match written {
            SinkFile::RemoteWrite(written) => (Kind::RemoteWrite, "remote-write", written),
            SinkFile::Otlp(written) => (Kind::Otlp, "otlp", written),
        };
        let key = format!("{key}.{word}");
        for (name, value) in &written.headers {
            self.header(&format!("{key}.headers.{name}"), name, value);
        }
        if written.token_file.is_some() && written.username.is_some() {
            self.wrong(
                &format!("{key}.username"),
                "a bearer token and basic authentication exclude each other",
            );
        }
        if written.username.is_some() != written.password_file.is_some()
            && self.document.is_whole(&key)
        {
            self.wrong(&key, "`username` and `password-file` go together");
        }
        SinkEntry {
            kind,
            url: self.url(&format!("{key}.url"), &written.url),
            headers: written.headers,
            token_file: self.optional_path(&format!("{key}.token-file"), written.token_file),
            username: written.username,
            password_file: self
                .optional_path(&format!("{key}.password-file"), written.password_file),
            ca_file: self.optional_path(&format!("{key}.ca-file"), written.ca_file),
        }
    }
}
