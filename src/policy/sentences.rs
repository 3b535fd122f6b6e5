//! What a profile allows, in plain sentences: what `dyno explain` prints.

use std::fmt::Write;

use super::profile::{
    Access, ClusterRule, DockerRule, EnvironmentRule, NetworkRule, PodSecurity, Profile, Refs,
    SandboxRule,
};
use super::{Policy, SourceEntry};
use crate::gate::source::Kind;

impl Profile {
    /// Says who the profile is for and what it allows, a sentence each.
    pub fn sentences(&self, policy: &Policy) -> Vec<String> {
        let mut told = vec![self.whom(), self.environment(), self.recipes(policy), self.load()];
        told.push(self.sources(policy));
        if self.clusters.is_empty() {
            told.push("It grants no cluster.".to_owned());
        }
        for (name, rule) in &self.clusters {
            told.push(cluster(policy, name, rule));
        }
        if !self.kubeconfig_servers.is_empty() {
            told.push(format!(
                "A job may use a kubeconfig of its own for {}.",
                list(&self.kubeconfig_servers)
            ));
        }
        if self.needs_identity {
            told.push("GitLab is asked who the job is, with the job's own token.".to_owned());
        }
        told
    }

    fn whom(&self) -> String {
        let matches = &self.matches;
        let refs = match matches.refs {
            Refs::Any => "any ref",
            Refs::Protected => "protected refs",
        };
        let tags: Vec<&str> = matches.tags.iter().map(String::as_str).collect();
        let runner = if tags.is_empty() {
            format!("`--profile {}`", self.name)
        } else {
            format!("`--tags {}`", tags.join(","))
        };
        format!(
            "It is for projects {}, on {refs}, on a runner registered with {runner}.",
            list(&matches.projects)
        )
    }

    fn environment(&self) -> String {
        let EnvironmentRule { sandbox, docker } = &self.environment;
        let sandboxed = sandbox.as_ref().map(|rule| format!("Scripts run in a sandbox {rule}."));
        let contained = docker.as_ref().map(|rule| {
            let whose = if sandbox.is_some() { "Jobs with any other image" } else { "Jobs" };
            format!("{whose} run in containers {rule}.")
        });
        [sandboxed, contained].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn recipes(&self, policy: &Policy) -> String {
        if self.recipes.is_empty() {
            return "No image is answered: jobs here have no `image:`.".to_owned();
        }
        let recipes: Vec<String> = policy
            .recipes_of(self)
            .map(|recipe| format!("{} (recipe {})", list(&recipe.images), recipe.name))
            .collect();
        format!("Images that are answered natively: {}.", recipes.join("; "))
    }

    fn load(&self) -> String {
        let rule = &self.load;
        if rule.targets.is_empty() {
            return "It allows no load.".to_owned();
        }
        let sinks = match rule.sinks.as_slice() {
            [] => String::new(),
            sinks => format!(" Its figures may be pushed to {}.", list(sinks)),
        };
        format!(
            "Load may go to {}, with at most {} users, {}, for {} and {} more for setup and \
             teardown.{sinks}",
            list(&rule.targets),
            rule.users,
            rule.rate,
            rule.duration,
            rule.extra
        )
    }

    fn sources(&self, policy: &Policy) -> String {
        if self.sources.is_empty() {
            return "It grants no metric source.".to_owned();
        }
        let sources: Vec<String> = self
            .sources
            .iter()
            .filter_map(|name| policy.sources.get(name).map(|entry| (name, entry)))
            .map(|(name, entry)| format!("`{name}` ({} at {})", kind(entry), entry.place()))
            .collect();
        format!(
            "A gate may ask {}, and waits up to {} for its load to start and {} for its end.",
            sources.join(", "),
            self.gate.wait_for_load_start,
            self.gate.wait_for_load_end
        )
    }
}

impl std::fmt::Display for SandboxRule {
    /// As the end of a sentence: `without network, with 2GiB of memory …`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.network {
            NetworkRule::None => "without network",
            NetworkRule::Host => "with the host's network",
        })?;
        let mut limits = Vec::new();
        limits.extend(self.memory.map(|memory| format!("{memory} of memory")));
        limits.extend(self.processes.map(|processes| format!("{processes} processes")));
        limits.extend(self.open_files.map(|files| format!("{files} open files a process")));
        if !limits.is_empty() {
            write!(f, ", at most {}", limits.join(", "))?;
        }
        for folder in &self.folders {
            write!(f, ", {} to read", folder.display())?;
        }
        Ok(())
    }
}

