//! A bucket of an S3-compatible store: small objects by their keys, with the sources' signature.

use reqwest::{Method, StatusCode};

use super::ask::{Ask, Body};
use super::exchange::{Exchange, Patience, Reply, shown};
use super::{Error, Spec};

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Which version of it this is.
    pub etag: Option<String>,
}

/// What was there when it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// No object.
    Nothing,
    /// This version.
    Version(String),
    /// The store tells no versions.
    Untold,
}

/// How a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// Nobody else wrote meanwhile.
    Surely,
    /// The store knows no conditions: someone may have.
    Perhaps,
    /// Somebody else did, and this was not written.
    Not,
}

/// A bucket, addressed by path: every compatible server takes that.
pub struct Bucket {
    exchange: Exchange,
    name: String,
}

impl Bucket {
    /// Prepares the connection; sends nothing.
    ///
    /// # Errors
    /// When the policy's word on it cannot be used.
    pub fn new(spec: &Spec, name: &str) -> Result<Self, Error> {
        Ok(Self { exchange: Exchange::new(spec, Patience::LIVE)?, name: name.to_owned() })
    }

    /// Reads an object; `None` where there is none.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn read(&self, key: &str) -> Result<Option<Object>, Error> {
        let ask = Ask::get(&self.path(key), Vec::new());
        let reply = self.exchange.ask(&ask).await?;
        match reply.code {
            StatusCode::NOT_FOUND if is_about_the_object(&reply.body) => Ok(None),
            code if code.is_success() => {
                Ok(Some(Object { bytes: reply.body.to_vec(), etag: reply.etag }))
            }
            _ => Err(self.refusal(key, &reply)),
        }
    }

    /// Writes an object where nobody else wrote it meanwhile.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn write(&self, key: &str, bytes: Vec<u8>, last: &Last) -> Result<Wrote, Error> {
        let condition = match last {
            Last::Nothing => Some(("if-none-match", "*".to_owned())),
            Last::Version(etag) => Some(("if-match", etag.clone())),
            Last::Untold => None,
        };
        let is_conditional = condition.is_some();
        let reply = self.put(key, bytes.clone(), condition).await?;
        match reply.code {
            code if code.is_success() && is_conditional => Ok(Wrote::Surely),
            code if code.is_success() => Ok(Wrote::Perhaps),
            // 409: another write is under way; 404: what was there is not any more.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Wrote::Not),
            StatusCode::NOT_FOUND if is_conditional && is_about_the_object(&reply.body) => {
                Ok(Wrote::Not)
            }
            StatusCode::NOT_IMPLEMENTED if is_conditional => {
                let reply = self.put(key, bytes, None).await?;
                if reply.code.is_success() {
                    return Ok(Wrote::Perhaps);
                }
                Err(self.refusal(key, &reply))
            }
            _ => Err(self.refusal(key, &reply)),
        }
    }

    async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Option<(&'static str, String)>,
    ) -> Result<Reply, Error> {
        let body = Body::Bytes(bytes);
        let ask = Ask { method: Method::PUT, condition, ..Ask::post(&self.path(key), body) };
        self.exchange.ask(&ask).await
    }

    fn refusal(&self, key: &str, reply: &Reply) -> Error {
        let url = self.exchange.url(&Ask::get(&self.path(key), Vec::new()));
        tracing::debug!(url = shown(&url), "an object was not written");
        self.exchange.refusal(&url, reply, said(&reply.body), false)
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}

/// Returns what a store says of its refusal: `SignatureDoesNotMatch: The request signature …`.
fn said(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let within = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    let code = within("Code")?;
    Some(within("Message").map_or_else(|| code.clone(), |message| format!("{code}: {message}")))
}

/// An object that is not there is no mistake; a bucket or a key that is unknown is one, and has the
/// same status with some servers.
fn is_about_the_object(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("<Code>NoSuchKey</Code>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::source::{Auth, Dialect, Signer};
    use crate::job::standin::{Act, Standin};
    use crate::secret::Secret;

    #[tokio::test]
    async fn objects_are_written_signed_read_and_missed() {
        let missing = "<Error><Code>NoSuchKey</Code></Error>";
        let no_bucket = "<Error><Code>NoSuchBucket</Code></Error>";
        let no_user = "<Error><Code>InvalidAccessKeyId</Code></Error>";
        let standin = Standin::start([
            Act::answer("404 Not Found", "X: y", missing),
            Act::answer("200 OK", "X: y", ""),
            Act::answer("200 OK", "ETag: \"one\"", "{}"),
            Act::answer("412 Precondition Failed", "X: y", ""),
            Act::answer("501 Not Implemented", "X: y", ""),
            Act::answer("200 OK", "X: y", ""),
            Act::answer("404 Not Found", "X: y", no_bucket),
            Act::answer("404 Not Found", "X: y", no_user),
            Act::answer(
                "403 Forbidden",
                "X: y",
                "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not.</Message></Error>",
            ),
        ])
        .await;
        let signer = Signer {
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            access_key: "AKID".to_owned(),
            secret_key: Secret::new("the-secret-key".to_owned()),
            session: None,
        };
        let spec = Spec {
            dialect: Dialect::OpenMetrics,
            url: standin.url.clone(),
            auth: Auth::Signed(signer),
            headers: std::collections::BTreeMap::new(),
            ca_file: None,
        };
        let bucket = Bucket::new(&spec, "dyno").unwrap();
        assert_eq!(bucket.read("1/perf.json").await.unwrap(), None);
        let bucket = &bucket;
        let write =
            |last: Last| async move { bucket.write("1/perf.json", b"{}".to_vec(), &last).await };
        assert_eq!(write(Last::Nothing).await.unwrap(), Wrote::Surely);
        let object = bucket.read("1/perf.json").await.unwrap().unwrap();
        assert_eq!(object, Object { bytes: b"{}".to_vec(), etag: Some("\"one\"".to_owned()) });
        let version = Last::Version("\"one\"".to_owned());
        assert_eq!(write(version.clone()).await.unwrap(), Wrote::Not, "somebody was faster");
        assert_eq!(write(version).await.unwrap(), Wrote::Perhaps, "a store without conditions");
        assert!(bucket.read("x").await.is_err(), "a missing bucket is no missing object");
        assert!(bucket.read("x").await.is_err(), "an unknown key is no missing object");
        let error = bucket.write("x", Vec::new(), &Last::Untold).await.unwrap_err();
        assert!(error.to_string().contains(": SignatureDoesNotMatch: It does not."), "{error}");
        let requests = standin.requests();
        assert!(requests[1].starts_with("PUT /dyno/1/perf.json HTTP/1.1"), "{}", requests[1]);
        assert!(requests[1].contains(
            "x-amz-content-sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        ));
        assert!(requests[1].contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date"));
        for (at, condition) in [(1, "if-none-match: *"), (3, "if-match: \"one\"")] {
            assert!(requests[at].contains(condition), "{}", requests[at]);
        }
        assert!(!requests[5].contains("if-match"), "{}", requests[5]);
        assert!(!requests.join("").contains("the-secret-key"));
    }
}
