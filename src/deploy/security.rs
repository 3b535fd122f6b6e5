//! The baseline pod-security level, as a pure function over one object of any workload kind.

use serde_json::Value;

/// Capabilities that the baseline level lets a container add.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Kernel settings that a pod may have of its own.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: &[&str] =
    &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// The rules of the baseline level that an object breaks, each as one clause
/// (`spec.template.spec.hostNetwork is true`); empty for objects without pods.
///
/// The kind is compared without regard to case, since the server's own check comes later.
pub fn baseline(object: &Value) -> Vec<String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let place = match kind.as_str() {
        "pod" => "",
        "deployment"
        | "statefulset"
        | "daemonset"
        | "replicaset"
        | "replicationcontroller"
        | "job" => "spec.template.",
        "cronjob" => "spec.jobTemplate.spec.template.",
        "podtemplate" => "template.",
        _ => return Vec::new(),
    };
    let pointer = format!("/{}", place.replace('.', "/"));
    let pod = object.pointer(pointer.trim_end_matches('/')).unwrap_or(object);
    let mut broken = Broken { place: place.to_owned(), clauses: Vec::new() };
    broken.annotations(pod);
    if let Some(spec) = pod.get("spec") {
        broken.place.push_str("spec.");
        broken.pod(spec);
    }
    broken.clauses
}

/// What a change of an object breaks that was not broken before: of the baseline level, and of a
/// namespace's own labels for it.
pub fn loosened(before: &Value, after: &Value) -> Vec<String> {
    let known = baseline(before);
    let mut broken = baseline(after);
    broken.retain(|clause| !known.contains(clause));
    if after.get("kind").is_some_and(|kind| kind == "Namespace") {
        let labels = |object: &Value| {
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object).cloned();
            let mut labels = labels.unwrap_or_default();
            labels.retain(|label, _| label.starts_with(LEVEL));
            labels
        };
        if labels(before) != labels(after) {
            broken.push(format!("its labels `{LEVEL}…` change"));
        }
    }
    broken
}

/// How the labels begin that say which level a namespace's pods are held to.
pub const LEVEL: &str = "pod-security.kubernetes.io/";

struct Broken {
    place: String,
    clauses: Vec<String>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_true(value: &Value, pointer: &str) -> bool {
    // Anything but an explicit "no" counts: the server is stricter with types than we are.
    !matches!(value.pointer(pointer), None | Some(Value::Null | Value::Bool(false)))
}

impl Broken {
    fn add(&mut self, path: &str, why: impl std::fmt::Display) {
        self.clauses.push(format!("{}{path} {why}", self.place));
    }

    /// Old spellings of seccomp and AppArmor.
    fn annotations(&mut self, pod: &Value) {
        let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
        for (key, value) in annotations.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let apparmor = key.starts_with("container.apparmor.security.beta.kubernetes.io/")
                && !(value.is_empty()
                    || value == "runtime/default"
                    || value.starts_with("localhost/"));
            let seccomp = (key == "seccomp.security.alpha.kubernetes.io/pod"
                || key.starts_with("container.seccomp.security.alpha.kubernetes.io/"))
                && value == "unconfined";
            if apparmor || seccomp {
                self.add(&format!("metadata.annotations[{key}]"), format!("is {value}"));
            }
        }
    }

