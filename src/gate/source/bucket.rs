//! A bucket of an S3-compatible store: small objects by their keys, with the sources' signature.

use reqwest::{Method, StatusCode};

use super::ask::{Ask, Body};
use super::exchange::{Exchange, Patience, shown};
use super::{Error, Spec};

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
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let ask = Ask::get(&self.path(key), Vec::new());
        let reply = self.exchange.ask(&ask).await?;
        match reply.code {
            StatusCode::NOT_FOUND if !is_about_the_bucket(&reply.body) => Ok(None),
            code if code.is_success() => Ok(Some(reply.body.to_vec())),
            _ => Err(self.exchange.refusal(&self.exchange.url(&ask), &reply, None, false)),
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn write(&self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let body = Body::Bytes(bytes);
        let ask = Ask { method: Method::PUT, ..Ask::post(&self.path(key), body) };
        let reply = self.exchange.ask(&ask).await?;
        if reply.code.is_success() {
            return Ok(());
        }
        let url = self.exchange.url(&ask);
        tracing::debug!(url = shown(&url), "an object was not written");
        Err(self.exchange.refusal(&url, &reply, None, false))
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}

/// A bucket that is not there is a mistake in the policy, an object that is not there is none.
fn is_about_the_bucket(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("NoSuchBucket")
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
        let standin = Standin::start([
            Act::answer("404 Not Found", "X: y", missing),
            Act::answer("200 OK", "X: y", ""),
            Act::answer("200 OK", "X: y", "{}"),
            Act::answer("404 Not Found", "X: y", no_bucket),
            Act::answer(
                "403 Forbidden",
                "X: y",
                "<Error><Code>SignatureDoesNotMatch</Code></Error>",
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
        bucket.write("1/perf.json", b"{}".to_vec()).await.unwrap();
        assert_eq!(bucket.read("1/perf.json").await.unwrap(), Some(b"{}".to_vec()));
        assert!(bucket.read("x").await.is_err(), "a missing bucket is no missing object");
        let error = bucket.write("x", Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
        let requests = standin.requests();
        assert!(requests[1].starts_with("PUT /dyno/1/perf.json HTTP/1.1"), "{}", requests[1]);
        assert!(requests[1].contains(
            "x-amz-content-sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        ));
        assert!(requests[1].contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date"));
        assert!(!requests.join("").contains("the-secret-key"));
    }
}
