//! Metric sources as written in the policy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// A metric source: its kind with its keys.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceFile {
    /// Wavefront's chart API.
    Wavefront(WavefrontFile),
    /// Prometheus and everything that speaks its query API.
    Prometheus(HttpFile),
    /// `InfluxDB` 1.
    Influxdb1(Influx1File),
    /// `InfluxDB` 2.
    Influxdb2(Influx2File),
    /// Graphite's render API.
    Graphite(HttpFile),
    /// Datadog's query API.
    Datadog(DatadogFile),
    /// Amazon `CloudWatch`.
    Cloudwatch(CloudwatchFile),
    /// New Relic's NRQL.
    Newrelic(NewrelicFile),
    /// Dynatrace's metrics API.
    Dynatrace(DynatraceFile),
    /// Any API that answers a GET with JSON.
    Json(JsonFile),
    /// A page of metrics, in Prometheus' or OpenMetrics' format, sampled while the load runs.
    Openmetrics(HttpFile),
    /// `metrics.k8s.io` of a cluster, sampled while the load runs.
    PodMetrics(PodMetricsFile),
}

/// Wavefront's chart API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WavefrontFile {
    /// Base URL, as in `https://example.wavefront.com`.
    pub url: String,
    /// A file with the API token. Without any credential the job's own token is used.
    pub token_file: Option<PathBuf>,
    /// A file with an API token of VMware Cloud Services, which is exchanged for an access token.
    pub csp_token_file: Option<PathBuf>,
    /// An OAuth app of VMware Cloud Services.
    pub oauth2: Option<OauthFile>,
    /// Where tokens of VMware Cloud Services come from; `https://console.cloud.vmware.com`.
    pub csp_url: Option<String>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// A server that is asked over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpFile {
    /// Base URL; for Prometheus what stands before `/api/v1`, for a page of metrics its own.
    pub url: String,
    /// Further headers, such as a tenant's; no secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// User of basic authentication.
    pub username: Option<String>,
    /// A file with the password of basic authentication.
    pub password_file: Option<PathBuf>,
    /// `OAuth2` client credentials, as Azure Monitor wants them.
    pub oauth2: Option<OauthFile>,
    /// A signature, as Amazon's managed Prometheus wants it.
    pub sigv4: Option<SigFile>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// `OAuth2` client credentials.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OauthFile {
    /// The token endpoint.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// A file with its secret.
    pub client_secret_file: PathBuf,
    /// What for.
    pub scope: Option<String>,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SigFile {
    /// Region, as in `eu-central-1`.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// A file with the secret access key.
    pub secret_key_file: PathBuf,
    /// A file with the session token of temporary credentials.
    pub session_token_file: Option<PathBuf>,
}

/// `InfluxDB` 1.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Influx1File {
    /// Base URL.
    pub url: String,
    /// The database.
    pub database: String,
    /// User of basic authentication.
    pub username: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// `InfluxDB` 2.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Influx2File {
    /// Base URL.
    pub url: String,
    /// The organisation.
    pub org: String,
    /// A file with the API token.
    pub token_file: Option<PathBuf>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Datadog's query API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DatadogFile {
    /// Base URL of the site, as in `https://api.datadoghq.eu`.
    pub url: String,
    /// A file with the API key.
    pub api_key_file: PathBuf,
    /// A file with the application key.
    pub application_key_file: PathBuf,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Amazon `CloudWatch`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CloudwatchFile {
    /// URL, where it is not the region's own.
    pub url: Option<String>,
    /// Who signs.
    pub sigv4: SigFile,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// New Relic's NRQL.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewrelicFile {
    /// URL, where it is not `https://api.newrelic.com/graphql`.
    pub url: Option<String>,
    /// The account's number.
    pub account: u64,
    /// A file with the user key.
    pub token_file: Option<PathBuf>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Dynatrace's metrics API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DynatraceFile {
    /// Base URL, as in `https://abc12345.live.dynatrace.com`.
    pub url: String,
    /// A file with the API token; scope `metrics.read`.
    pub token_file: Option<PathBuf>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Any API that answers a GET with JSON.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct JsonFile {
    /// Base URL; a check's query is a path below it.
    pub url: String,
    /// Further headers; no secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// User of basic authentication.
    pub username: Option<String>,
    /// A file with the password of basic authentication.
    pub password_file: Option<PathBuf>,
    /// Where the series stand: `$.series[*]`.
    pub series: String,
    /// What tells a series from the others, seen from the series: `$.tags`.
    pub labels: Option<String>,
    /// Where the samples stand, seen from the series: `$.points[*]`.
    pub points: String,
    /// The time, seen from the sample: `$[0]`.
    pub time: String,
    /// The value, seen from the sample: `$[1]`.
    pub value: String,
    /// What the API says of its own failure: `$.error`.
    pub error: Option<String>,
    /// How times are written.
    #[serde(default)]
    pub clock: ClockFile,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How times are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClockFile {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// As in `2026-03-01T12:00:00Z`.
    Rfc3339,
}

/// `metrics.k8s.io` of a cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PodMetricsFile {
    /// The cluster's name in this policy; its credential is used.
    pub cluster: String,
    /// The namespaces whose pods may be looked at.
    pub namespaces: Vec<String>,
}
