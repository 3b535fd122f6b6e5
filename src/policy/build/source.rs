//! Metric sources: from the policy as written to the policy as meant.

use std::path::PathBuf;

use super::Builder;
use crate::gate::source::{Clock, Dialect, Path, Shape};
use crate::policy::file::{BaselinesFile, PackagesFile};
use crate::policy::source::file::{
    ClockFile, HttpFile, JsonFile, OauthFile, PodMetricsFile, SigFile, SourceFile, WavefrontFile,
};
use crate::policy::{AuthEntry, BaselineEntry, BucketEntry, SourceEntry};

const CSP: &str = "https://console.cloud.vmware.com";
const CSP_API_TOKEN: &str = "csp/gateway/am/api/auth/api-tokens/authorize";
const NEW_RELIC: &str = "https://api.newrelic.com/graphql";

/// The keys that only one credential may come from.
struct Choices<'a> {
    token_file: Option<PathBuf>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    oauth2: Option<&'a OauthFile>,
    sigv4: Option<&'a SigFile>,
}

impl Builder {
    pub(super) fn source(&mut self, name: &str, written: SourceFile) -> SourceEntry {
        let key = format!("sources.{name}");
        self.name(&key, name);
        match written {
            SourceFile::Wavefront(written) => self.wavefront(&format!("{key}.wavefront"), written),
            SourceFile::Prometheus(written) => {
                self.http(&format!("{key}.prometheus"), written, Dialect::Prometheus)
            }
            SourceFile::Graphite(written) => {
                self.http(&format!("{key}.graphite"), written, Dialect::Graphite)
            }
            SourceFile::Openmetrics(written) => {
                self.http(&format!("{key}.openmetrics"), written, Dialect::OpenMetrics)
            }
            SourceFile::Influxdb1(written) => {
                let key = format!("{key}.influxdb1");
                let auth = self.login(&key, written.username, written.password_file);
                let dialect = Dialect::Influx1 { database: written.database };
                self.entry(&key, (dialect, &written.url), auth, written.ca_file)
            }
            SourceFile::Influxdb2(written) => {
                let key = format!("{key}.influxdb2");
                let auth = self.token(&key, written.token_file);
                let dialect = Dialect::Influx2 { org: written.org };
                self.entry(&key, (dialect, &written.url), auth, written.ca_file)
            }
            SourceFile::Datadog(written) => {
                let key = format!("{key}.datadog");
                let own = self.path(&format!("{key}.api-key-file"), &written.api_key_file);
                let app = self
                    .path(&format!("{key}.application-key-file"), &written.application_key_file);
                let auth = AuthEntry::Keys(vec![("dd-api-key", own), ("dd-application-key", app)]);
                self.entry(&key, (Dialect::Datadog, &written.url), auth, written.ca_file)
            }
            SourceFile::Cloudwatch(written) => {
                let key = format!("{key}.cloudwatch");
                let region = &written.sigv4.region;
                let url = written
                    .url
                    .unwrap_or_else(|| format!("https://monitoring.{region}.amazonaws.com"));
                let auth = self.signed(&format!("{key}.sigv4"), &written.sigv4, "monitoring");
                self.entry(&key, (Dialect::CloudWatch, &url), auth, written.ca_file)
            }
            SourceFile::Newrelic(written) => {
                let key = format!("{key}.newrelic");
                let auth = self.token(&key, written.token_file);
                let dialect = Dialect::NewRelic { account: written.account };
                let url = written.url.unwrap_or_else(|| NEW_RELIC.to_owned());
                self.entry(&key, (dialect, &url), auth, written.ca_file)
            }
            SourceFile::Dynatrace(written) => {
                let key = format!("{key}.dynatrace");
                let auth = self.token(&key, written.token_file);
                self.entry(&key, (Dialect::Dynatrace, &written.url), auth, written.ca_file)
            }
            SourceFile::Json(written) => self.json(&format!("{key}.json"), written),
            SourceFile::PodMetrics(written) => {
                self.pod_metrics(&format!("{key}.pod-metrics"), written)
            }
        }
    }

