//! Git over HTTP, for reading: 401 first, then Basic `gitlab-ci-token`, as git expects it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;

use super::GitLab;
use crate::standins::server::{Request, Response};

impl GitLab {
    pub(super) fn git(&self, request: &Request) -> Response {
        let Some((project, service)) = request.path.trim_start_matches('/').split_once(".git/")
        else {
            return Response::text(404, "no such page");
        };
        if !self.may_read(request) {
            return Response::text(401, "HTTP Basic: Access denied")
                .header("www-authenticate", "Basic realm=\"GitLab\"");
        }
        let Some(folder) = self.state().repositories.get(project).cloned() else {
            return Response::text(404, "no such project");
        };
        let protocol = request.header("git-protocol").unwrap_or_default().to_owned();
        let body = match request.header("content-encoding") {
            Some("gzip") => inflated(&request.body),
            Some(_) | None => request.body.to_vec(),
        };
        match (request.method.as_str(), service, request.parameter("service")) {
            ("GET", "info/refs", Some("git-upload-pack")) => {
                let refs = upload_pack(&folder, &protocol, &["--http-backend-info-refs"], &[]);
                let mut answer = b"001e# service=git-upload-pack\n0000".to_vec();
                answer.extend(refs);
                Response::new(200, "application/x-git-upload-pack-advertisement", answer)
            }
            ("POST", "git-upload-pack", _) => {
                let pack = upload_pack(&folder, &protocol, &[], &body);
                Response::new(200, "application/x-git-upload-pack-result", pack)
            }
            _ => Response::text(403, "only reading is served here"),
        }
    }

    fn may_read(&self, request: &Request) -> bool {
        let credentials = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let token = credentials.strip_prefix("gitlab-ci-token:");
        token.is_some_and(|token| self.state().seats.iter().any(|seat| seat.token == token))
    }
}

fn upload_pack(folder: &Path, protocol: &str, options: &[&str], input: &[u8]) -> Vec<u8> {
    let child = Command::new("git")
        .args(["-c", "uploadpack.allowAnySHA1InWant=true", "upload-pack", "--stateless-rpc"])
        .args(options)
        .arg(folder)
        .env("GIT_PROTOCOL", protocol)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return Vec::new() };
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(input));
    }
    child.wait_with_output().map(|output| output.stdout).unwrap_or_default()
}

fn inflated(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body);
    drop(std::io::Read::read_to_end(&mut decoder, &mut text));
    text
}
