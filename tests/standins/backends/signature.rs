//! AWS Signature Version 4 from the server's side, after AWS's description of how a request is
//! verified: the signature is computed anew from what arrived.

use sha2::{Digest, Sha256};

use crate::standins::server::Request;

/// The one key that a service knows.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Its public half.
    pub access_key: String,
    /// Its secret half.
    pub secret_key: String,
    /// `eu-central-1`
    pub region: String,
    /// `monitoring`
    pub service: String,
    /// Of temporary credentials.
    pub session: Option<String>,
}

/// A refusal: its type, and its text.
pub type Refusal = (&'static str, String);

impl Signer {
    /// Verifies a request as it arrived.
    ///
    /// # Errors
    /// With the refusal.
    pub fn verify(&self, request: &Request) -> Result<(), Refusal> {
        let header = request.header("authorization").ok_or_else(|| {
            ("MissingAuthenticationTokenException", "Missing Authentication Token".to_owned())
        })?;
        let incomplete = |what: &str| {
            ("IncompleteSignatureException", format!("Authorization header requires '{what}'"))
        };
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| incomplete("AWS4"))?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(name))
        };
        let (credential, signed) = (field("Credential")?, field("SignedHeaders")?);
        let signature = field("Signature")?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [key, day, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete("Credential"));
        };
        if *key != self.access_key
            || request.header("x-amz-security-token") != self.session.as_deref()
        {
            let why = "The security token included in the request is invalid.";
            return Err(("UnrecognizedClientException", why.to_owned()));
        }
        if *region != self.region {
            let why = "Credential should be scoped to a valid region.";
            return Err(("InvalidSignatureException", why.to_owned()));
        }
        if *service != self.service {
            let why =
                format!("Credential should be scoped to correct service: '{}'.", self.service);
            return Err(("InvalidSignatureException", why));
        }
        let moment = request.header("x-amz-date").ok_or_else(|| incomplete("X-Amz-Date"))?;
        timely(moment, day)?;
        covered(request, signed)?;
        let told = format!(
            "AWS4-HMAC-SHA256\n{moment}\n{}\n{}",
            scope[1..].join("/"),
            hex(&Sha256::digest(canonical(request, signed)))
        );
        let key =
            scope[1..].iter().fold(format!("AWS4{}", self.secret_key).into_bytes(), |key, part| {
                hmac(&key, part.as_bytes())
            });
        if hex(&hmac(&key, told.as_bytes())) == signature {
            return Ok(());
        }
        let why = "The request signature we calculated does not match the signature you provided. \
                   Check your AWS Secret Access Key and signing method.";
        Err(("InvalidSignatureException", why.to_owned()))
    }
}

/// A signature holds for five minutes around its moment, and its day is the moment's.
fn timely(moment: &str, day: &str) -> Result<(), Refusal> {
    let wrong = |why: String| ("InvalidSignatureException", why);
    let read = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", moment)
        .ok()
        .and_then(|at| jiff::tz::TimeZone::UTC.to_timestamp(at).ok())
        .ok_or_else(|| {
            wrong(format!("Date must be in ISO-8601 'basic format'. Got '{moment}'."))
        })?;
    if !moment.starts_with(day) {
        return Err(wrong(format!("Date in Credential scope does not match {day}")));
    }
    let apart = (jiff::Timestamp::now().as_second() - read.as_second()).abs();
    if apart > 300 {
        return Err(wrong(format!("Signature expired: {moment} is {apart} s away from now")));
    }
    Ok(())
}

/// The host and every header of AWS's own must be part of what is signed.
fn covered(request: &Request, signed: &str) -> Result<(), Refusal> {
    let names: Vec<&str> = signed.split(';').collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let own = request.headers.keys().map(http::HeaderName::as_str);
    let mut own = own.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    let missing = own.find(|name| !names.contains(name));
    if let Some(name) = missing {
        let why = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
        return Err(("InvalidSignatureException", why));
    }
    if names != sorted {
        let why = "SignedHeaders are not in order".to_owned();
        return Err(("IncompleteSignatureException", why));
    }
    Ok(())
}

fn canonical(request: &Request, signed: &str) -> String {
    let mut query: Vec<String> = request
        .query
        .iter()
        .map(|(key, value)| format!("{}={}", encoded(key, false), encoded(value, false)))
        .collect();
    query.sort();
    let header = |name: &str| {
        let value = request.header(name).unwrap_or_default();
        let words: Vec<&str> = value.split_whitespace().collect();
        format!("{name}:{}\n", words.join(" "))
    };
    let headers = signed.split(';').map(header).collect::<Vec<_>>().concat();
    format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{}",
        request.method,
        encoded(&request.raw_path, true),
        query.join("&"),
        hex(&Sha256::digest(&request.body))
    )
}

fn encoded(text: &str, is_path: bool) -> String {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && byte == b'/')
    };
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let padded = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}
