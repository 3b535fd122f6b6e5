//! The load parts of a plan file, as written: they can be wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::load::body::{PartFile, UploadFile};
use crate::load::call::{DnsFile, GrpcFile, TcpFile, WebSocketFile};
use crate::load::model::{Preset, Spacing};
use crate::load::think::Think;
use crate::unit::{Rate, Share, Span};

/// `load:`, how much and how long: `{ users: 250, spawn-rate: 25, duration: 1m }` or
/// `{ arrivals: 200/s, duration: 1m }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModelFile {
    /// Closed model: how many users run at the same time.
    pub users: Option<u32>,
    /// Closed model: how many of them start a second; all in the first second when left out.
    pub spawn_rate: Option<Rate>,
    /// Open model: how many journeys start a second, whatever the target does.
    pub arrivals: Option<Rate>,
    /// Open model: how many journeys may run at the same time; further ones are counted as dropped.
    pub max_users: Option<u32>,
    /// Open model: how arrivals follow each other; `even` when left out.
    pub spacing: Option<Spacing>,
    /// How long the load lasts, its ramp included.
    pub duration: Option<Span>,
    /// Levels one after the other, in place of a single one.
    pub stages: Vec<StageFile>,
    /// A kind of test that makes the stages itself, up to `users` or `arrivals`.
    pub preset: Option<Preset>,
    /// With `preset: spike`: the level before and after; a tenth of the peak when left out.
    pub base: Option<Rate>,
    /// With `preset: stress`: how many steps there are; 20 when left out.
    pub steps: Option<u32>,
    /// With `preset: regression`: what the target is compared with.
    pub baseline: Option<BaselineFile>,
    /// Think time of every journey that has none of its own.
    pub think: Option<Think>,
    /// How long a request may take before it counts as failed; 30s when left out.
    pub timeout: Option<Span>,
    /// How many threads generate; one a core when left out.
    pub threads: Option<u32>,
    /// Makes the random choices repeatable.
    pub seed: Option<u64>,
    /// Sinks that get the client's figures while the load runs; names that the policy defines.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub push: Vec<String>,
}

/// `baseline:`, what the target of a regression test is compared with, and how surely.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BaselineFile {
    /// Where the accepted version runs: `http://$STABLE_TARGET`.
    pub target: Option<String>,
    /// How many pairs of blocks are compared; 10 when left out, 6 at least.
    pub pairs: Option<u32>,
    /// The smallest change that matters; `5%` when left out.
    pub effect: Option<Share>,
    /// How sure a verdict is; `95%` when left out.
    pub confidence: Option<Share>,
    /// What is compared: `p95`, `errors`, `p50 of GET /products`; when left out p50, p95 and errors.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub compare: Vec<String>,
}

/// A criterion of an acceptance test: one case in reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CriterionFile {
    /// What is to hold, in words.
    pub name: String,
    /// What shows it: every one of these limits must hold.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub limits: Vec<String>,
}

/// A stage: a level to go to and to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StageFile {
    /// Its name, for limits that are aimed at it (`p95 < 1s during peak`).
    pub name: Option<String>,
    /// The level in users (closed model).
    pub users: Option<u32>,
    /// The level in arrivals (open model).
    pub arrivals: Option<Rate>,
    /// How long it takes to get there from the level before, in a straight line; at once when left
    /// out.
    pub ramp: Option<Span>,
    /// How long the level is held.
    pub hold: Option<Span>,
    /// Whether limits are judged on it; when no stage says so, on those that hold the highest level.
    pub judge: Option<bool>,
}

