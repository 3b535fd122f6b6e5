//! Docker rules as meant.

use std::path::Path;

use super::Builder;
use crate::policy::file::{DockerFile, DockerNetworkFile, PullFile};
use crate::policy::glob::Glob;
use crate::policy::profile::{DockerRule, PullRule};
use crate::unit::{Size, Span};

/// An absolute path that dyno needs for nothing else.
fn can_be_memory(path: &str) -> bool {
    const OWN: [&str; 6] = ["builds", "cache", "dev", "proc", "run/dyno", "sys"];
    let Some(path) = path.strip_prefix('/') else { return false };
    let is_plain = !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains([':', ',', '\0']);
    is_plain && path != "run" && !OWN.iter().any(|own| Path::new(path).starts_with(own))
}

impl Builder {
    pub(super) fn docker(&mut self, key: &str, written: DockerFile) -> DockerRule {
        if !written.socket.is_absolute() {
            let message = format!("`{}` is not an absolute path", written.socket.display());
            self.wrong(&format!("{key}.socket"), message);
        }
        if written.images.is_empty() && self.document.is_whole(&format!("{key}.images")) {
            self.wrong_with(
                &format!("{key}.images"),
                "no image is allowed, so no job can run",
                "name patterns such as `registry.example.com/**`, or `**` for every image",
            );
        }
        if written.pull.is_empty() && self.document.is_whole(&format!("{key}.pull")) {
            self.wrong(&format!("{key}.pull"), "without a way to get images no job can run");
        }
        self.limits(key, written.memory, written.processes, written.grace);
        if written.cpus.is_some_and(|cpus| !(0.01..=1024.0).contains(&cpus)) {
            self.wrong(&format!("{key}.cpus"), "must be between 0.01 and 1024");
        }
        if written.wait_for_services > Span::seconds(1800) {
            self.wrong(&format!("{key}.wait-for-services"), "must be at most 30m");
        }
        if written.disk.is_some_and(|disk| disk < Size(1 << 20)) {
            self.wrong(&format!("{key}.disk"), "must be at least 1MiB: a job's scripts need some");
        }
        for (name, paths) in
            [("tmpfs", &written.tmpfs), ("services-tmpfs", &written.services_tmpfs)]
        {
            for path in paths.keys().filter(|path| !can_be_memory(path)) {
                let message = format!("`{path}` is no path of the image's own");
                self.wrong(&format!("{key}.{name}"), message);
            }
        }
        let images = self.patterns(&format!("{key}.images"), &written.images);
        let services = self.patterns(&format!("{key}.services"), &written.services);
        if let Some(image) = &written.default_image
            && !images.iter().any(|pattern| pattern.matches(image))
        {
            let message = format!("`{image}` is not among `images`");
            self.wrong(&format!("{key}.default-image"), message);
        }
        let auth_file =
            written.auth_file.as_deref().map(|file| self.path(&format!("{key}.auth-file"), file));
        DockerRule {
            socket: written.socket,
            images,
            services,
            default_image: written.default_image,
            pull: written
                .pull
                .iter()
                .map(|pull| match pull {
                    PullFile::Always => PullRule::Always,
                    PullFile::IfNotPresent => PullRule::IfNotPresent,
                    PullFile::Never => PullRule::Never,
                })
                .collect(),
            auth_file,
            has_network: match written.network {
                DockerNetworkFile::None => false,
                DockerNetworkFile::Bridge => true,
            },
            memory: written.memory,
            cpus: written.cpus,
            processes: written.processes,
            disk: written.disk,
            tmpfs: written.tmpfs,
            services_tmpfs: written.services_tmpfs,
            grace: written.grace,
            wait_for_services: written.wait_for_services,
        }
    }

    fn patterns(&mut self, key: &str, written: &[String]) -> Vec<Glob> {
        let mut patterns = Vec::new();
        for (n, pattern) in written.iter().enumerate() {
            patterns.extend(self.glob(&format!("{key}[{n}]"), Glob::path(pattern)));
        }
        patterns
    }
}
