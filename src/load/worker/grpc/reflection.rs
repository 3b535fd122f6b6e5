//! What a server says of its own services: `grpc.reflection.v1`, and `v1alpha` where that is all
//! there is. Asked once, before anything is measured.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost_reflect::prost_types::FileDescriptorProto;

use crate::load::call::{Deed, proto};
use crate::load::failure::Failure;
use crate::load::pace::Share;
use crate::load::plan::{Action, Journey, Origin, Step};
use crate::load::worker::Crew;
use crate::load::worker::grpc::{deadline, framed, status, unframed};
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::wire::Times;

/// A server is not waited for longer.
const LONGEST: Duration = Duration::from_secs(10);

/// No service needs more files than this.
const FILES: usize = 1000;

/// The path of the stream on which a server is asked, in its two versions.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The code of a method that a server does not have.
const UNIMPLEMENTED: u16 = 12;

/// Learns what the services of the plan's calls are: from its proto files, else from the servers.
pub async fn learn(crew: &Arc<Crew>) -> Result<(), String> {
    let mut pool = proto::unpack(&crew.plan.protos)?;
    let mut asked: BTreeSet<(Origin, String)> = BTreeSet::new();
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    let journeys = crew.plan.journeys.iter().flat_map(Journey::all_steps);
    for step in journeys.chain(&crew.plan.setup).chain(&crew.plan.teardown) {
        collect(step, &mut asked, &mut wanted);
    }
    let local = Local::new(Arc::clone(crew), Instant::now(), Share::WHOLE);
    let mut user = User::new(&local, 0);
    for (origin, service) in asked {
        if pool.get_service_by_name(&service).is_some() {
            continue;
        }
        let learnt = async {
            tokio::select! {
                files = files(&local, &mut user, &origin, &service) => files,
                () = local.patrol.walk() => Ok(Vec::new()),
            }
        };
        let wrong = |why: String| {
            format!("gRPC reflection at {origin}: {why}; or name the service's file: `proto: …`")
        };
        let files = learnt.await.map_err(|failure| wrong(failure.to_string()))?;
        let new = |file: &FileDescriptorProto| pool.get_file_by_name(file.name()).is_none();
        let files = files.into_iter().filter(new).collect();
        proto::add_files(&mut pool, files).map_err(wrong)?;
    }
    for (service, method) in wanted {
        proto::find(&pool, &service, &method)?;
    }
    // Only this sets it, and only once.
    drop(crew.services.set(pool));
    Ok(())
}

fn collect(
    step: &Step,
    asked: &mut BTreeSet<(Origin, String)>,
    wanted: &mut BTreeSet<(String, String)>,
) {
    match &step.action {
        Action::Request(_) => {}
        Action::Call(call) => {
            if let (Some(origin), Deed::Grpc { service, method, is_reflected, .. }) =
                (&call.origin, &call.deed)
            {
                wanted.insert((service.clone(), method.clone()));
                if *is_reflected {
                    asked.insert((origin.clone(), service.clone()));
                }
            }
        }
        Action::Group(steps) | Action::Choice(steps) => {
            for step in steps {
                collect(step, asked, wanted);
            }
        }
    }
}

/// Returns the file that defines a service, and all that it needs.
async fn files(
    local: &Local,
    user: &mut User,
    origin: &Origin,
    service: &str,
) -> Result<Vec<FileDescriptorProto>, Failure> {
    let site = local.crew.site(origin)?;
    let mut known: Vec<FileDescriptorProto> = Vec::new();
    let mut path = PATHS[0];
    // The symbol is field 4 of the question, a file's name field 3.
    let mut question = field(4, service.as_bytes());
    loop {
        deadline(user, LONGEST);
        let asked = (path, &[][..], framed(&question)?);
        let answer = user.unary(local, (site, LONGEST), asked, &mut Times::default()).await?;
        let (code, why) = status(&answer)?;
        if code == UNIMPLEMENTED && path == PATHS[0] {
            path = PATHS[1];
            continue;
        }
        if code != 0 {
            let name = crate::load::call::code_name(&crate::load::call::GRPC_CODES, code);
            return Err(Failure::Ended(format!("{name} {why}").trim().to_owned()));
        }
        let (message, _) = unframed(&answer.body)?;
        for file in answered(message)? {
            let file = proto::read_file(file).map_err(Failure::Ended)?;
            if known.iter().all(|own| own.name() != file.name()) {
                known.push(file);
            }
        }
        let is_known = |name: &String| known.iter().any(|file| file.name() == name);
        let missing = known.iter().flat_map(|file| &file.dependency).find(|name| !is_known(name));
        let Some(missing) = missing else { return Ok(known) };
        if known.len() > FILES {
            return Err(Failure::TooLarge);
        }
        let next = field(3, missing.as_bytes());
        if next == question {
            return Err(Failure::Ended(format!("the server does not know its own `{missing}`")));
        }
        question = next;
    }
}

/// Returns the files of an answer: field 1 of its field 4.
fn answered(message: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut files = Vec::new();
    for (number, value) in fields(message)? {
        match number {
            4 => {
                let inner = fields(value)?;
                files.extend(inner.into_iter().filter(|(number, _)| *number == 1).map(|(_, f)| f));
            }
            7 => {
                let inner = fields(value)?;
                let text = inner.iter().find(|(number, _)| *number == 2);
                let text = text.map(|(_, text)| String::from_utf8_lossy(text).into_owned());
                return Err(Failure::Ended(text.unwrap_or_else(|| "it refuses".to_owned())));
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Writes a field of bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes.extend_from_slice(value);
    bytes
}

/// Reads the fields of a message that are bytes; the others are passed over.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, Failure> {
    let wrong = || Failure::Malformed("gRPC: reflection".to_owned());
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(wrong)?;
        match key & 7 {
            0 => drop(varint(&mut bytes).ok_or_else(wrong)?),
            1 => drop(bytes.split_off(..8).ok_or_else(wrong)?),
            2 => {
                let length = varint(&mut bytes).and_then(|length| usize::try_from(length).ok());
                let length = length.ok_or_else(wrong)?;
                found.push((key >> 3, bytes.split_off(..length).ok_or_else(wrong)?));
            }
            5 => drop(bytes.split_off(..4).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
    }
    Ok(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let byte = bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_reflect::DescriptorPool;
    use prost_reflect::prost::Message;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    #[test]
    fn a_field_reads_as_it_was_written() {
        let value = vec![b'x'; 300];
        assert_eq!(fields(&field(4, &value)), Ok(vec![(4, value.as_slice())]));
        let answer = [b"\x08\x01".to_vec(), field(4, &field(1, b"file"))].concat();
        assert_eq!(answered(&answer), Ok(vec![&b"file"[..]]));
        let refusal = field(7, &[b"\x08\x05".to_vec(), field(2, b"no such thing")].concat());
        assert_eq!(answered(&refusal), Err(Failure::Ended("no such thing".to_owned())));
    }

    proptest! {
        #[test]
        fn an_answer_with_wrong_bytes_in_it_breaks_nothing(changes in changes()) {
            let file = protox::file::File::from_source("a.proto", "package a; message M {}").unwrap();
            let answer = field(4, &field(1, file.file_descriptor_proto().encode_to_vec().as_slice()));
            prop_assert_eq!(answered(&answer).map(|files| files.len()), Ok(1));
            if let Ok(files) = answered(&changed(&answer, &changes)) {
                for file in files.into_iter().filter_map(|file| proto::read_file(file).ok()) {
                    drop(proto::add_files(&mut DescriptorPool::new(), vec![file]));
                }
            }
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(answered(&bytes));
        }
    }
}