    pub(super) fn baselines(
        &mut self,
        state: &std::path::Path,
        written: Option<BaselinesFile>,
    ) -> BaselineEntry {
        match written {
            None => BaselineEntry::Directory(state.join("baselines")),
            Some(BaselinesFile::Directory(folder)) => {
                BaselineEntry::Directory(self.path("baselines.directory", &folder))
            }
            Some(BaselinesFile::Packages(PackagesFile {})) => {
                if !self.has("gitlab") {
                    self.wrong_with(
                        "baselines.packages",
                        "packages of which GitLab?",
                        "add `gitlab: { url: … }`",
                    );
                }
                BaselineEntry::Packages
            }
            Some(BaselinesFile::S3(written)) => {
                let key = "baselines.s3";
                let is_plain = |text: &str| {
                    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
                        && !text.split('/').any(|part| part == "..")
                        && !text.starts_with('/')
                };
                if written.bucket.is_empty()
                    || written.bucket.contains('/')
                    || !is_plain(&written.bucket)
                {
                    self.wrong(&format!("{key}.bucket"), "is no bucket's name");
                }
                if !is_plain(&written.prefix) {
                    self.wrong(&format!("{key}.prefix"), "is made of letters, digits and `-_./`");
                }
                let auth = self.signed(&format!("{key}.sigv4"), &written.sigv4, "s3");
                // The dialect is of no matter: objects are read and written, not asked.
                let place = (Dialect::OpenMetrics, written.url.as_str());
                BaselineEntry::Bucket(Box::new(BucketEntry {
                    source: self.entry(key, place, auth, written.ca_file),
                    bucket: written.bucket,
                    prefix: written.prefix,
                }))
            }
        }
    }

    fn entry(
        &mut self,
        key: &str,
        (dialect, url): (Dialect, &str),
        auth: AuthEntry,
        ca_file: Option<PathBuf>,
    ) -> SourceEntry {
        SourceEntry {
            dialect,
            url: self.url(&format!("{key}.url"), url),
            headers: std::collections::BTreeMap::new(),
            auth,
            ca_file: self.optional_path(&format!("{key}.ca-file"), ca_file),
        }
    }

    fn wavefront(&mut self, key: &str, written: WavefrontFile) -> SourceEntry {
        let csp = written.csp_url.as_deref().unwrap_or(CSP);
        let csp = self.url(&format!("{key}.csp-url"), csp);
        let n_ways = usize::from(written.token_file.is_some())
            + usize::from(written.csp_token_file.is_some())
            + usize::from(written.oauth2.is_some());
        if n_ways > 1 {
            self.wrong(key, "`token-file`, `csp-token-file` and `oauth2` exclude each other");
        }
        let auth = match (written.csp_token_file, &written.oauth2) {
            (Some(file), _) => AuthEntry::ApiToken {
                url: format!("{csp}/{CSP_API_TOKEN}"),
                file: self.path(&format!("{key}.csp-token-file"), &file),
            },
            (None, Some(oauth2)) => self.client(&format!("{key}.oauth2"), oauth2),
            (None, None) => self.token(key, written.token_file),
        };
        self.entry(key, (Dialect::Wavefront, &written.url), auth, written.ca_file)
    }

    fn http(&mut self, key: &str, written: HttpFile, dialect: Dialect) -> SourceEntry {
        for (name, value) in &written.headers {
            self.header(&format!("{key}.headers.{name}"), name, value);
        }
        let choices = Choices {
            token_file: written.token_file,
            username: written.username,
            password_file: written.password_file,
            oauth2: written.oauth2.as_ref(),
            sigv4: written.sigv4.as_ref(),
        };
        let auth = self.auth(key, choices);
        let entry = self.entry(key, (dialect, &written.url), auth, written.ca_file);
        SourceEntry { headers: written.headers, ..entry }
    }

    fn auth(&mut self, key: &str, choices: Choices<'_>) -> AuthEntry {
        if choices.token_file.is_some() && choices.username.is_some() {
            self.wrong(
                &format!("{key}.username"),
                "a bearer token and basic authentication exclude each other",
            );
        }
        let has_simple = choices.token_file.is_some() || choices.username.is_some();
        let n_ways = usize::from(has_simple)
            + usize::from(choices.oauth2.is_some())
            + usize::from(choices.sigv4.is_some());
        if n_ways > 1 {
            self.wrong(key, "`oauth2`, `sigv4` and other credentials exclude each other");
        }
        let token_file = choices.token_file;
        let login = self.login(key, choices.username, choices.password_file);
        match (choices.oauth2, choices.sigv4) {
            (Some(oauth2), _) => self.client(&format!("{key}.oauth2"), oauth2),
            (None, Some(sigv4)) => self.signed(&format!("{key}.sigv4"), sigv4, "aps"),
            (None, None) if token_file.is_some() => self.token(key, token_file),
            (None, None) => login,
        }
    }

