//! A job's own kubeconfig: which servers it may lead to.

use http::Uri;

use super::kubectl::{Asked, KubectlGrant, act};
use super::namespaces::is_system;
use super::{Denied, list};
use crate::deploy::cluster::OwnCluster;
use crate::policy::Profile;

impl Profile {
    /// Decides on a cluster of the job's own: its server must be allowed, its rights are its own.
    pub(super) fn allow_own(
        &self,
        own: &OwnCluster,
        asked: &Asked<'_>,
    ) -> Result<KubectlGrant, Denied> {
        let denied = |reason: &str| {
            let asked = format!("the job's own cluster at `{}`", without_user(&own.server));
            let allowed = match reason {
                "" => format!("allowed: {}", list(&self.kubeconfig_servers)),
                reason => format!("{reason}; allowed: {}", list(&self.kubeconfig_servers)),
            };
            Denied::new(self, "kubeconfig-servers", asked, allowed)
        };
        let server = canonical(&own.server).map_err(denied)?;
        if !self.kubeconfig_servers.iter().any(|glob| glob.matches(&server)) {
            return Err(denied(""));
        }
        let namespace = asked.namespace.clone().or_else(|| own.namespace.clone());
        for touch in &asked.touches {
            let named = match touch.namespace.as_deref() {
                Some("") => namespace.as_deref(),
                Some(named) => Some(named),
                None if touch.kind == "Namespace" => touch.name.as_deref(),
                None => None,
            };
            if let Some(named) = named.filter(|named| is_system(named)) {
                let asked = format!("{} in namespace `{named}`", act(touch));
                let allowed = "system namespaces are always refused".to_owned();
                return Err(Denied::new(self, "kubeconfig-servers", asked, allowed).always());
            }
        }
        Ok(KubectlGrant {
            cluster: None,
            namespace,
            impersonate: None,
            impersonate_groups: Vec::new(),
            guarded: false,
        })
    }
}

/// An API server's URL in the one spelling that patterns are compared with.
fn canonical(server: &str) -> Result<String, &'static str> {
    let uri: Uri = server.parse().map_err(|_| "it is no URL")?;
    if uri.scheme_str() != Some("https") {
        return Err("it is not `https`");
    }
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.as_str().contains('@') {
        return Err("it holds credentials");
    }
    if uri.query().is_some() || server.contains('#') {
        return Err("it holds more than a path");
    }
    let path = uri.path().trim_end_matches('/');
    if path.contains("..") || path.contains('%') || path.contains("//") {
        return Err("its path is not plain");
    }
    let host = authority.host().to_lowercase();
    let port = match authority.port_u16() {
        None | Some(443) => String::new(),
        Some(port) => format!(":{port}"),
    };
    Ok(format!("https://{host}{port}{path}"))
}

fn without_user(server: &str) -> String {
    match server.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => server.to_owned(),
    }
}
