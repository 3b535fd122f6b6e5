//! Profiles as meant, and what makes two of them contradict each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::{Builder, Needs};
use crate::deploy::kubectl::{INTO_PODS, TO_PORTS, TOKENS};
use crate::policy::ClusterEntry;
use crate::policy::decide::{is_namespace, is_system};
use crate::policy::file::{
    AccessFile, ClusterRuleFile, EnvironmentFile, GateFile, LoadFile, MatchFile, NetworkFile,
    PodSecurityFile, ProfileFile, RefsFile, SandboxFile,
};
use crate::policy::glob::Glob;
use crate::policy::profile::{
    Access, ClusterRule, EnvironmentRule, GateRule, LoadRule, Match, NetworkRule, PodSecurity,
    Profile, Refs, SandboxRule,
};
use crate::policy::target::Target;
use crate::policy::template::Template;
use crate::policy::yaml;
use crate::unit::{Rate, Size, Span};

/// Kinds that a rule can name.
const KINDS: [&str; 8] = [
    "Namespace",
    "Role",
    "RoleBinding",
    "ResourceQuota",
    "LimitRange",
    INTO_PODS,
    TO_PORTS,
    TOKENS,
];

/// Folders that no job may see: they hold the host's secrets, or the kernel's doors.
const CLOSED: [&str; 9] =
    ["/", "/etc", "/root", "/proc", "/sys", "/dev", "/run", "/var/run", "/boot"];

impl Builder {
    pub(super) fn profiles(
        &mut self,
        file: &Path,
        written: Vec<ProfileFile>,
        clusters: &BTreeMap<String, ClusterEntry>,
    ) -> Vec<Profile> {
        if self.needs == Needs::Profiles && written.is_empty() && self.document.is_whole("profiles")
        {
            self.wrong("profiles", "a policy without profiles allows nothing");
        }
        // What was left out for a mistake does not count, so keys are those of the file.
        let n_written = match self.document.at("profiles").map(|node| &node.kind) {
            Some(yaml::Kind::List(items)) => items.len(),
            Some(yaml::Kind::Map(_) | yaml::Kind::Scalar { .. }) | None => 0,
        };
        let keys: Vec<String> = (0..n_written)
            .map(|n| format!("profiles[{n}]"))
            .filter(|key| !self.document.is_left_out(key))
            .collect();
        let profiles: Vec<Profile> = written
            .into_iter()
            .zip(keys)
            .map(|(profile, key)| self.profile(file, key, profile, clusters))
            .collect();
        self.check_names(&profiles);
        self.check_overlaps(&profiles);
        profiles
    }

    fn check_names(&mut self, profiles: &[Profile]) {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for profile in profiles {
            if let Some(other) = seen.insert(&profile.name, &profile.key) {
                let message = format!("`{}` is the name of {other} already", profile.name);
                self.wrong(&format!("{}.name", profile.key), message);
            }
        }
    }

    /// A job that two profiles match is refused; the administrator hears of it now.
    fn check_overlaps(&mut self, profiles: &[Profile]) {
        for (n, second) in profiles.iter().enumerate() {
            for first in profiles.iter().take(n) {
                let (a, b) = (&first.matches, &second.matches);
                if a.tags.is_empty() || a.tags != b.tags {
                    continue;
                }
                let pair = a
                    .projects
                    .iter()
                    .flat_map(|one| b.projects.iter().map(move |other| (one, other)))
                    .find(|(one, other)| one.overlaps(other));
                if let Some((one, other)) = pair {
                    let message = format!(
                        "`{}` and `{}` could both match: the same tags, and `{one}` meets `{other}`",
                        first.name, second.name
                    );
                    self.wrong_with(
                        &format!("{}.match", second.key),
                        message,
                        "give them other tags or projects, or no tags and pick by `--profile`",
                    );
                }
            }
        }
    }

