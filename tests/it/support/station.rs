//! A lab with a shop and a Wavefront beside its GitLab: all that a load, a gate and a deploy need.

use std::sync::Arc;

use super::lab::MAINTAINER;
use super::{Cluster, Dial, Lab, Runner, Series, Server, Shop, Wavefront};

const TOKEN: &str = "wavefront-token-of-the-platform";
/// The metric of the original pipeline.
pub const METRIC: &str = "kubernetes.pod_container.cpu.usage_rate";

/// A lab with a shop and a Wavefront.
#[derive(Debug)]
pub struct Station {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The shop.
    pub shop: Shop,
    /// Wavefront.
    pub wavefront: Wavefront,
    shop_server: Server,
    wavefront_server: Server,
    cluster_entry: String,
    cluster_rules: (String, String),
}

impl Station {
    /// A station whose metric has one value all the time, for pod `frontend-1`.
    pub fn new(value: f64) -> Self {
        Self::watching("frontend-1", value)
    }

    /// A station whose metric has one value all the time.
    pub fn watching(pod: &str, value: f64) -> Self {
        let lab = Arc::new(Lab::new());
        let (shop, shop_server) = Shop::open(0, Dial::default()).unwrap();
        let tags =
            [("cluster", "acmefitness-aks-02"), ("pod_name", pod), ("namespace_name", "acme")];
        let series = vec![Series::constant(METRIC, &tags, value)];
        let (wavefront, wavefront_server) = Wavefront::start(0, TOKEN, series).unwrap();
        lab.secret("wavefront.token", TOKEN);
        lab.secret("variables.token", MAINTAINER);
        let (cluster_entry, cluster_rules) = Default::default();
        Self { lab, shop, wavefront, shop_server, wavefront_server, cluster_entry, cluster_rules }
    }

    /// Lets the policy know a cluster: the gate may read one namespace there, the deploy may
    /// change others.
    #[must_use]
    pub fn with_cluster(mut self, cluster: &Cluster, read: &str, deploy: &str) -> Self {
        self.cluster_entry =
            format!("clusters: {{ lab: {{ kubeconfig: {} }} }}", cluster.kubeconfig());
        let rule = |namespace: &str, access: &str| {
            format!("clusters: {{ lab: {{ namespaces: [\"{namespace}\"], access: {access} }} }}")
        };
        self.cluster_rules = (rule(read, "read"), rule(deploy, "deploy"));
        self
    }

    /// Lets the deploy profile do what is refused unless it is named.
    #[must_use]
    pub fn allowing(mut self, kinds: &str) -> Self {
        let allowed = format!("access: deploy, kinds: [{kinds}]");
        self.cluster_rules.1 = self.cluster_rules.1.replace("access: deploy", &allowed);
        self
    }

    /// The shop's `HOST:PORT`, as the original pipeline takes it.
    pub fn shop_host(&self) -> String {
        self.shop_server.address().to_string()
    }

    /// The policy of the station: a profile for load and gate, one for the deploy.
    pub fn policy(&self) -> String {
        let (wavefront, folder) = (self.wavefront_server.url(), self.lab.folder().display());
        let (read, deploy) = &self.cluster_rules;
        let cluster_entry = &self.cluster_entry;
        format!(
            "\
gitlab: {{ url: GITLAB }}
state: STATE
sources:
  wavefront: {{ wavefront: {{ url: \"{wavefront}\", token-file: {folder}/wavefront.token }} }}
variables-token-file: {folder}/variables.token
{cluster_entry}
profiles:
  - name: performance
    match: {{ tags: [Dedicated], projects: [\"group/*\", \"vmware-cloud-advocacy/*\"], refs: any }}
    environment: {{ sandbox: {{ network: none, grace: 1s }} }}
    recipes: [locust, pod-inspector]
    load: {{ targets: [\"127.0.0.0/8\"], users: 500, rate: 2000/s, duration: 5m }}
    sources: [wavefront]
    gate: {{ wait-for-load-start: 30s, wait-for-load-end: 3m }}
    {read}
  - name: production
    match: {{ tags: [cluster, kubernetes, production], projects: [\"group/*\", \"vmware-cloud-advocacy/*\"], refs: any }}
    environment: {{ sandbox: {{ network: none, grace: 1s }} }}
    recipes: [kubectl]
    {deploy}
"
        )
    }

    /// A runner with a job of the station's policy, on the entry for load and gate.
    pub fn runner(&self) -> Runner {
        Runner::within(&self.lab, &self.policy())
            .variable("SHOP", &format!("http://{}", self.shop_host()))
    }

    /// The same on the entry for the deploy.
    pub fn deploy_runner(&self) -> Runner {
        self.runner().tags("cluster,kubernetes,production")
    }
}

/// A script's line that writes a plan with one check on the metric.
pub fn write_plan(limit: &str) -> String {
    format!(
        "cat > plan.yaml <<'YAML'\n\
         checks:\n  - name: frontend CPU\n    source: wavefront\n    \
         query: ts(\"{METRIC}\", pod_name=\"frontend-1\")\n    limit: \"{limit}\"\n\
         gate: {{ window: {{ last: 30s }}, settle: 1s }}\nYAML"
    )
}