/// A journey: what one user does, round after round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct JourneyFile {
    /// The journey's name.
    pub name: Option<String>,
    /// Its share among the journeys; 1 when left out.
    pub weight: Option<u32>,
    /// The pause after each step: `2s` or `0.5s..3s`.
    pub think: Option<Think>,
    /// How far apart the rounds of a user start at least: `10s`.
    pub pace: Option<Span>,
    /// Lists to choose from: `{ users: [{ id: 1 }, …] }`, then `pick(users)`.
    pub data: BTreeMap<String, Vec<Value>>,
    /// Rows of files: `{ account: { file: accounts.csv } }`, then `account.name`.
    pub feed: BTreeMap<String, FeedFile>,
    /// What `user` stands for, evaluated once for each user: `"{{ pick(users) }}"`.
    pub user: Option<Value>,
    /// Tags of every request of the journey, for limits (`p95 tagged checkout < 1s`).
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub tags: Vec<String>,
    /// Headers of every request of the journey.
    pub headers: BTreeMap<String, String>,
    /// Who sends every request of the journey.
    pub auth: Option<AuthFile>,
    /// Steps of a user's start, done once, without think time.
    pub start: Vec<StepFile>,
    /// The steps, in order, round after round.
    pub steps: Vec<StepFile>,
    /// Steps of a user's end, done once when its time is over, without think time.
    pub end: Vec<StepFile>,
}

/// Rows of a file, one at a time as a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FeedFile {
    /// A CSV file with a head, or a JSON file with a list, by its path from the plan's file.
    pub file: String,
    /// In which order rows are taken; `sequential` when left out.
    pub order: FeedOrder,
    /// When a row is taken; for each `round` when left out.
    pub per: FeedPer,
    /// With `order: unique`: what happens after the last row; `stop` when left out.
    pub at_end: AtEnd,
}

/// In which order the rows of a feed are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedOrder {
    /// As in the file, from the start again after the last one.
    #[default]
    Sequential,
    /// By chance.
    Random,
    /// Each once, whoever takes it.
    Unique,
}

/// When a row of a feed is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedPer {
    /// At the start of each round.
    #[default]
    Round,
    /// At a user's start.
    User,
}

/// What happens when every row of a feed was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// Users that need one end.
    #[default]
    Stop,
    /// The first row comes next.
    Recycle,
}

/// A step: one request (`get:`, `post:` …) or a group of steps (`steps:`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StepFile {
    /// GET this path or URL.
    pub get: Option<String>,
    /// POST to this path or URL.
    pub post: Option<String>,
    /// PUT to this path or URL.
    pub put: Option<String>,
    /// PATCH this path or URL.
    pub patch: Option<String>,
    /// DELETE this path or URL.
    pub delete: Option<String>,
    /// HEAD of this path or URL.
    pub head: Option<String>,
    /// One deed with the user's WebSocket, in place of a request.
    pub websocket: Option<WebSocketFile>,
    /// A gRPC call, in place of a request.
    pub grpc: Option<GrpcFile>,
    /// A DNS query, in place of a request.
    pub dns: Option<DnsFile>,
    /// A connection of plain TCP, in place of a request.
    pub tcp: Option<TcpFile>,
    /// Steps done one after the other as one step: no think time between them.
    pub steps: Vec<StepFile>,
    /// One of these steps, by chance and `weight`.
    pub choose: Vec<StepFile>,
    /// The name it is counted under; the path as written when left out.
    pub name: Option<String>,
    /// Tags of its requests, for limits (`p95 tagged checkout < 1s`).
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub tags: Vec<String>,
    /// How often it is done before the next step; 1 when left out.
    pub repeat: Option<u32>,
    /// The step is left out unless this holds: a variable is known (`token`), or a condition
    /// (`n < 3 and not done`).
    pub when: Option<String>,
    /// The step is done again for as long as this condition holds, `repeat` times at most (1000
    /// when left out).
    #[serde(rename = "while")]
    pub while_: Option<String>,
    /// Its share among the steps of a `choose`; 1 when left out.
    pub weight: Option<u32>,
    /// Variables set before the step: `{ product: "{{ pick(products) }}" }`.
    pub set: BTreeMap<String, Value>,
    /// The pause after this step, in place of the journey's.
    pub think: Option<Think>,
    /// Headers; values may hold templates.
    pub headers: BTreeMap<String, String>,
    /// Who sends it, in place of the journey's.
    pub auth: Option<AuthFile>,
    /// A JSON body; strings in it may hold templates, a string that is one template keeps its type.
    pub json: Option<Value>,
    /// A form body (`application/x-www-form-urlencoded`).
    pub form: BTreeMap<String, String>,
    /// A body as it is.
    pub body: Option<String>,
    /// A body that is read from a file or made: `{ size: 10MiB, fill: random }`.
    pub upload: Option<UploadFile>,
    /// A `multipart/form-data` body: texts, and `{ file: … }` or `{ size: … }`.
    pub multipart: BTreeMap<String, PartFile>,
    /// Variables taken from the answer: `{ ids: "$.data[*].id" }`, or `regex PATTERN`,
    /// `all PATTERN`, `css SELECTOR`, `css-all a.next @href`, `header NAME`, `cookie NAME`.
    pub save: BTreeMap<String, String>,
    /// What makes the answer a good one.
    pub check: Option<CheckFile>,
    /// How long this request may take before it counts as failed.
    pub timeout: Option<Span>,
}

