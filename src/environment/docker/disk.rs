//! How much a job has on the disk. Storage drivers that can hold a container to a size are rare, and
//! none holds a volume: so the driver looks while a script runs, and ends what has grown too large.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::container::JOB;
use super::order::Order;
use super::spec::Spec;
use super::stage::{self, Which};
use crate::environment::Error;
use crate::unit::Size;

/// Between two looks, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// A look takes at most this part of the time.
const SHARE: u32 = 20;

/// Returns once the job holds more than `limit`; what of it cannot be seen counts as nothing.
pub async fn exceeded(engine: &Docker, spec: &Spec, limit: Size) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let start = Instant::now();
        let (layers, builds) = tokio::join!(layers(engine, spec), builds(engine, spec));
        let sum = counted(layers).saturating_add(counted(builds));
        tracing::debug!(sum, "looked at the job's disk");
        if sum > limit.0 {
            return;
        }
        pause = PAUSE.max(start.elapsed() * SHARE);
    }
}

fn counted(size: Result<u64, Error>) -> u64 {
    size.unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot look at the job's disk");
        0
    })
}

/// What the job's containers wrote beside its volumes.
async fn layers(engine: &Docker, spec: &Spec) -> Result<u64, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{JOB}={}", spec.name)])]);
    let options = ListContainersOptionsBuilder::default().size(true).filters(&filters).build();
    let found = engine.list_containers(Some(options)).await;
    let found = found.map_err(super::engine::failed("look at the job's disk"))?;
    Ok(found.iter().filter_map(|it| u64::try_from(it.size_rw?).ok()).sum())
}

/// What lies in `/builds`, as the helper sees it: no other user could look into every folder.
async fn builds(engine: &Docker, spec: &Spec) -> Result<u64, Error> {
    let (stream, _) = stage::greet(engine, spec, Which::Helper).await?;
    let (mut answer, out) = pipes().map_err(Error::process("look at the job's disk"))?;
    let order = Order { grace_ms: 1, ..Order::default() };
    let script = script("du -sxk /builds 2>/dev/null | cut -f 1\n");
    let script = script.map_err(Error::process("look at the job's disk"))?;
    stage::hand_over(&stream, &order, &script, out.as_fd())
        .await
        .map_err(Error::process("look at the job's disk"))?;
    drop(out);
    let mut text = String::new();
    let read = answer.read_to_string(&mut text).await;
    read.map_err(Error::process("look at the job's disk"))?;
    Ok(text.trim().parse::<u64>().unwrap_or(0).saturating_mul(1024))
}

fn pipes() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(reader)?, writer))
}

/// A script that is in no file.
pub fn script(text: impl AsRef<[u8]>) -> io::Result<OwnedFd> {
    let memory = memfd_create("script", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text.as_ref())?;
    seek(&file, SeekFrom::Start(0))?;
    Ok(file.into())
}
