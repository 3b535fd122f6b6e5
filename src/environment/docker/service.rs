//! Services: who is called what, how they are started, and when they are ready.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthStatusEnum, HostConfig, ImageInspect,
};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::container::{create, entrypoint, host_config, labels, tmpfs};
use super::engine::failed;
use super::image;
use super::reference::Reference;
use super::spec::{Service, Spec};
use crate::environment::Error;

const LOOK: Duration = Duration::from_millis(100);
const DIAL: Duration = Duration::from_secs(1);

/// Lines of a failed service's log that are told.
const LINES: &str = "20";

/// Names for each service; a name that two of them have is the first one's.
pub fn names(services: &[Service]) -> Vec<Vec<String>> {
    let mut taken = BTreeSet::new();
    services
        .iter()
        .map(|service| {
            let own = Reference::parse(&service.image.name)
                .map(|reference| reference.host_names())
                .unwrap_or_default();
            own.into_iter()
                .chain(service.aliases.iter().cloned())
                .filter(|name| taken.insert(name.clone()))
                .collect()
        })
        .collect()
}

/// Names that a later service had to leave to an earlier one.
pub fn duplicates(services: &[Service]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    services
        .iter()
        .flat_map(|service| &service.aliases)
        .filter(|alias| !taken.insert(alias.as_str()))
        .cloned()
        .collect()
}

/// Starts a service.
pub async fn start(
    engine: &Docker,
    spec: &Spec,
    (number, service): (usize, &Service),
    aliases: Vec<String>,
) -> Result<Started, Error> {
    let found = image::get(engine, &service.image, &spec.auths).await?;
    let name = format!("{}-service-{number}", spec.name);
    let endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
    let body = ContainerCreateBody {
        image: Some(Reference::parse(&service.image.name).map(|it| it.full()).unwrap_or_default()),
        env: Some(service.environment.clone()),
        cmd: service.image.command.clone(),
        entrypoint: entrypoint(service.image.entrypoint.as_deref()),
        user: service.image.user.clone(),
        labels: Some(labels(spec)),
        // Nobody reads what a service would save: a daemon that stops need not wait for it.
        stop_timeout: Some(1),
        host_config: Some(HostConfig {
            tmpfs: Some(tmpfs(&spec.services_tmpfs)),
            ..host_config(spec)
        }),
        networking_config: super::container::network(spec, endpoint),
        ..ContainerCreateBody::default()
    };
    create(engine, &name, &service.image, body).await?;
    engine.start_container(&name, None).await.map_err(|answer| {
        let hint = "check the service's `entrypoint:`, `command:` and user";
        super::engine::refused(answer, "start a service", &service.image.name, hint)
    })?;
    Ok(Started { name, image: service.image.name.clone(), ports: ports(&found) })
}

/// The TCP ports that an image exposes.
fn ports(image: &ImageInspect) -> Vec<u16> {
    let exposed = image.config.as_ref().and_then(|config| config.exposed_ports.clone());
    let mut ports: Vec<u16> = exposed
        .unwrap_or_default()
        .iter()
        .filter_map(|port| match port.split_once('/') {
            Some((port, "tcp")) => port.parse().ok(),
            Some(_) => None,
            None => port.parse().ok(),
        })
        .collect();
    ports.sort_unstable();
    ports
}

/// A service that was started.
pub struct Started {
    name: String,
    image: String,
    ports: Vec<u16>,
}

/// How a service stands.
enum State {
    Ready,
    Waiting(&'static str),
    Dead(i64),
}

/// Waits until the service is ready; a sentence for the job log when it is not. As with GitLab's
/// own executor that is a warning: the job may not need it, or wait for it better.
pub async fn await_ready(engine: &Docker, service: &Started, end: Instant) -> Option<String> {
    let mut why = "it does not run";
    while Instant::now() < end {
        match look(engine, service).await {
            Ok(State::Ready) => return None,
            Ok(State::Waiting(reason)) => why = reason,
            Ok(State::Dead(code)) => {
                return Some(told(engine, service, &format!("it ended with code {code}")).await);
            }
            Err(error) => tracing::debug!(%error, "cannot look at a service"),
        }
        sleep(LOOK).await;
    }
    Some(told(engine, service, why).await)
}

async fn look(engine: &Docker, service: &Started) -> Result<State, Error> {
    let found =
        engine.inspect_container(&service.name, None).await.map_err(failed("look at a service"))?;
    let state = found.state.unwrap_or_default();
    if state.running != Some(true) {
        return Ok(State::Dead(state.exit_code.unwrap_or(0)));
    }
    // A health check knows better than an open port.
    match state.health.and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => return Ok(State::Ready),
        Some(HealthStatusEnum::STARTING) => {
            return Ok(State::Waiting("its health check has not passed yet"));
        }
        Some(HealthStatusEnum::UNHEALTHY) => {
            return Ok(State::Waiting("its health check says `unhealthy`"));
        }
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => {}
    }
    if service.ports.is_empty() {
        return Ok(State::Ready);
    }
    let networks = found.network_settings.and_then(|settings| settings.networks);
    let addresses = networks.unwrap_or_default().into_values().filter_map(|end| end.ip_address);
    for address in addresses.filter_map(|address| address.parse::<IpAddr>().ok()) {
        for port in &service.ports {
            if matches!(timeout(DIAL, TcpStream::connect((address, *port))).await, Ok(Ok(_))) {
                return Ok(State::Ready);
            }
        }
    }
    Ok(State::Waiting("none of the ports that its image exposes is open"))
}

async fn told(engine: &Docker, service: &Started, why: &str) -> String {
    let mut text =
        format!("\u{1b}[0;33mWARNING: service {} is not ready: {why}.\u{1b}[0;m\n", service.image);
    let log = log(engine, &service.name).await;
    if !log.is_empty() {
        text.push_str("Its last words:\n");
        for line in log.lines() {
            text.extend(["  ", line, "\n"]);
        }
    }
    text
}

/// The last lines that a container wrote.
pub async fn log(engine: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES).build();
    let mut pieces = engine.logs(container, Some(options));
    let mut text = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        text.extend_from_slice(&piece.into_bytes());
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::docker::spec::Image;

    fn service(image: &str, aliases: &[&str]) -> Service {
        Service {
            image: Image { name: image.to_owned(), ..Image::default() },
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn a_name_that_two_services_have_is_the_first_ones() {
        let services =
            [service("postgres:16", &["db", "main"]), service("r.example.com/a/postgres", &["db"])];
        assert_eq!(
            names(&services),
            [
                vec!["postgres", "db", "main"],
                vec!["r.example.com__a__postgres", "r.example.com-a-postgres"]
            ]
        );
        assert_eq!(duplicates(&services), ["db"]);
    }
}
