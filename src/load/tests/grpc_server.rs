//! A gRPC server that knows one service, says what it is when asked, and lies on request.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tokio::net::TcpStream;

use super::support::Server;
use crate::load::call::proto::{Protos, unpack};

pub const CART: &str = "syntax = \"proto3\";\npackage shop;\nimport \"shared/money.proto\";\n\
    service Cart { rpc Add(Item) returns (Total); rpc Watch(Item) returns (stream Total); }\n\
    message Item { string name = 1; int32 count = 2; }\n\
    message Total { int32 items = 1; Money price = 2; }\n";
pub const MONEY: &str = "syntax = \"proto3\";\npackage shop;\nmessage Money { int64 cents = 1; }\n";

fn pool() -> DescriptorPool {
    let files = [("cart.proto", CART), ("shared/money.proto", MONEY)];
    let files: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mut protos = Protos::default();
    protos.add("cart.proto", &["shared/money.proto".to_owned()], &files).unwrap();
    unpack(&protos.packed()).unwrap()
}

/// Starts it; `reflection` is the version that it answers to.
pub async fn start(reflection: &'static str) -> Server {
    let pool = pool();
    Server::raw(move |stream: TcpStream| {
        let pool = pool.clone();
        async move {
            let service = service_fn(move |request| serve(request, pool.clone(), reflection));
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn serve(
    request: Request<hyper::body::Incoming>,
    pool: DescriptorPool,
    reflection: &str,
) -> Result<Answer, hyper::Error> {
    let path = request.uri().path().to_owned();
    let has_type = request.headers().get("content-type").is_some_and(|t| t == "application/grpc");
    assert!(has_type && request.headers().get("te").is_some_and(|te| te == "trailers"));
    let body = request.into_body().collect().await?.to_bytes();
    let message = &body[5..];
    if path == format!("/grpc.reflection.{reflection}.ServerReflection/ServerReflectionInfo") {
        return Ok(said(0, framed(&reflect(&pool, message))));
    }
    if path != "/shop.Cart/Add" {
        return Ok(said(12, Vec::new()));
    }
    let service = pool.get_service_by_name("shop.Cart").unwrap();
    let method = service.methods().next().unwrap();
    let item = DynamicMessage::decode(method.input(), message).unwrap();
    let count = item.get_field_by_name("count").unwrap().as_i32().unwrap();
    let name = item.get_field_by_name("name").unwrap().as_str().unwrap().to_owned();
    let mut total = DynamicMessage::new(method.output());
    total.set_field_by_name("items", Value::I32(count));
    let mut money = DynamicMessage::new(pool.get_message_by_name("shop.Money").unwrap());
    money.set_field_by_name("cents", Value::I64(42));
    total.set_field_by_name("price", Value::Message(money));
    let good = framed(&total.encode_to_vec());
    Ok(match name.as_str() {
        _ if count < 0 => said(5, Vec::new()),
        "lie" => said(0, [&[0, 0, 0, 1, 0], &good[5..]].concat()),
        "packed" => said(0, [&[1], &good[1..]].concat()),
        "many" => said(0, good.repeat(2)),
        "bomb" => said(0, vec![0; 9 * 1024 * 1024]),
        "cut" => Response::new(Full::new(Bytes::from(good)).boxed()),
        "html" => Response::builder().status(502).body(Full::new(Bytes::new()).boxed()).unwrap(),
        _ => said(0, good),
    })
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn said(code: u8, body: Vec<u8>) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from(u16::from(code)));
    trailers.insert("grpc-message", http::HeaderValue::from_static("no%20such thing"));
    let body = Full::new(Bytes::from(body)).with_trailers(async { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

/// Answers with the one file that was asked for: what it imports is asked for next.
fn reflect(pool: &DescriptorPool, question: &[u8]) -> Vec<u8> {
    let [key, _, name @ ..] = question else { panic!("a short question") };
    let name = std::str::from_utf8(name).unwrap();
    let file = match key {
        0x22 => pool.get_service_by_name(name).map(|service| service.parent_file()),
        _ => pool.get_file_by_name(name),
    };
    let field = |number: u8, value: &[u8]| {
        let (low, high) = (value.len() & 0x7f, value.len() >> 7);
        let length = [u8::try_from(low).unwrap() | 0x80, u8::try_from(high).unwrap()];
        [&[number << 3 | 2][..], &length, value].concat()
    };
    match file {
        Some(file) => field(4, &field(1, &file.file_descriptor_proto().encode_to_vec())),
        None => field(7, &field(2, format!("{name} is not known").as_bytes())),
    }
}