impl std::fmt::Display for DockerRule {
    /// As the end of a sentence: `of images registry.example.com/**, without network, …`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "of images {}", list(&self.images))?;
        if self.services.is_empty() {
            f.write_str(", without services")?;
        } else {
            write!(f, ", with services of {}", list(&self.services))?;
        }
        f.write_str(if self.has_network {
            ", with Docker's network"
        } else {
            ", without network beside the services"
        })?;
        write!(f, ", at most {} of memory, {} processes", self.memory, self.processes)?;
        if let Some(cpus) = self.cpus {
            write!(f, ", {cpus} cores")?;
        }
        f.write_str(" each")?;
        if let Some(disk) = self.disk {
            write!(f, ", and {disk} of disk")?;
        }
        Ok(())
    }
}

fn kind(entry: &SourceEntry) -> &'static str {
    match entry.kind() {
        Kind::Wavefront => "Wavefront",
        Kind::Prometheus => "Prometheus",
        Kind::Influx1 => "InfluxDB 1",
        Kind::Influx2 => "InfluxDB 2",
        Kind::Graphite => "Graphite",
        Kind::Datadog => "Datadog",
        Kind::CloudWatch => "CloudWatch",
        Kind::NewRelic => "New Relic",
        Kind::Dynatrace => "Dynatrace",
        Kind::Json => "JSON",
        Kind::OpenMetrics => "a page of metrics",
        Kind::Pods => "pod metrics",
        Kind::Load => "the load itself",
    }
}

fn cluster(policy: &Policy, name: &str, rule: &ClusterRule) -> String {
    let may = match rule.access {
        Access::Read => "read all but Secrets",
        Access::Deploy => "read, create, change and delete",
    };
    let mut told = format!("On cluster `{name}` a job may {may} in {}", list(&rule.namespaces));
    if rule.access == Access::Deploy {
        told.push_str(match rule.pod_security {
            PodSecurity::Baseline => ", pods held to the baseline level",
            PodSecurity::Privileged => ", any pod the cluster takes",
        });
    }
    if !rule.kinds.is_empty() {
        _ = write!(told, ", also {}", rule.kinds.join(", "));
    }
    let entry = policy.clusters.get(name);
    if let Some(user) = entry.and_then(|entry| entry.impersonate.as_ref()) {
        _ = write!(told, ", acting as `{user}`");
    }
    told.push('.');
    told
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_profile_says_in_plain_sentences_what_it_allows() {
        let text = include_str!("../../config/dyno.yaml");
        let policy = crate::policy::parse(Path::new("/etc/dyno/dyno.yaml"), text).unwrap();
        let told: Vec<String> =
            policy.profiles.iter().flat_map(|profile| profile.sentences(&policy)).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        It is for projects `vmware-cloud-advocacy/*`, on any ref, on a runner registered with `--tags Dedicated`.
        Scripts run in a sandbox without network, at most 2GiB of memory, 512 processes, 4096 open files a process. Jobs with any other image run in containers of images `registry.example.com/**`, with services of `postgres:*`, without network beside the services, at most 2GiB of memory, 512 processes each.
        Images that are answered natively: `*/locust:*`, `*/locust`, `locustio/locust*`, `gcr.io/vmwarecloudadvocacy/locust*` (recipe locust); `retgits/wavefront-pod-inspector*`, `*/wavefront-pod-inspector*` (recipe pod-inspector).
        Load may go to `*.staging.example.com`, `10.20.0.0/16`, `shop.local:8080`, with at most 1000 users, 5000/s, for 30m and 2m more for setup and teardown. Its figures may be pushed to `metrics`, `collector`.
        A gate may ask `wavefront` (Wavefront at https://example.wavefront.com), `prometheus` (Prometheus at http://prometheus.example.com:9090), and waits up to 1m for its load to start and 30m for its end.
        On cluster `staging` a job may read all but Secrets in `acme`.
        It is for projects `vmware-cloud-advocacy/*`, on protected refs, on a runner registered with `--tags cluster,kubernetes,production`.
        Scripts run in a sandbox without network, at most 2GiB of memory, 512 processes, 4096 open files a process.
        Images that are answered natively: `bitnami/kubectl*`, `registry.k8s.io/kubectl*`, `*/kubectl`, `*/kubectl:*`, `*/kubectl@*`, `*/k8s-kubectl*`, `alpine/k8s*` (recipe kubectl).
        It allows no load.
        It grants no metric source.
        On cluster `production` a job may read, create, change and delete in `{{ user.login }}`, `shop-*`, pods held to the baseline level, acting as `gitlab:project:{{ project.id }}`.
        A job may use a kubeconfig of its own for `https://kas.gitlab.example.com/*`.
        GitLab is asked who the job is, with the job's own token.
        ");
    }
}
