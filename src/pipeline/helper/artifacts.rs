//! `artifacts-uploader` and `artifacts-downloader`.

use std::io::{Seek, SeekFrom};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};

use crate::job::http;
use crate::pipeline::helper::{Access, Failure, Log, Selection, files, pack, unpack};

const ATTEMPTS: u32 = 3;
/// A GitLab that is being maintained is given more time.
const ATTEMPTS_UNAVAILABLE: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// What is uploaded as what.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// Which files.
    pub selection: Selection,
    /// Name without the ending; empty for the default.
    pub name: String,
    /// `--expire-in`.
    pub expire_in: Option<String>,
    /// `zip`, `gzip`, `raw`.
    pub format: String,
    /// `archive`, `dotenv` …
    pub kind: String,
}

/// Packs and sends; no file at all is told and is no failure.
pub async fn upload(access: &Access, upload: &Upload, log: &mut Log<'_>) -> Result<(), Failure> {
    log.platform();
    let paths = files::select(&upload.selection, log);
    if paths.is_empty() {
        log.error("No files to upload");
        return Ok(());
    }
    let fatal = |error: std::io::Error| Failure::Fatal(error.to_string());
    let mut file = tempfile::tempfile().map_err(fatal)?;
    let folder = &upload.selection.folder;
    let name = if upload.name.is_empty() { "artifacts" } else { upload.name.as_str() };
    let (packed, name) = match upload.format.as_str() {
        "" | "zip" => (pack::zip(folder, &paths, &mut file).map(drop), format!("{name}.zip")),
        "gzip" => (pack::gzip(folder, &paths, &mut file).map(drop), format!("{name}.gz")),
        "raw" => (pack::raw(folder, &paths, &mut file).map(drop), name.to_owned()),
        other => return Err(Failure::Fatal(format!("unsupported archive format: {other}"))),
    };
    packed.map_err(fatal)?;
    let client = client(access)?;
    let mut attempt = 1;
    loop {
        file.seek(SeekFrom::Start(0)).map_err(fatal)?;
        let sent = send(&client, access, upload, &name, file.try_clone().map_err(fatal)?).await;
        let attempts = match judge(access, upload, sent, log)? {
            Sent::Done => return Ok(()),
            Sent::Again { attempts } => attempts,
        };
        if attempt >= attempts {
            return Err(Failure::Fatal(
                "upload failed with no response from coordinator".to_owned(),
            ));
        }
        attempt += 1;
        let fields = [
            ("context", "artifacts-uploader".to_owned()),
            ("error", "upload failed with no response from coordinator".to_owned()),
        ];
        log.warn("Retrying...", &fields);
        tokio::time::sleep(PAUSE).await;
    }
}

enum Sent {
    Done,
    Again { attempts: u32 },
}

fn client(access: &Access) -> Result<reqwest::Client, Failure> {
    http::client(&access.url, None).map_err(|error| Failure::Fatal(error.to_string()))
}

fn endpoint(access: &Access) -> String {
    format!("{}/api/v4/jobs/{}/artifacts", access.url.trim_end_matches('/'), access.id)
}

async fn send(
    client: &reqwest::Client,
    access: &Access,
    upload: &Upload,
    name: &str,
    file: std::fs::File,
) -> Result<(StatusCode, String), reqwest::Error> {
    let stream = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(file));
    let part = Part::stream(reqwest::Body::wrap_stream(stream)).file_name(name.to_owned());
    let mut query =
        vec![("artifact_format", upload.format.as_str()), ("artifact_type", &upload.kind)];
    if let Some(expire_in) = &upload.expire_in {
        query.push(("expire_in", expire_in));
    }
    let answer = client
        .post(endpoint(access))
        .query(&query)
        .header("JOB-TOKEN", &access.token)
        .multipart(Form::new().part("file", part))
        .send()
        .await?;
    Ok((answer.status(), answer.text().await.unwrap_or_default()))
}