    fn profile(
        &mut self,
        file: &Path,
        key: String,
        written: ProfileFile,
        clusters: &BTreeMap<String, ClusterEntry>,
    ) -> Profile {
        self.name(&format!("{key}.name"), &written.name);
        let rules: BTreeMap<String, ClusterRule> = written
            .clusters
            .into_iter()
            .map(|(name, rule)| (name.clone(), self.cluster_rule(&key, &name, rule)))
            .collect();
        let needs_identity = rules.iter().any(|(name, rule)| {
            let entry = clusters.get(name);
            let user = entry.and_then(|entry| entry.impersonate.as_ref());
            let groups = entry.map(|entry| entry.impersonate_groups.as_slice());
            rule.namespaces
                .iter()
                .chain(user)
                .chain(groups.unwrap_or_default())
                .any(Template::needs_identity)
        });
        self.check_recipes(&key, &written.recipes);
        if written.environment.sandbox.is_none() && !written.recipes.is_empty() {
            self.wrong(
                &format!("{key}.recipes"),
                "a recipe answers in the sandbox, and `environment` has none",
            );
        }
        self.check_sources(&key, &written.sources);
        Profile {
            name: written.name,
            file: file.to_owned(),
            matches: self.matches(&format!("{key}.match"), written.matches),
            environment: self.environment(&format!("{key}.environment"), written.environment),
            recipes: written.recipes,
            load: self.load(&format!("{key}.load"), written.load),
            sources: written.sources,
            clusters: rules,
            kubeconfig_servers: self.servers(&key, &written.kubeconfig_servers),
            gate: self.gate(&format!("{key}.gate"), &written.gate),
            needs_identity,
            key,
        }
    }

    fn check_recipes(&mut self, key: &str, names: &[String]) {
        let known: Vec<String> = self.recipes.keys().cloned().collect();
        for (n, name) in names.iter().enumerate() {
            let key = format!("{key}.recipes[{n}]");
            // A recipe file that is there but wrong has been told already.
            if !self.broken_recipes.contains(name) {
                self.refers(&key, "recipe", name, &known);
            }
            self.once(&key, name, names.iter().take(n));
        }
    }

    fn check_sources(&mut self, key: &str, names: &[String]) {
        let known = self.keys("sources");
        for (n, name) in names.iter().enumerate() {
            let key = format!("{key}.sources[{n}]");
            self.refers(&key, "source", name, &known);
            self.once(&key, name, names.iter().take(n));
        }
    }

