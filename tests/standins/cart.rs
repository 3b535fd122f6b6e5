//! A gRPC server with one service, which may say what it is: the answers to reflection are those of
//! tonic's own server, so that the load generator is shown beside what services really run.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;
use tokio::net::TcpStream;
use tonic_reflection::server::Builder;
use tower::ServiceExt;

/// What the file for gRPC's clients says of it.
pub const CART: &str = "syntax = \"proto3\";\npackage shop;\n\
    service Cart { rpc Add(Item) returns (Total); }\n\
    message Item { string name = 1; int32 count = 2; }\nmessage Total { int32 items = 1; }\n";

/// What a server says of its own services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reflection {
    /// Nothing.
    None,
    /// By `grpc.reflection.v1alpha`, as older servers do.
    V1Alpha,
    /// By `grpc.reflection.v1`.
    V1,
}

/// Serves one connection: `shop.Cart/Add` gives the count that it got; a name `nothing` is not found.
pub async fn serve(stream: TcpStream, reflection: Reflection) {
    let service = service_fn(move |request| answer(request, reflection));
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

type Called = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

async fn answer(request: Request<Incoming>, reflection: Reflection) -> Result<Called, Infallible> {
    if request.uri().path().starts_with("/grpc.reflection.") {
        return Ok(reflected(request, reflection).await);
    }
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(added(&path, &body))
}

async fn reflected(request: Request<Incoming>, reflection: Reflection) -> Called {
    let file = protox::file::File::from_source("cart.proto", CART).unwrap();
    let files = FileDescriptorSet { file: vec![file.file_descriptor_proto().clone()] };
    let files = files.encode_to_vec();
    let builder = Builder::configure().register_encoded_file_descriptor_set(&files);
    let version = request.uri().path().split('.').nth(2).map(str::to_owned);
    let answer = match (reflection, version.as_deref()) {
        (Reflection::V1, Some("v1")) => builder
            .build_v1()
            .unwrap()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {}),
        (Reflection::V1Alpha, Some("v1alpha")) => builder
            .build_v1alpha()
            .unwrap()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {}),
        _ => return said("12", Vec::new()),
    };
    answer.map(|body| body.map_err(std::io::Error::other).boxed_unsync())
}

/// The message is small enough to be looked at by hand: the name (1), then the count (2).
fn added(path: &str, body: &[u8]) -> Called {
    let is_known = path == "/shop.Cart/Add" && !body.windows(7).any(|part| part == b"nothing");
    let count = match body {
        [.., 0x10, count] => *count,
        _ => 0,
    };
    if is_known { said("0", vec![0, 0, 0, 0, 2, 8, count]) } else { said("5", Vec::new()) }
}

fn said(code: &'static str, body: Vec<u8>) -> Called {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(code));
    trailers.insert("grpc-message", http::HeaderValue::from_static("no such thing"));
    let body = Full::new(Bytes::from(body)).with_trailers(async { Some(Ok(trailers)) });
    let body = body.map_err(|never| match never {}).boxed_unsync();
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}
