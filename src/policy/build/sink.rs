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
        let login = (written.token_file, written.username, written.password_file);
        let auth = self.simple_auth(&key, login);
        SinkEntry {
            kind,
            url: self.url(&format!("{key}.url"), &written.url),
            headers: written.headers,
            auth,
            ca_file: self.optional_path(&format!("{key}.ca-file"), written.ca_file),
        }
    }
}
