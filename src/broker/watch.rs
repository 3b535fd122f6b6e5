//! Sampling of sources without history, with the policy's credential, while a load runs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::deploy::cluster::{self, Access, Call, Cluster, ClusterSpec, Failure, Whose};
use crate::error::{Error, Result};
use crate::gate::source::{self, Dialect, Kind, Recording, Sampler, Scrape, Watched};
use crate::gate::{self, Series, SourceChoice, Watch};
use crate::outcome::Outcome;
use crate::policy::{SourceEntry, secrets};

use super::protocol::Event;
use super::rights::{Desk, Rights};

/// How often a page of metrics is looked at, and the cluster, whose samples are 15 s apart.
const EVERY: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_mins(1);

/// Samples until cancelled, and tells every sample.
pub(super) async fn perform(
    desk: &Desk<'_>,
    watches: &[Watch],
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let watched = watched(desk, watches)?;
    let mut tell = |(source, sample): source::Sample| {
        emit(Event::Gate(gate::Event::Sampled { source, sample }));
    };
    source::watch(watched, &mut tell, cancel).await;
    Ok(Outcome::Passed)
}

/// Records until cancelled, for a gate that waits beside its load.
pub(super) async fn record(
    desk: &Desk<'_>,
    watches: &[Watch],
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, Recording>> {
    let watched = watched(desk, watches)?;
    let mut recordings: BTreeMap<String, Recording> = BTreeMap::new();
    let mut tell = |(source, sample): source::Sample| {
        recordings.entry(source).or_default().note(sample);
    };
    source::watch(watched, &mut tell, cancel).await;
    Ok(recordings)
}

/// The granted sources without history that something is asked of.
fn watched(desk: &Desk<'_>, watches: &[Watch]) -> Result<BTreeMap<String, Watched>> {
    let mut all = BTreeMap::new();
    for (name, entry) in super::gate::offered(desk) {
        if !entry.kind().is_sampled() {
            continue;
        }
        let is_meant = |choice: &SourceChoice| choice.resolve([(name, entry.kind())]).is_some();
        let meant: Vec<&Watch> = watches.iter().filter(|watch| is_meant(&watch.source)).collect();
        if meant.is_empty() {
            continue;
        }
        let steps = meant.iter().filter_map(|watch| watch.step).map(|step| step.0);
        let every = steps.min().unwrap_or(EVERY).clamp(Duration::from_secs(1), LONGEST);
        let queries = meant.iter().map(|watch| watch.query.clone()).collect();
        all.insert(name.to_owned(), Watched { sampler: sampler(desk, entry)?, queries, every });
    }
    Ok(all)
}

fn sampler(desk: &Desk<'_>, entry: &SourceEntry) -> Result<Box<dyn Sampler>> {
    if let Dialect::Pods { cluster, namespaces } = &entry.dialect {
        let spec = cluster_spec(desk, cluster)?;
        let namespaces = namespaces.clone();
        return Ok(Box::new(Pods { spec, namespaces, connection: tokio::sync::OnceCell::new() }));
    }
    Ok(Box::new(Scrape::new(&entry.spec()?).map_err(Error::system)?))
}

fn cluster_spec(desk: &Desk<'_>, name: &str) -> Result<ClusterSpec> {
    let entry = desk
        .policy()
        .and_then(|policy| policy.clusters.get(name))
        .ok_or_else(|| Error::system(format!("the policy has no cluster `{name}`")))?;
    secrets::check(&entry.kubeconfig)?;
    let whose = match &desk.rights {
        Rights::Granted(_) => Whose::Platforms(name.to_owned()),
        Rights::Own(_) => Whose::Readers,
    };
    Ok(ClusterSpec {
        access: Access::Kubeconfig {
            path: entry.kubeconfig.clone(),
            context: entry.context.clone(),
            whose,
        },
        // The metrics of the platform's own choice of namespaces, with the platform's rights.
        impersonate: None,
        namespace: None,
        fenced: false,
        guarded: false,
    })
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Status(status) => format!("{} {}", status.code, status.message),
        Failure::Refused { host } => format!("nothing listens at {host}"),
        Failure::Network(why) | Failure::Fenced(why) | Failure::Malformed(why) => why.clone(),
        Failure::Cancelled => "interrupted".to_owned(),
    }
}

/// `metrics.k8s.io` of some namespaces.
struct Pods {
    spec: ClusterSpec,
    namespaces: Vec<String>,
    connection: tokio::sync::OnceCell<Cluster>,
}

#[async_trait]
impl Sampler for Pods {
    async fn sample(&self) -> std::result::Result<Vec<Series>, source::Error> {
        let unreachable =
            |why: String| source::Error::Unsampled { of: Kind::Pods.to_string(), why };
        let connection = self
            .connection
            .get_or_try_init(|| cluster::connect(&self.spec))
            .await
            .map_err(|error| unreachable(source::told(&error)))?;
        let mut all = Vec::new();
        for namespace in &self.namespaces {
            let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
            let call = Call { timeout: EVERY, what: "pod metrics".to_owned(), ..Call::get(path) };
            // The whole look is dropped when the load ends.
            let answer = connection
                .call(&call, &CancellationToken::new())
                .await
                .map_err(|failure| unreachable(told(&failure)))?;
            all.extend(source::read_pod_metrics(answer.body).map_err(unreachable)?);
        }
        Ok(all)
    }
}