/// Who sends a request; its texts may hold templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthFile {
    /// A name and a password.
    Basic(BasicFile),
    /// A token: `"{{ env.API_TOKEN }}"`.
    Bearer(String),
    /// A token that a server gives to clients that say who they are (OAuth 2 client credentials):
    /// asked for before the run, shared by all users, renewed before it ends, never counted.
    Oauth(OauthFile),
}

/// Where a token comes from, and who asks for it; texts may name variables of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OauthFile {
    /// The URL of the server's token endpoint.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// The secret: `"{{ env.CLIENT_SECRET }}"`.
    pub client_secret: String,
    /// What the token is to be good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom the token is to be shown to, where the server wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BasicFile {
    /// The name.
    pub user: String,
    /// The password: `"{{ env.PASSWORD }}"`.
    pub password: String,
}

/// What makes an answer a good one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CheckFile {
    /// The statuses that are fine: `200`, `2xx` or a list of them; 2xx and 3xx when left out.
    pub status: Option<StatusFile>,
    /// Texts that the body must hold.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub contains: Vec<String>,
    /// A regular expression that the body must match.
    pub matches: Option<String>,
    /// JSONPath → the value that a JSON body must have there.
    pub json: BTreeMap<String, Value>,
    /// Header → a text that its value must hold.
    pub header: BTreeMap<String, String>,
    /// How soon after its meant start the answer must be complete.
    pub time: Option<Span>,
    /// What reports put before the name of each check of the step.
    pub name: Option<String>,
}

/// `200`, `2xx` or a list of such.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusFile(pub Vec<String>);

impl Serialize for StatusFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for StatusFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StatusVisitor)
    }
}

impl JsonSchema for StatusFile {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = serde_json::json!({
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^[1-5]([0-9][0-9]|xx)$" }
            ]
        });
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

struct StatusVisitor;

impl<'de> Visitor<'de> for StatusVisitor {
    type Value = StatusFile;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a status such as `200`, `2xx`, or a list of them")
    }

    fn visit_u64<E: serde::de::Error>(self, status: u64) -> Result<StatusFile, E> {
        Ok(StatusFile(vec![status.to_string()]))
    }

    fn visit_i64<E: serde::de::Error>(self, status: i64) -> Result<StatusFile, E> {
        Ok(StatusFile(vec![status.to_string()]))
    }

    fn visit_str<E: serde::de::Error>(self, status: &str) -> Result<StatusFile, E> {
        Ok(StatusFile(vec![status.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StatusFile, A::Error> {
        let mut all = Vec::new();
        while let Some(mut one) = list.next_element::<StatusFile>()? {
            all.append(&mut one.0);
            if all.len() > 100 {
                return Err(A::Error::custom("more than 100 statuses"));
            }
        }
        Ok(StatusFile(all))
    }
}
