//! The build variables: what the runner adds around a job's own, in the runner's order.

use crate::pipeline::build::Build;
use crate::pipeline::expand::expand;
use crate::pipeline::response::{Image, Variable};

/// Feature flags that are on by default in gitlab-runner 19.3.
const FLAGS_ON: &[&str] = &[
    "FF_ENABLE_JOB_INPUTS_INTERPOLATION",
    "FF_MASK_ALL_DEFAULT_TOKENS",
    "FF_SECRET_RESOLVING_FAILS_IF_MISSING",
    "FF_TIMESTAMPS",
    "FF_USE_ADAPTIVE_REQUEST_CONCURRENCY",
    "FF_USE_DIRECT_DOWNLOAD",
    "FF_USE_DOCKER_AUTOSCALER_DIAL_STDIO",
    "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY",
    "FF_USE_GITALY_CORRELATION_ID",
    "FF_USE_GIT_BUNDLE_URIS",
    "FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
];

/// Every feature flag of gitlab-runner 19.3.
const FLAGS: &[&str] = &[
    "FF_CLEAN_UP_FAILED_CACHE_EXTRACT",
    "FF_CONCRETE",
    "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION",
    "FF_DISABLE_POWERSHELL_STDIN",
    "FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR",
    "FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR",
    "FF_ENABLE_BASH_EXIT_CODE_CHECK",
    "FF_ENABLE_JOB_CLEANUP",
    "FF_ENABLE_JOB_INPUTS_INTERPOLATION",
    "FF_EXPORT_HIGH_CARDINALITY_METRICS",
    "FF_GIT_URLS_WITHOUT_TOKENS",
    "FF_HASH_CACHE_KEYS",
    "FF_KUBERNETES_HONOR_ENTRYPOINT",
    "FF_LOG_IMAGES_CONFIGURED_FOR_JOB",
    "FF_MASK_ALL_DEFAULT_TOKENS",
    "FF_NETWORK_PER_BUILD",
    "FF_POSIXLY_CORRECT_ESCAPES",
    "FF_PRINT_POD_EVENTS",
    "FF_RESOLVE_FULL_TLS_CHAIN",
    "FF_SCRIPT_SECTIONS",
    "FF_SCRIPT_TO_STEP_MIGRATION",
    "FF_SECRET_RESOLVING_FAILS_IF_MISSING",
    "FF_SUSPENDABLE_ENVIRONMENTS",
    "FF_TEST_FEATURE",
    "FF_TIMESTAMPS",
    "FF_USE_ADAPTIVE_REQUEST_CONCURRENCY",
    "FF_USE_ADVANCED_POD_SPEC_CONFIGURATION",
    "FF_USE_DIRECT_DOWNLOAD",
    "FF_USE_DOCKER_AUTOSCALER_DIAL_STDIO",
    "FF_USE_DUMB_INIT_WITH_KUBERNETES_EXECUTOR",
    "FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL",
    "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY",
    "FF_USE_FASTZIP",
    "FF_USE_FLEETING_ACQUIRE_HEARTBEATS",
    "FF_USE_GITALY_CORRELATION_ID",
    "FF_USE_GIT_BUNDLE_URIS",
    "FF_USE_GIT_NATIVE_CLONE",
    "FF_USE_GIT_PROACTIVE_AUTH",
    "FF_USE_INIT_WITH_DOCKER_EXECUTOR",
    "FF_USE_JOB_ROUTER",
    "FF_USE_LEGACY_BASH_EVAL",
    "FF_USE_LEGACY_GCS_CACHE_ADAPTER",
    "FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY",
    "FF_USE_LEGACY_S3_CACHE_ADAPTER",
    "FF_USE_NATIVE_CONTAINER_STOP",
    "FF_USE_PARALLEL_ARTIFACT_TRANSFER",
    "FF_USE_PARALLEL_CACHE_TRANSFER",
    "FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
    "FF_USE_POWERSHELL_PATH_RESOLVER",
    "FF_USE_WINDOWS_JOB_OBJECT",
    "FF_USE_WINDOWS_LEGACY_PROCESS_STRATEGY",
    "FF_WAIT_FOR_POD_TO_BE_REACHABLE",
];