    fn pod(&mut self, spec: &Value) {
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if is_true(spec, &format!("/{key}")) {
                self.add(key, "is true");
            }
        }
        for (n, volume) in list(spec, "/volumes").iter().enumerate() {
            if !volume.get("hostPath").is_none_or(Value::is_null) {
                self.add(
                    &format!("volumes[{n}].hostPath"),
                    format!("is {}", text(volume, "/hostPath/path")),
                );
            }
        }
        if let Some(context) = spec.get("securityContext") {
            self.context("securityContext.", context);
            for (n, sysctl) in list(context, "/sysctls").iter().enumerate() {
                let name = text(sysctl, "/name").replace('/', ".");
                if !SYSCTLS.contains(&name.as_str()) {
                    self.add(&format!("securityContext.sysctls[{n}]"), format!("is {name}"));
                }
            }
        }
        for kind in ["containers", "initContainers", "ephemeralContainers"] {
            for (n, container) in list(spec, &format!("/{kind}")).iter().enumerate() {
                self.container(&format!("{kind}[{n}]."), container);
            }
        }
    }

    /// What a pod and a container can both set.
    fn context(&mut self, path: &str, context: &Value) {
        if text(context, "/seccompProfile/type") == "Unconfined" {
            self.add(&format!("{path}seccompProfile.type"), "is Unconfined");
        }
        if text(context, "/appArmorProfile/type") == "Unconfined" {
            self.add(&format!("{path}appArmorProfile.type"), "is Unconfined");
        }
        if is_true(context, "/windowsOptions/hostProcess") {
            self.add(&format!("{path}windowsOptions.hostProcess"), "is true");
        }
        let kind = text(context, "/seLinuxOptions/type");
        if !SELINUX_TYPES.contains(&kind) {
            self.add(&format!("{path}seLinuxOptions.type"), format!("is {kind}"));
        }
        for key in ["user", "role"] {
            let value = text(context, &format!("/seLinuxOptions/{key}"));
            if !value.is_empty() {
                self.add(&format!("{path}seLinuxOptions.{key}"), format!("is {value}"));
            }
        }
    }

    fn container(&mut self, path: &str, container: &Value) {
        for (n, port) in list(container, "/ports").iter().enumerate() {
            let host_port = port.get("hostPort").filter(|port| !port.is_null() && **port != 0);
            if let Some(host_port) = host_port {
                self.add(&format!("{path}ports[{n}].hostPort"), format!("is {host_port}"));
            }
        }
        // Probes and hooks can reach into the host's network by naming a host.
        for hook in [
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle/postStart",
            "lifecycle/preStop",
        ] {
            for action in ["httpGet", "tcpSocket"] {
                let host = text(container, &format!("/{hook}/{action}/host"));
                if !host.is_empty() {
                    let hook = hook.replace('/', ".");
                    self.add(&format!("{path}{hook}.{action}.host"), format!("is {host}"));
                }
            }
        }
        let Some(context) = container.get("securityContext") else { return };
        let path = format!("{path}securityContext.");
        if is_true(context, "/privileged") {
            self.add(&format!("{path}privileged"), "is true");
        }
        for capability in list(context, "/capabilities/add") {
            let name = capability.as_str().unwrap_or("not a text");
            if !CAPABILITIES.contains(&name) {
                self.add(&format!("{path}capabilities.add"), format!("has {name}"));
            }
        }
        let proc_mount = text(context, "/procMount");
        if !["", "Default"].contains(&proc_mount) {
            self.add(&format!("{path}procMount"), format!("is {proc_mount}"));
        }
        self.context(&path, context);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_broken_before_is_no_change() {
        let pod = |host: bool, image: &str| {
            json!({"kind": "Pod", "spec": {"hostNetwork": host,
                "containers": [{"name": "c", "image": image}]}})
        };
        assert_eq!(loosened(&pod(true, "a"), &pod(true, "b")), Vec::<String>::new());
        assert_eq!(loosened(&pod(false, "a"), &pod(true, "a")), ["spec.hostNetwork is true"]);
        let namespace = |level: &str| {
            let labels = json!({"pod-security.kubernetes.io/enforce": level});
            json!({"kind": "Namespace", "metadata": {"labels": labels}})
        };
        assert_eq!(loosened(&namespace("baseline"), &namespace("privileged")).len(), 1);
        assert!(loosened(&namespace("baseline"), &namespace("baseline")).is_empty());
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn each_rule_of_the_baseline_is_held() {
        for (spec, clause) in [
            (json!({"hostNetwork": true}), "hostNetwork is true"),
            (json!({"hostPID": true}), "hostPID is true"),
            (json!({"hostIPC": true}), "hostIPC is true"),
            (
                json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
                "volumes[0].hostPath is /",
            ),
            (
                json!({"containers": [{"securityContext": {"privileged": true}}]}),
                "containers[0].securityContext.privileged is true",
            ),
            (
                json!({"initContainers": [{"securityContext": {"privileged": true}}]}),
                "initContainers[0].securityContext.privileged is true",
            ),
            (
                json!({"ephemeralContainers": [{"securityContext": {"privileged": true}}]}),
                "ephemeralContainers[0].securityContext.privileged is true",
            ),
            (
                json!({"containers": [{"ports": [{"hostPort": 80}]}]}),
                "containers[0].ports[0].hostPort is 80",
            ),
            (
                json!({"containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}]}),
                "containers[0].securityContext.capabilities.add has SYS_ADMIN",
            ),
            (
                json!({"containers": [{"securityContext": {"procMount": "Unmasked"}}]}),
                "containers[0].securityContext.procMount is Unmasked",
            ),
            (
                json!({"containers": [{"securityContext": {"seccompProfile": {"type": "Unconfined"}}}]}),
                "containers[0].securityContext.seccompProfile.type is Unconfined",
            ),
            (
                json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
                "securityContext.seccompProfile.type is Unconfined",
            ),
            (
                json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
                "securityContext.appArmorProfile.type is Unconfined",
            ),
            (
                json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}),
                "securityContext.sysctls[0] is kernel.msgmax",
            ),
            (
                json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}),
                "securityContext.seLinuxOptions.type is spc_t",
            ),
            (
                json!({"securityContext": {"seLinuxOptions": {"user": "root"}}}),
                "securityContext.seLinuxOptions.user is root",
            ),
            (
                json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
                "securityContext.windowsOptions.hostProcess is true",
            ),
            (
                json!({"containers": [{"livenessProbe": {"httpGet": {"host": "169.254.169.254"}}}]}),
                "containers[0].livenessProbe.httpGet.host is 169.254.169.254",
            ),
        ] {
            let pod = json!({"kind": "Pod", "spec": spec});
            assert_eq!(baseline(&pod), [format!("spec.{clause}")]);
            let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}});
            assert_eq!(baseline(&deployment), [format!("spec.template.spec.{clause}")]);
            let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
            assert_eq!(baseline(&cron), [format!("spec.jobTemplate.spec.template.spec.{clause}")]);
        }
    }

    #[test]
    fn an_ordinary_pod_breaks_nothing() {
        let pod = json!({"kind": "Pod", "metadata": {"annotations": {
            "container.apparmor.security.beta.kubernetes.io/c": "runtime/default"}}, "spec": {
            "hostNetwork": false,
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": null}],
            "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies"}], "seLinuxOptions": {"type": "container_t"}},
            "containers": [{"ports": [{"containerPort": 80, "hostPort": 0}], "securityContext": {
                "privileged": false, "procMount": "Default", "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}}, "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}],
        }});
        assert!(baseline(&pod).is_empty());
        assert!(
            baseline(&json!({"kind": "ConfigMap", "data": {"hostNetwork": "true"}})).is_empty()
        );
        let old = json!({"kind": "pod", "metadata": {"annotations": {
            "seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}});
        assert_eq!(baseline(&old).len(), 1);
    }
}