/// Tells how it went, and whether to try again.
fn judge(
    access: &Access,
    upload: &Upload,
    sent: Result<(StatusCode, String), reqwest::Error>,
    log: &mut Log<'_>,
) -> Result<Sent, Failure> {
    let what = format!("Uploading artifacts as \"{}\" to coordinator...", upload.kind);
    let id = ("id", access.id.to_string());
    let (status, body) = match sent {
        Ok(answer) => answer,
        Err(error) => {
            let fields = [("error", chain(&error)), id];
            log.warn(&format!("{what} error"), &fields);
            return Ok(Sent::Again { attempts: ATTEMPTS });
        }
    };
    if status == StatusCode::CREATED {
        log.info(&format!("{what} {status}"), &[("http_status_code", "201".to_owned()), id]);
        return Ok(Sent::Done);
    }
    let told = message(&body);
    let told = if told.is_empty() { String::new() } else { format!(" ({told})") };
    let fields = [("http_status_code", status.as_u16().to_string()), id];
    log.warn(&format!("{what} POST {}: {status}{told}", endpoint(access)), &fields);
    match status {
        StatusCode::FORBIDDEN => Err(Failure::Fatal("permission denied".to_owned())),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Failure::Fatal("too large".to_owned())),
        StatusCode::SERVICE_UNAVAILABLE => Ok(Sent::Again { attempts: ATTEMPTS_UNAVAILABLE }),
        _ => Ok(Sent::Again { attempts: ATTEMPTS }),
    }
}

/// GitLab's `message`, if the answer is JSON.
fn message(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    json.get("message").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.extend([": ", &cause.to_string()]);
        source = cause.source();
    }
    text
}

/// Downloads an archive and unpacks it into the folder.
pub async fn download(
    access: &Access,
    folder: &std::path::Path,
    log: &mut Log<'_>,
) -> Result<(), Failure> {
    log.platform();
    let client = client(access)?;
    let mut attempt = 1;
    let body = loop {
        match fetch(&client, access, log).await? {
            Some(body) => break body,
            None if attempt >= ATTEMPTS => {
                return Err(Failure::Fatal("invalid argument".to_owned()));
            }
            None => {
                attempt += 1;
                log.warn("Retrying...", &[("context", "artifacts-downloader".to_owned())]);
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let unpacked = unpack::unzip(std::io::Cursor::new(body), folder)
        .map_err(|error| Failure::Fatal(format!("extracting artifacts: {error}")))?;
    for name in unpacked.0 {
        log.warn(&format!("{name}: leaves the project directory, not extracted"), &[]);
    }
    Ok(())
}

/// One try; `None` for what may pass.
async fn fetch(
    client: &reqwest::Client,
    access: &Access,
    log: &mut Log<'_>,
) -> Result<Option<bytes::Bytes>, Failure> {
    let what = "Downloading artifacts from coordinator...";
    let request = client
        .get(endpoint(access))
        .query(&[("direct_download", "true")])
        .header("JOB-TOKEN", &access.token);
    let answer = match request.send().await {
        // The store behind a redirect is not GitLab: it does not get the token.
        Ok(answer) if answer.status().is_redirection() => {
            let to = answer.headers().get("Location").and_then(|to| to.to_str().ok());
            client.get(to.unwrap_or_default()).send().await
        }
        other => other,
    };
    let id = ("id", access.id.to_string());
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            log.warn(&format!("{what} error"), &[("error", chain(&error)), id]);
            return Ok(None);
        }
    };
    let status = answer.status();
    let fields = [("http_status_code", status.as_u16().to_string()), id];
    match status {
        StatusCode::OK => match answer.bytes().await {
            Ok(body) => {
                log.info(&format!("{what} ok"), &fields);
                Ok(Some(body))
            }
            Err(error) => {
                log.warn(&format!("{what} error"), &[("error", chain(&error))]);
                Ok(None)
            }
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            log.error(&format!("{what} {}", status.canonical_reason().unwrap_or_default()));
            Err(Failure::Fatal("permission denied".to_owned()))
        }
        StatusCode::NOT_FOUND => {
            log.error(&format!("{what} not found"));
            Err(Failure::Fatal("not found".to_owned()))
        }
        _ => {
            log.warn(&format!("{what} failed"), &fields);
            Ok(None)
        }
    }
}