/// Returns the build variables in the runner's order, expanded once; names repeat.
pub fn expanded(build: &Build) -> Vec<Variable> {
    let all = unexpanded(build);
    let lookup = |name: &str| value_of(&all, name, &build.temp_dir());
    all.iter()
        .map(|variable| {
            if variable.raw {
                return variable.clone();
            }
            Variable { value: expand(&variable.value, &lookup), ..variable.clone() }
        })
        .collect()
}

/// Returns what a reference to `name` stands for: the last one's value, of a file its path.
fn value_of(variables: &[Variable], name: &str, temp_dir: &str) -> String {
    match variables.iter().rev().find(|variable| variable.key == name) {
        Some(variable) if variable.file => format!("{temp_dir}/{name}"),
        Some(variable) => variable.value.clone(),
        None => String::new(),
    }
}

/// Expands a text (an image name, a cache path) with the build's variables.
pub fn expand_text(build: &Build, text: &str) -> String {
    let all = expanded(build);
    expand(text, &|name| value_of(&all, name, &build.temp_dir()))
}

/// Returns the last value of a build variable; empty when there is none.
pub fn get(build: &Build, name: &str) -> String {
    expanded(build)
        .into_iter()
        .rev()
        .find(|variable| variable.key == name)
        .map(|variable| variable.value)
        .unwrap_or_default()
}

fn unexpanded(build: &Build) -> Vec<Variable> {
    let response = &build.response;
    let flag = |name: &&str| {
        Variable::public(*name, if FLAGS_ON.contains(name) { "true" } else { "false" })
    };
    let mut all: Vec<Variable> = FLAGS.iter().map(flag).collect();
    if !response.image.name.is_empty() {
        all.push(Variable::public("CI_JOB_IMAGE", response.image.name.clone()));
    }
    all.push(Variable::public("CI_RUNNER_SHORT_TOKEN", build.runner.short_token.clone()));
    all.push(Variable::public("CI_BUILDS_DIR", build.folders.builds.clone()));
    all.push(Variable::public("CI_PROJECT_DIR", build.project_dir()));
    all.push(Variable::public("CI_CONCURRENT_ID", build.runner.concurrent_id.to_string()));
    all.push(Variable::public("CI_CONCURRENT_PROJECT_ID", build.runner.concurrent_id.to_string()));
    all.push(Variable::public("CI_SERVER", "yes"));
    all.push(Variable::public("CI_JOB_STATUS", build.status.as_str()));
    all.push(Variable::public("CI_JOB_TIMEOUT", response.runner_info.timeout.to_string()));
    all.extend(response.variables.iter().cloned());
    all.push(Variable::public("CI_SHARED_ENVIRONMENT", "true"));
    all.push(Variable::public("CI_RUNNER_VERSION", build.runner.version.clone()));
    all.push(Variable::public("CI_RUNNER_REVISION", build.runner.revision.clone()));
    all.push(Variable::public("CI_RUNNER_EXECUTABLE_ARCH", build.runner.arch.clone()));
    all.push(Variable::public("RUNNER_TEMP_PROJECT_DIR", build.temp_dir()));
    all
}

/// Returns `CI_JOB_SERVICES`: empty without services, else JSON with the first alias only.
pub fn services_json(build: &Build) -> String {
    if build.response.services.is_empty() {
        return String::new();
    }
    let list: Vec<serde_json::Value> =
        build.response.services.iter().map(|service| service_json(build, service)).collect();
    serde_json::Value::Array(list).to_string()
}

fn service_json(build: &Build, service: &Image) -> serde_json::Value {
    let alias = service.alias.as_deref().unwrap_or_default();
    let first = alias.split([',', ' ']).next().unwrap_or_default();
    let mut object = serde_json::json!({
        "name": expand_text(build, &service.name),
        "alias": expand_text(build, first),
        "entrypoint": service.entrypoint,
        "command": service.command,
    });
    if let (Some(own), Some(object)) = (&service.variables, object.as_object_mut()) {
        let own: serde_json::Map<String, serde_json::Value> = own
            .iter()
            .map(|variable| (variable.key.clone(), expand_text(build, &variable.value).into()))
            .collect();
        object.insert("variables".to_owned(), own.into());
    }
    object
}
