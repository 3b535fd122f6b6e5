//! What a job gets from the daemon: network, volumes, services, its two containers.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, Permissions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig,
    VolumeCreateRequest,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use super::engine::failed;
use super::hold::PROGRAM;
use super::reference::Reference;
use super::spec::{Image, Network, Spec};
use super::stage::{self, Which};
use super::{caches, engine, helper, image, service};
use crate::environment::{Error, owner};
use crate::unit::Size;

/// The labels by which what belongs to a job is found.
pub const JOB: &str = "dyno.job";
/// Whose life the job's is: [`owner::written`].
pub const OWNER: &str = "dyno.owner";
/// Which driver's it is: its state folder.
pub const STATE: &str = "dyno.state";

/// The driver's note that a job's folder belongs to containers: the daemon's socket.
pub const MARK: &str = "docker";

/// What no job's container needs of Docker's default capabilities.
const DROPPED: [&str; 5] = ["NET_RAW", "MKNOD", "AUDIT_WRITE", "SETPCAP", "SYS_CHROOT"];

/// `dyno hold` hears of a script's end from the driver alone: a daemon that stops need not wait for it.
const AT_ONCE: &str = "SIGKILL";

/// The environment that the helper's programs start with.
const HELPER_PATH: &str =
    "PATH=/run/dyno/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes all that a job needs, of which nothing is there yet.
pub async fn make(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    make_folder(spec)?;
    let found = image::get(engine, &spec.image, &spec.auths).await?;
    tell(&format!("Using image {} ({}).\n", spec.image.name, short(found.id.as_deref())));
    helper::ensure(engine).await?;
    if spec.has_network() {
        make_network(engine, spec).await?;
    }
    make_volumes(engine, spec).await?;
    make_services(engine, spec).await?;
    let (job, helper) = tokio::join!(make_job(engine, spec), make_helper(engine, spec));
    job.and(helper)?;
    stage::meet(engine, spec, Which::Job).await?;
    stage::meet(engine, spec, Which::Helper).await
}

fn short(id: Option<&str>) -> &str {
    let id = id.unwrap_or_default();
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    bare.get(..12).unwrap_or(bare)
}

/// A line for the job log, at once.
fn tell(text: &str) {
    // The runner that reads it may be gone; its death is noticed elsewhere.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// The driver's own folder for the job. The containers see three parts of it, read-only.
fn make_folder(spec: &Spec) -> Result<(), Error> {
    let folder = &spec.folder;
    if let Some(parent) = folder.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(parent)
            .map_err(Error::file("create", parent))?;
    }
    let make = |path: &Path, mode: u32| {
        fs::create_dir(path)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
            .map_err(Error::file("create", path))
    };
    let write = |path: &Path, text: &str, mode: u32| {
        fs::write(path, text)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
            .map_err(Error::file("write", path))
    };
    let jobs = folder.parent().unwrap_or(folder);
    let lock = owner::lock(jobs).map_err(Error::file("lock", jobs))?;
    make(folder, 0o700)?;
    write(&folder.join(MARK), &spec.socket.display().to_string(), 0o600)?;
    let owner = owner::written(spec.owner, spec.runner_folder.as_deref());
    write(&folder.join("driver"), &owner.ok_or_else(|| owner::none(spec.owner))?, 0o600)?;
    drop(lock);
    let run = folder.join("run");
    for (part, mode) in [
        (folder.join(Which::Job.folder()), 0o711),
        (folder.join(Which::Helper.folder()), 0o711),
        (run.clone(), 0o755),
        (run.join("bin"), 0o755),
        (run.join("exports"), 0o755),
        (run.join("sockets"), 0o755),
    ] {
        make(&part, mode)?;
    }
    write(&run.join("prelude.sh"), &spec.prelude, 0o644)?;
    write(&run.join("bin/dyno"), "", 0o755)?;
    let link = |name: &str| {
        let link = run.join("bin").join(name);
        symlink("dyno", &link).map_err(Error::file("create", link))
    };
    spec.names.iter().try_for_each(|name| link(name))?;
    match &spec.runner {
        Some(_) => write(&run.join("bin/gitlab-runner"), "", 0o755),
        None => link("gitlab-runner"),
    }
}

