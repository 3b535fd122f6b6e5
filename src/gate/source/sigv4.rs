//! AWS Signature Version 4, by hand: one request, its body in memory.

use std::fmt::Write;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Request, Url};
use sha2::{Digest, Sha256};

use super::Error;
use crate::secret::Secret;

/// Who signs, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// `eu-central-1`
    pub region: String,
    /// `monitoring`, `aps`, `s3`
    pub service: String,
    /// The key's public half.
    pub access_key: String,
    /// The key's secret half.
    pub secret_key: Secret,
    /// Of temporary credentials.
    pub session: Option<Secret>,
}

/// Signs a request as it stands: method, URL, `host`, every `x-amz-` header, body.
pub fn sign(signer: &Signer, request: &mut Request, now: Timestamp) -> Result<(), Error> {
    let moment = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    let hash = hex(&Sha256::digest(body));
    // What is sent must be what is signed: AWS knows no `+` for a space.
    let query = canonical_query(request.url());
    request.url_mut().set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    put(request, "x-amz-date", &moment)?;
    if signer.service == "s3" {
        put(request, "x-amz-content-sha256", &hash)?;
    }
    if let Some(session) = &signer.session {
        put(request, "x-amz-security-token", session.reveal())?;
    }
    let value = authorization(signer, request, &moment, &hash);
    let mut value = HeaderValue::from_str(&value).map_err(|_| unfit())?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn unfit() -> Error {
    Error::Spec { what: "access key".to_owned(), why: "it cannot stand in a header".to_owned() }
}

fn put(request: &mut Request, name: &'static str, value: &str) -> Result<(), Error> {
    let value = HeaderValue::from_str(value).map_err(|_| unfit())?;
    request.headers_mut().insert(HeaderName::from_static(name), value);
    Ok(())
}

fn authorization(signer: &Signer, request: &Request, moment: &str, hash: &str) -> String {
    let url = request.url();
    let mut headers = vec![("host".to_owned(), host(url))];
    headers.extend(request.headers().iter().filter_map(|(name, value)| {
        let name = name.as_str();
        name.starts_with("x-amz-")
            .then(|| (name.to_owned(), value.to_str().unwrap_or_default().trim().to_owned()))
    }));
    headers.sort();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        request.method(),
        canonical_path(url.path(), &signer.service),
        url.query().unwrap_or_default()
    );
    for (name, value) in &headers {
        // Writing to a string cannot fail.
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{hash}");
    let day = moment.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", signer.region, signer.service);
    let told = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    let key = ["aws4_request"].iter().fold(
        [day, &signer.region, &signer.service]
            .iter()
            .fold(format!("AWS4{}", signer.secret_key.reveal()).into_bytes(), |key, part| {
                hmac(&key, part.as_bytes()).to_vec()
            }),
        |key, part| hmac(&key, part.as_bytes()).to_vec(),
    );
    let signature = hex(&hmac(&key, told.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        signer.access_key
    )
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Every service but S3 has the path of the URL encoded once more.
fn canonical_path(path: &str, service: &str) -> String {
    if service == "s3" { path.to_owned() } else { encode(path, true) }
}

fn canonical_query(url: &Url) -> String {
    let mut pairs: Vec<String> = url
        .query_pairs()
        .map(|(key, value)| format!("{}={}", encode(&key, false), encode(&value, false)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn encode(text: &str, keeps_slash: bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if is_plain || (keeps_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    let short: &[u8] = if key.len() > block.len() { &Sha256::digest(key) } else { key };
    for (to, from) in block.iter_mut().zip(short) {
        *to = *from;
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own published examples: their key, region, service and moment.
    #[track_caller]
    fn check(url: &str, signature: &str) {
        let signer = Signer {
            region: "us-east-1".to_owned(),
            service: "service".to_owned(),
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session: None,
        };
        let mut request = Request::new(reqwest::Method::GET, url.parse().unwrap());
        sign(&signer, &mut request, "2015-08-30T12:36:00Z".parse().unwrap()).unwrap();
        let header = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(header.ends_with(signature), "{url}: {header}");
        assert!(header.contains("Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"));
    }

    #[test]
    fn requests_are_signed_as_aws_published_it() {
        check(
            "https://example.amazonaws.com/",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        );
        check(
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        );
    }

    #[test]
    fn a_space_is_sent_as_it_is_signed() {
        let url: Url = "https://h/?b=x y&a=1%2B1".parse().unwrap();
        assert_eq!(canonical_query(&url), "a=1%2B1&b=x%20y");
    }
}