    /// A token, or basic authentication: all that a sink knows.
    pub(super) fn simple_auth(
        &mut self,
        key: &str,
        (token_file, username, password_file): (Option<PathBuf>, Option<String>, Option<PathBuf>),
    ) -> AuthEntry {
        let choices = Choices { token_file, username, password_file, oauth2: None, sigv4: None };
        self.auth(key, choices)
    }

    fn token(&mut self, key: &str, file: Option<PathBuf>) -> AuthEntry {
        match self.optional_path(&format!("{key}.token-file"), file) {
            Some(file) => AuthEntry::Token(file),
            None => AuthEntry::None,
        }
    }

    fn login(&mut self, key: &str, user: Option<String>, file: Option<PathBuf>) -> AuthEntry {
        if user.is_some() != file.is_some() && self.document.is_whole(key) {
            self.wrong(key, "`username` and `password-file` go together");
        }
        let file = self.optional_path(&format!("{key}.password-file"), file);
        match user.zip(file) {
            Some((user, file)) => AuthEntry::Basic(user, file),
            None => AuthEntry::None,
        }
    }

    fn client(&mut self, key: &str, written: &OauthFile) -> AuthEntry {
        AuthEntry::Client {
            url: self.url(&format!("{key}.token-url"), &written.token_url),
            id: written.client_id.clone(),
            secret_file: self
                .path(&format!("{key}.client-secret-file"), &written.client_secret_file),
            scope: written.scope.clone(),
        }
    }

    fn signed(&mut self, key: &str, written: &SigFile, service: &'static str) -> AuthEntry {
        let is_plain = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        for (name, text) in [("region", &written.region), ("access-key-id", &written.access_key_id)]
        {
            if !is_plain(text) {
                self.wrong(&format!("{key}.{name}"), "is made of letters, digits and `-`");
            }
        }
        AuthEntry::Signed {
            region: written.region.clone(),
            service,
            access_key: written.access_key_id.clone(),
            secret_file: self.path(&format!("{key}.secret-key-file"), &written.secret_key_file),
            session_file: self.optional_path(
                &format!("{key}.session-token-file"),
                written.session_token_file.clone(),
            ),
        }
    }

    fn json(&mut self, key: &str, written: JsonFile) -> SourceEntry {
        for (name, value) in &written.headers {
            self.header(&format!("{key}.headers.{name}"), name, value);
        }
        let choices = Choices {
            token_file: written.token_file,
            username: written.username,
            password_file: written.password_file,
            oauth2: None,
            sigv4: None,
        };
        let auth = self.auth(key, choices);
        let top = Path::parse("$").ok();
        let mut read = |name: &str, text: &str| match Path::parse(text) {
            Ok(path) => Some(path),
            Err(why) => {
                self.wrong(&format!("{key}.{name}"), why);
                top.clone()
            }
        };
        let shape = (|| {
            Some(Shape {
                series: read("series", &written.series)?,
                labels: written.labels.as_deref().and_then(|text| read("labels", text)),
                points: read("points", &written.points)?,
                time: read("time", &written.time)?,
                value: read("value", &written.value)?,
                error: written.error.as_deref().and_then(|text| read("error", text)),
                clock: match written.clock {
                    ClockFile::Seconds => Clock::Seconds,
                    ClockFile::Milliseconds => Clock::Millis,
                    ClockFile::Rfc3339 => Clock::Text,
                },
            })
        })();
        let dialect = match shape {
            Some(shape) => Dialect::Json(Box::new(shape)),
            // It has been told above; what stands here is never used.
            None => Dialect::OpenMetrics,
        };
        let entry = self.entry(key, (dialect, &written.url), auth, written.ca_file);
        SourceEntry { headers: written.headers, ..entry }
    }

    fn pod_metrics(&mut self, key: &str, written: PodMetricsFile) -> SourceEntry {
        let known = self.keys("clusters");
        self.refers(&format!("{key}.cluster"), "cluster", &written.cluster, &known);
        if written.namespaces.is_empty() {
            self.wrong(&format!("{key}.namespaces"), "names no namespace");
        }
        for (n, name) in written.namespaces.iter().enumerate() {
            let is_name = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if !is_name {
                let key = format!("{key}.namespaces[{n}]");
                self.wrong(
                    &key,
                    format!("`{name}` is no namespace's name; patterns do not count here"),
                );
            }
        }
        SourceEntry {
            dialect: Dialect::Pods { cluster: written.cluster, namespaces: written.namespaces },
            url: String::new(),
            headers: std::collections::BTreeMap::new(),
            auth: AuthEntry::None,
            ca_file: None,
        }
    }
}