/// The labels of everything that belongs to the job.
pub fn labels(spec: &Spec) -> HashMap<String, String> {
    let own = [
        (JOB, spec.name.clone()),
        (OWNER, owner::written(spec.owner, spec.runner_folder.as_deref()).unwrap_or_default()),
        (STATE, spec.state().display().to_string()),
    ];
    let told = spec.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    told.chain(own.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}

async fn make_network(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    let request = NetworkCreateRequest {
        name: spec.network_name(),
        internal: Some(spec.network == Network::None),
        labels: Some(labels(spec)),
        ..NetworkCreateRequest::default()
    };
    engine.create_network(request).await.map(drop).map_err(failed("make the job's network"))
}

async fn make_volumes(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    let request = VolumeCreateRequest {
        name: Some(spec.builds_volume()),
        labels: Some(labels(spec)),
        ..VolumeCreateRequest::default()
    };
    engine.create_volume(request).await.map_err(failed("make the job's volumes"))?;
    caches::make(engine, spec).await
}

async fn make_services(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    if spec.services.is_empty() {
        return Ok(());
    }
    for alias in service::duplicates(&spec.services) {
        tell(&format!(
            "\u{1b}[0;33mWARNING: alias {alias} is another service's already.\u{1b}[0;m\n"
        ));
    }
    let names = service::names(&spec.services);
    let starts = spec.services.iter().enumerate().zip(names).map(|(service, names)| {
        tell(&format!("Starting service {} ({}).\n", service.1.image.name, names.join(", ")));
        service::start(engine, spec, service, names)
    });
    let started = try_join_all(starts).await?;
    let end = Instant::now() + spec.patience.0;
    let waits = started.iter().map(|service| service::await_ready(engine, service, end));
    for warning in join_all(waits).await.into_iter().flatten() {
        tell(&warning);
    }
    Ok(())
}

/// What every container of the job has in common.
pub fn host_config(spec: &Spec) -> HostConfig {
    let memory = i64::try_from(spec.limits.memory.0).unwrap_or(i64::MAX);
    HostConfig {
        memory: Some(memory),
        // No swap beyond it.
        memory_swap: Some(memory),
        nano_cpus: spec.limits.cpus.map(nano),
        pids_limit: Some(i64::from(spec.limits.processes)),
        cap_drop: Some(DROPPED.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        network_mode: Some(if spec.has_network() {
            spec.network_name()
        } else {
            "none".to_owned()
        }),
        // Where there is no network, nobody else says what the host's own name means.
        extra_hosts: (!spec.has_network()).then(|| vec![format!("{}:127.0.0.1", spec.name)]),
        ..HostConfig::default()
    }
}

/// File systems in memory, as Docker's API wants them.
pub fn tmpfs(written: &BTreeMap<String, Size>) -> HashMap<String, String> {
    let options = |size: &Size| format!("rw,exec,nosuid,nodev,mode=1777,size={}", size.0);
    written.iter().map(|(path, size)| (path.clone(), options(size))).collect()
}

fn nano(cpus: f64) -> i64 {
    crate::unit::whole(cpus * 1e9).and_then(|nano| i64::try_from(nano).ok()).unwrap_or(0)
}

/// Puts a container into the job's network, where there is one.
pub fn network(spec: &Spec, endpoint: EndpointSettings) -> Option<NetworkingConfig> {
    let endpoints = HashMap::from([(spec.network_name(), endpoint)]);
    spec.has_network().then_some(NetworkingConfig { endpoints_config: Some(endpoints) })
}

/// The entrypoint as Docker's API wants it: `[""]` clears the image's own.
pub fn entrypoint(written: Option<&[String]>) -> Option<Vec<String>> {
    match written {
        None | Some([]) => None,
        Some(words) if words.iter().all(String::is_empty) => Some(vec![String::new()]),
        Some(words) => Some(words.to_vec()),
    }
}

fn binds(spec: &Spec, which: Which) -> Vec<String> {
    let shown = |path: &Path| path.display().to_string();
    let mut binds = vec![
        format!("{}:/builds", spec.builds_volume()),
        format!("{}:/cache", spec.cache),
        format!("{}:/run/dyno:ro", shown(&spec.folder.join("run"))),
        format!("{}:/run/dyno/sockets:ro", shown(&spec.folder.join(which.folder()))),
        format!("{}:{PROGRAM}:ro", shown(&spec.program)),
    ];
    if let Some(runner) = &spec.runner {
        binds.push(format!("{}:/run/dyno/bin/gitlab-runner:ro", shown(runner)));
    }
    binds
}

async fn make_job(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    let mut memory = tmpfs(&spec.tmpfs);
    memory.insert("/run/dyno/exports".to_owned(), "mode=1777,size=1m".to_owned());
    let endpoint =
        EndpointSettings { aliases: Some(vec!["build".to_owned()]), ..EndpointSettings::default() };
    let body = ContainerCreateBody {
        image: Some(Reference::parse(&spec.image.name).map(|it| it.full()).unwrap_or_default()),
        hostname: Some(spec.name.clone()),
        entrypoint: entrypoint(spec.image.entrypoint.as_deref()),
        cmd: Some(vec![PROGRAM.to_owned(), "hold".to_owned()]),
        user: spec.image.user.clone(),
        labels: Some(labels(spec)),
        stop_signal: Some(AT_ONCE.to_owned()),
        host_config: Some(HostConfig {
            binds: Some(binds(spec, Which::Job)),
            tmpfs: Some(memory),
            ..host_config(spec)
        }),
        networking_config: network(spec, endpoint),
        ..ContainerCreateBody::default()
    };
    let name = spec.job_container();
    create(engine, &name, &spec.image, body).await?;
    engine.start_container(&name, None).await.map_err(|answer| {
        let hint = "check the image's entrypoint and user; `entrypoint: [\"\"]` does without it";
        engine::refused(answer, "start the job's container", &spec.image.name, hint)
    })
}

async fn make_helper(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    let mut binds = binds(spec, Which::Helper);
    let folders = helper::FOLDERS.into_iter().filter(|folder| Path::new(folder).exists());
    binds.extend(folders.map(|folder| format!("{folder}:{folder}:ro")));
    // GitLab alone, through the driver; without a GitLab in the policy, what the job reaches.
    let own = host_config(spec);
    let network_mode = match &spec.gitlab {
        Some(_) => Some("none".to_owned()),
        None => own.network_mode.clone(),
    };
    let body = ContainerCreateBody {
        image: Some(helper::image()),
        hostname: Some(spec.name.clone()),
        cmd: Some(vec![PROGRAM.to_owned(), "hold".to_owned()]),
        env: Some(vec![HELPER_PATH.to_owned(), "HOME=/root".to_owned()]),
        labels: Some(labels(spec)),
        stop_signal: Some(AT_ONCE.to_owned()),
        host_config: Some(HostConfig {
            binds: Some(binds),
            network_mode,
            extra_hosts: Some(helper_hosts(spec)),
            ..own
        }),
        ..ContainerCreateBody::default()
    };
    let name = spec.helper_container();
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let created = engine.create_container(Some(options), body).await;
    created.map_err(failed("make the helper's container"))?;
    engine.start_container(&name, None).await.map_err(failed("start the helper's container"))
}

/// GitLab's name means the relay; its own name is the container's.
fn helper_hosts(spec: &Spec) -> Vec<String> {
    let is_name = |host: &&String| host.parse::<IpAddr>().is_err() && *host != "localhost";
    let gitlab = spec.gitlab.iter().filter(is_name).map(|host| format!("{host}:127.0.0.1"));
    let own = (spec.gitlab.is_some() || !spec.has_network()).then_some(&spec.name);
    gitlab.chain(own.map(|name| format!("{name}:127.0.0.1"))).collect()
}

/// Creates a container of an image that the job chose.
pub async fn create(
    engine: &Docker,
    name: &str,
    image: &Image,
    body: ContainerCreateBody,
) -> Result<(), Error> {
    let mut options = CreateContainerOptionsBuilder::default().name(name);
    if let Some(platform) = &image.platform {
        options = options.platform(platform);
    }
    let created = engine.create_container(Some(options.build()), body).await;
    created.map(drop).map_err(|answer| {
        let hint = "check the image's name and `docker: { platform, user }` in .gitlab-ci.yml";
        engine::refused(answer, "make a container", &image.name, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrypoint_of_nothing_clears_the_images_own() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(entrypoint(None), None);
        assert_eq!(entrypoint(Some(&[])), None);
        assert_eq!(entrypoint(Some(&words(&[""]))), Some(words(&[""])));
        assert_eq!(entrypoint(Some(&words(&["/a", "b"]))), Some(words(&["/a", "b"])));
    }
}