    fn once<'a>(&mut self, key: &str, name: &str, mut before: impl Iterator<Item = &'a String>) {
        if before.any(|other| other == name) {
            self.wrong(key, format!("`{name}` is there twice"));
        }
    }

    fn matches(&mut self, key: &str, written: MatchFile) -> Match {
        for (n, tag) in written.tags.iter().enumerate() {
            let key = format!("{key}.tags[{n}]");
            if tag.trim().is_empty() || tag.contains(',') || tag.trim() != tag {
                self.wrong(&key, format!("`{tag}` is not a tag: no comma, no spaces around it"));
            }
            self.once(&key, tag, written.tags.iter().take(n));
        }
        if written.projects.is_empty() && self.document.is_whole(&format!("{key}.projects")) {
            self.wrong(&format!("{key}.projects"), "a profile without projects is for nobody");
        }
        let mut projects = Vec::new();
        for (n, project) in written.projects.iter().enumerate() {
            let key = format!("{key}.projects[{n}]");
            let has_suffix = Path::new(project).extension().is_some_and(|suffix| suffix == "git");
            if project.starts_with('/') || project.contains("://") || has_suffix {
                let message = format!("`{project}` is not a project's path, as in `group/project`");
                self.wrong(&key, message);
            }
            projects.extend(self.glob(&key, Glob::path(project)));
        }
        Match {
            tags: written.tags.into_iter().collect::<BTreeSet<_>>(),
            projects,
            refs: match written.refs {
                RefsFile::Any => Refs::Any,
                RefsFile::Protected => Refs::Protected,
            },
        }
    }

    pub(super) fn glob<E: std::fmt::Display>(
        &mut self,
        key: &str,
        glob: Result<Glob, E>,
    ) -> Option<Glob> {
        glob.map_err(|error| self.wrong(key, error.to_string())).ok()
    }

    fn environment(&mut self, key: &str, written: EnvironmentFile) -> EnvironmentRule {
        // Any other key has been told already.
        let is_empty = self.document.at(key).is_some_and(
            |node| matches!(&node.kind, yaml::Kind::Map(entries) if entries.is_empty()),
        );
        if written.sandbox.is_none() && written.docker.is_none() && is_empty {
            self.wrong(key, "say where scripts run: `sandbox`, `docker`, or both");
        }
        EnvironmentRule {
            sandbox: written.sandbox.map(|it| self.sandbox(&format!("{key}.sandbox"), &it)),
            docker: written.docker.map(|it| self.docker(&format!("{key}.docker"), it)),
        }
    }

    fn sandbox(&mut self, key: &str, written: &SandboxFile) -> SandboxRule {
        self.limits(key, written.memory, written.processes, written.grace);
        if written.open_files < 64 {
            self.wrong(&format!("{key}.open-files"), "must be at least 64: a shell needs some");
        }
        let mut folders = Vec::new();
        for (n, folder) in written.folders.iter().enumerate() {
            folders.push(self.folder(&format!("{key}.folders[{n}]"), folder));
        }
        SandboxRule {
            network: match written.network {
                NetworkFile::None => NetworkRule::None,
                NetworkFile::Host => NetworkRule::Host,
            },
            memory: Some(written.memory),
            processes: Some(written.processes),
            open_files: Some(written.open_files),
            folders,
            grace: written.grace,
        }
    }

    /// What every environment needs to run a shell.
    pub(super) fn limits(&mut self, key: &str, memory: Size, processes: u32, grace: Span) {
        if memory < Size(16 << 20) {
            let message = format!("{memory} is too little to run a shell: 16MiB at least");
            self.wrong(&format!("{key}.memory"), message);
        }
        if processes < 8 {
            self.wrong(&format!("{key}.processes"), "must be at least 8: a script needs some");
        }
        if grace > Span::seconds(600) {
            self.wrong(&format!("{key}.grace"), "must be at most 10m: the runner waits no longer");
        }
    }

    fn folder(&mut self, key: &str, folder: &Path) -> PathBuf {
        let meant = self.path(key, folder);
        if !folder.is_absolute() {
            self.wrong(key, format!("`{}` is not an absolute path", folder.display()));
        } else if CLOSED.iter().any(|closed| meant == Path::new(closed))
            || meant.starts_with("/proc")
            || meant.starts_with("/sys")
        {
            let message = format!("`{}` is the host's own, never a job's", meant.display());
            self.wrong(key, message);
        } else if self.folder.starts_with(&meant) && self.folder.is_absolute() {
            self.wrong(key, format!("`{}` holds this policy", meant.display()));
        }
        meant
    }

    fn load(&mut self, key: &str, written: Option<LoadFile>) -> LoadRule {
        let Some(written) = written else {
            return LoadRule {
                targets: Vec::new(),
                users: 0,
                rate: Rate(0.0),
                duration: Span::seconds(0),
                extra: Span::seconds(0),
                sinks: Vec::new(),
            };
        };
        if written.targets.is_empty() && self.document.is_whole(&format!("{key}.targets")) {
            self.wrong(&format!("{key}.targets"), "load without targets goes nowhere");
        }
        let mut targets = Vec::new();
        for (n, text) in written.targets.iter().enumerate() {
            match Target::parse(text) {
                Ok(target) => targets.push(target),
                Err(error) => self.wrong(&format!("{key}.targets[{n}]"), error.to_string()),
            }
        }
        let has_loopback = targets.iter().any(Target::is_loopback_network);
        for (n, text) in written.targets.iter().enumerate() {
            let Ok(target) = Target::parse(text) else { continue };
            if let Some(name) = target.loopback_name().filter(|_| !has_loopback) {
                self.wrong_with(
                    &format!("{key}.targets[{n}]"),
                    format!("`{name}` is this machine, which a name alone does not open"),
                    "add `127.0.0.0/8` and `::1` to the targets",
                );
            }
        }
        if written.users == 0 {
            self.wrong(&format!("{key}.users"), "must be at least 1");
        }
        if written.rate.0 <= 0.0 {
            self.wrong(&format!("{key}.rate"), "must be more than nothing");
        }
        if written.duration.0.is_zero() {
            self.wrong(&format!("{key}.duration"), "must be more than nothing");
        }
        let known = self.keys("sinks");
        for (n, name) in written.sinks.iter().enumerate() {
            let key = format!("{key}.sinks[{n}]");
            self.refers(&key, "sink", name, &known);
            self.once(&key, name, written.sinks.iter().take(n));
        }
        LoadRule {
            targets,
            users: written.users,
            rate: written.rate,
            duration: written.duration,
            extra: written.extra,
            sinks: written.sinks,
        }
    }

    fn cluster_rule(&mut self, key: &str, name: &str, written: ClusterRuleFile) -> ClusterRule {
        let key = format!("{key}.clusters.{name}");
        let known = self.keys("clusters");
        self.refers(&key, "cluster", name, &known);
        if written.namespaces.is_empty() && self.document.is_whole(&format!("{key}.namespaces")) {
            self.wrong(&format!("{key}.namespaces"), "a cluster without namespaces is no grant");
        }
        let mut namespaces = Vec::new();
        for (n, text) in written.namespaces.iter().enumerate() {
            namespaces.extend(self.namespace(&format!("{key}.namespaces[{n}]"), text));
        }
        for (n, kind) in written.kinds.iter().enumerate() {
            if !KINDS.contains(&kind.as_str()) {
                let known = KINDS.map(str::to_owned);
                self.refers(&format!("{key}.kinds[{n}]"), "kind", kind, &known);
            }
        }
        let access = match written.access {
            AccessFile::Read => Access::Read,
            AccessFile::Deploy => Access::Deploy,
        };
        if access == Access::Read && !written.kinds.is_empty() {
            self.wrong(&format!("{key}.kinds"), "kinds to change need `access: deploy`");
        }
        ClusterRule {
            namespaces,
            access,
            kinds: written.kinds,
            pod_security: match written.pod_security {
                PodSecurityFile::Baseline => PodSecurity::Baseline,
                PodSecurityFile::Privileged => PodSecurity::Privileged,
            },
        }
    }

    fn namespace(&mut self, key: &str, text: &str) -> Option<Template> {
        let template = self.template(key, text)?;
        // Places are filled at the job's time; what stands around them can be looked at now.
        let fixed = template.with_places("x");
        let example = fixed.replace('*', "x");
        if let Err(error) = Glob::plain(&fixed) {
            self.wrong(key, error.to_string());
        } else if !is_namespace(&example) {
            self.wrong(key, format!("`{text}` can never be a namespace's name"));
        } else if is_system(&fixed.replace('*', "")) && !fixed.starts_with('*') {
            self.wrong(key, format!("`{text}` is the cluster's own, which is always refused"));
        }
        Some(template)
    }

    fn servers(&mut self, key: &str, written: &[String]) -> Vec<Glob> {
        let mut servers = Vec::new();
        for (n, text) in written.iter().enumerate() {
            let key = format!("{key}.kubeconfig-servers[{n}]");
            let host = text
                .strip_prefix("https://")
                .map(|rest| rest.split('/').next().unwrap_or_default().to_owned());
            match host {
                None => self.wrong(&key, format!("`{text}` must start with `https://`")),
                Some(host) if host.contains('@') => {
                    self.wrong(&key, "holds credentials, which are never written here");
                }
                Some(host) if host.chars().all(|c| c == '*' || c == '.' || c == ':') => {
                    self.wrong(&key, format!("`{text}` names no host: every server would match"));
                }
                Some(_) => servers.extend(self.glob(&key, Glob::path(text))),
            }
        }
        servers
    }

    fn gate(&mut self, key: &str, written: &GateFile) -> GateRule {
        let day = Span::seconds(86_400);
        for (name, span) in [
            ("wait-for-load-start", written.wait_for_load_start),
            ("wait-for-load-end", written.wait_for_load_end),
        ] {
            if span > day {
                self.wrong(&format!("{key}.{name}"), format!("{span} is longer than a day"));
            }
        }
        GateRule {
            wait_for_load_start: written.wait_for_load_start,
            wait_for_load_end: written.wait_for_load_end,
        }
    }
}
