//! DNS: a query over UDP, or over TCP where the plan says so or the answer was cut.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::{Name, RecordType};
use rand::Rng;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::load::call::{DNS_CODES, code_name};
use crate::load::failure::Failure;
use crate::load::script::Want;
use crate::load::worker::answer::{Answer, malformed};
use crate::load::worker::dial::refused;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::wire::{Times, failure};

impl User {
    /// Asks for a name; the answer is shown as JSON.
    pub async fn dns(
        &mut self,
        local: &Local,
        (site, want): (usize, &Want),
        (name, kind, is_tcp): (&str, &str, bool),
        (times, sent): (&mut Times, &mut u64),
    ) -> Result<Answer, Failure> {
        let id = self.with_scope(local, |_, rng| Ok(rng.random()));
        let query = query(name, kind, id.unwrap_or_default())?;
        let id = query.metadata.id;
        let bytes = query.to_vec().map_err(|_| Failure::Unsendable(name.to_owned()))?;
        *sent = u64::try_from(bytes.len()).unwrap_or(0);
        let mut answer = Message::query();
        let mut is_over_tcp = is_tcp;
        if !is_tcp {
            answer = self.ask_udp(local, site, (&bytes, &query), times).await?;
            is_over_tcp = answer.metadata.truncation;
        }
        if is_over_tcp {
            let mut stream = self.connect(local, want.timeout, site, times).await?;
            times.written.get_or_insert_with(Instant::now);
            let length = u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
            let framed = [&length[..], &bytes].concat();
            stream.write_all(&framed).await.map_err(|error| failure(&error))?;
            let length = stream.read_u16().await.map_err(|error| failure(&error))?;
            times.first_byte.get_or_insert_with(Instant::now);
            let mut bytes = vec![0; usize::from(length)];
            stream.read_exact(&mut bytes).await.map_err(|error| failure(&error))?;
            times.received += u64::from(length);
            answer = Message::from_vec(&bytes).map_err(|_| malformed("this is no DNS"))?;
            if !is_answer(&answer, id, &query) {
                return Err(malformed("DNS: an answer to another question"));
            }
        }
        times.ended = Some(Instant::now());
        let code = u16::from(answer.metadata.response_code);
        let body =
            if want.wants_body || local.trace.is_some() { told(&answer) } else { Vec::new() };
        let said = code_name(&DNS_CODES, code);
        Ok(Answer { status: code, said, body, ..Answer::default() })
    }

    /// Asks over UDP; answers to other questions are passed over.
    async fn ask_udp(
        &mut self,
        local: &Local,
        site: usize,
        (bytes, query): (&[u8], &Message),
        times: &mut Times,
    ) -> Result<Message, Failure> {
        let address = self.address(local, site)?;
        let socket = match self.udp.take() {
            Some((known, socket)) if known == address => socket,
            _ => {
                let own: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let refused = |error: std::io::Error| refused(address, &error);
                let socket = UdpSocket::bind(own).await.map_err(refused)?;
                socket.connect(address).await.map_err(refused)?;
                socket
            }
        };
        times.written = Some(Instant::now());
        socket.send(bytes).await.map_err(|error| refused(address, &error))?;
        let mut place = vec![0; 4096];
        let mut n_strange = 0;
        loop {
            let n = socket.recv(&mut place).await.map_err(|error| refused(address, &error))?;
            times.received += u64::try_from(n).unwrap_or(0);
            // What is no DNS may be anybody's; what is, but wrong, is the server's.
            let answer = Message::from_vec(&place[..n]).ok();
            if let Some(answer) = answer.filter(|a| is_answer(a, query.metadata.id, query)) {
                times.first_byte = Some(Instant::now());
                self.udp = Some((address, socket));
                return Ok(answer);
            }
            n_strange += 1;
            if n_strange > 100 {
                return Err(malformed("DNS: answers to other questions, or none at all"));
            }
        }
    }
}

fn query(name: &str, kind: &str, id: u16) -> Result<Message, Failure> {
    let unsendable = || Failure::Unsendable(name.to_owned());
    let mut name = Name::from_utf8(name).map_err(|_| unsendable())?;
    name.set_fqdn(true);
    let kind: RecordType = kind.parse().map_err(|_| Failure::Unsendable(kind.to_owned()))?;
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    Ok(message)
}

/// True for the answer to this very question.
fn is_answer(answer: &Message, id: u16, query: &Message) -> bool {
    let is_same = match (answer.queries.as_slice(), query.queries.as_slice()) {
        ([theirs], [ours]) => {
            theirs.name() == ours.name() && theirs.query_type() == ours.query_type()
        }
        // A server that did not understand need not repeat the question.
        ([], _) => u16::from(answer.metadata.response_code) != 0,
        _ => false,
    };
    answer.metadata.id == id && answer.metadata.message_type == MessageType::Response && is_same
}

/// The answer as checks and variables see it.
fn told(answer: &Message) -> Vec<u8> {
    let records = |records: &[hickory_proto::rr::Record]| {
        let record = |record: &hickory_proto::rr::Record| {
            json!({
                "name": record.name.to_string(),
                "type": record.record_type().to_string(),
                "ttl": record.ttl,
                "data": record.data.to_string(),
            })
        };
        records.iter().map(record).collect::<Vec<_>>()
    };
    let code = u16::from(answer.metadata.response_code);
    let value = json!({
        "rcode": code_name(&DNS_CODES, code),
        "authoritative": answer.metadata.authoritative,
        "answers": records(&answer.answers),
        "authorities": records(&answer.authorities),
    });
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, MX, TXT};
    use hickory_proto::rr::{RData, Record};
    use proptest::prelude::*;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    proptest! {
        #[test]
        fn an_answer_with_wrong_bytes_in_it_is_one_to_this_question_or_none(
            id in any::<u16>(),
            changes in changes(),
        ) {
            let asked = query("www.shop.example", "MX", id).unwrap();
            let name = asked.queries[0].name().clone();
            let mut answer = Message::response(id, asked.metadata.op_code);
            answer.add_query(asked.queries[0].clone());
            for data in [
                RData::A(A::new(10, 0, 0, 7)),
                RData::TXT(TXT::new(vec!["hello".to_owned()])),
                RData::MX(MX::new(5, name.clone())),
            ] {
                answer.add_answer(Record::from_rdata(name.clone(), 60, data));
            }
            prop_assert!(is_answer(&answer, id, &asked));
            let bytes = answer.to_vec().unwrap();
            if let Ok(read) = Message::from_vec(&changed(&bytes, &changes)) {
                if is_answer(&read, id, &asked) {
                    prop_assert_eq!(read.metadata.id, id);
                }
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&told(&read)).is_ok());
            }
        }
    }
}
