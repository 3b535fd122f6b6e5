//! Requests for certificates, described.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::sheet::{Sheet, filled, human, joined, list, map, moment, text};

/// Describes a `CertificateSigningRequest`.
///
/// # Errors
/// When what it holds is no request.
pub fn request(sheet: &mut Sheet, object: &Value) -> Result<(), String> {
    let asked = STANDARD.decode(text(object, "/spec/request")).unwrap_or_default();
    let asked = read(&asked).map_err(|why| format!("Error parsing CSR: {why}"))?;
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.field(0, "Labels", joined(map(object, "/metadata/labels")));
    sheet.field(0, "Annotations", joined(map(object, "/metadata/annotations")));
    sheet.field(0, "CreationTimestamp", moment(text(object, "/metadata/creationTimestamp")));
    sheet.field(0, "Requesting User", text(object, "/spec/username"));
    if let Some(signer) = filled(object, "/spec/signerName") {
        sheet.field(0, "Signer", signer);
    }
    if let Some(seconds) = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64) {
        sheet.field(0, "Requested Duration", human(seconds));
    }
    sheet.field(0, "Status", status(object));
    sheet.put(0, "Subject:\n");
    let last = |wanted| asked.subject(wanted).pop().unwrap_or_default();
    sheet.put(0, format!("\tCommon Name:\t{}\n", last(3)));
    sheet.put(0, format!("\tSerial Number:\t{}\n", last(5)));
    for (title, attribute) in [
        ("Organization", 10),
        ("Organizational Unit", 11),
        ("Country", 6),
        ("Locality", 7),
        ("Province", 8),
        ("StreetAddress", 9),
        ("PostalCode", 17),
    ] {
        several(sheet, title, &asked.subject(attribute));
    }
    if asked.names.iter().any(|(tag, _)| NAMES.iter().any(|(_, known)| known == tag)) {
        sheet.put(0, "Subject Alternative Names:\n");
    }
    for (title, wanted) in NAMES {
        let values = asked.names.iter().filter(|(tag, _)| *tag == wanted);
        several(sheet, title, &values.map(|(_, value)| value.clone()).collect::<Vec<_>>());
    }
    Ok(())
}

/// The kinds of alternative names in kubectl's order.
const NAMES: [(&str, u8); 4] =
    [("DNS Names", 0x82), ("Email Addresses", 0x81), ("URIs", 0x86), ("IP Addresses", 0x87)];

fn several(sheet: &mut Sheet, title: &str, values: &[String]) {
    if !values.is_empty() {
        sheet.put(0, format!("\t{title}:\t{}\n", values.join("\n\t\t")));
    }
}

fn status(object: &Value) -> String {
    let conditions = list(object, "/status/conditions");
    let has = |kind: &str| conditions.iter().any(|condition| text(condition, "/type") == kind);
    let mut status = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if filled(object, "/status/certificate").is_some() {
        status.push_str(",Issued");
    }
    status
}

/// What a request for a certificate asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// The last number of an attribute's id below 2.5.4, and its value.
    subject: Vec<(u8, String)>,
    /// The tag of an alternative name, and the name.
    names: Vec<(u8, String)>,
}

impl Asked {
    fn subject(&self, attribute: u8) -> Vec<String> {
        let all = self.subject.iter().filter(|(of, _)| *of == attribute);
        all.map(|(_, value)| value.clone()).collect()
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// 1.2.840.113549.1.9.14: extensions that are asked for.
const EXTENSIONS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// 2.5.29.17: other names of the subject.
const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads a request in PEM.
fn read(pem: &[u8]) -> Result<Asked, &'static str> {
    const TYPE: &str = "PEM block type must be CERTIFICATE REQUEST";
    const BROKEN: &str = "asn1: structure error";
    let pem = String::from_utf8_lossy(pem);
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE REQUEST-----").ok_or(TYPE)?;
    let (body, _) = rest.split_once("-----END CERTIFICATE REQUEST-----").ok_or(TYPE)?;
    let body: String = body.split_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(|_| TYPE)?;
    asked(&bytes).ok_or(BROKEN)
}

fn asked(bytes: &[u8]) -> Option<Asked> {
    let mut asked = Asked::default();
    let whole = inside(bytes, SEQUENCE)?;
    let info = inside(whole, SEQUENCE)?;
    let (_version, rest) = part(info)?;
    let (subject, rest) = part(rest)?;
    let (_key, mut rest) = part(rest)?;
    for set in parts(subject.of(SEQUENCE)?) {
        for attribute in parts(set?.of(SET)?) {
            let attribute = attribute?.of(SEQUENCE)?;
            let (id, value) = part(attribute)?;
            if let [0x55, 0x04, number] = id.of(OID)? {
                let value = String::from_utf8_lossy(part(value)?.0.content).into_owned();
                asked.subject.push((*number, value));
            }
        }
    }
    while let Some((attributes, further)) = part(rest) {
        rest = further;
        for attribute in parts(attributes.content) {
            let (id, values) = part(attribute?.of(SEQUENCE)?)?;
            if id.of(OID)? == EXTENSIONS {
                for extension in parts(inside(inside(values, SET)?, SEQUENCE)?) {
                    alternatives(extension?.of(SEQUENCE)?, &mut asked.names)?;
                }
            }
        }
    }
    Some(asked)
}

/// The alternative names of an extension, where it is the one that holds them.
fn alternatives(extension: &[u8], names: &mut Vec<(u8, String)>) -> Option<()> {
    let mut fields = parts(extension);
    if fields.next()??.of(OID)? != ALTERNATIVES {
        return Some(());
    }
    let content = fields.last()??.of(OCTETS)?;
    for name in parts(inside(content, SEQUENCE)?) {
        let Part { tag, content } = name?;
        let text = match (tag, content) {
            (0x87, [a, b, c, d]) => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
            (0x87, bytes) => {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical().to_string()
            }
            _ => String::from_utf8_lossy(content).into_owned(),
        };
        names.push((tag, text));
    }
    Some(())
}

/// A tag of DER and what it holds.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    tag: u8,
    content: &'a [u8],
}

impl<'a> Part<'a> {
    fn of(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

fn inside(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    part(bytes)?.0.of(tag)
}

/// The first part, and what is behind it.
fn part(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if length.is_empty() || length.len() > 4 {
            return None;
        }
        (length.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Part { tag, content }, rest))
}

/// All parts; the last is `None` where something else is behind them.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Option<Part<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let found = part(bytes);
        bytes = found.map_or(&[], |(_, rest)| rest);
        Some(found.map(|(part, _)| part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made() -> String {
        let mut params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "me");
        params.distinguished_name.push(DnType::OrganizationName, "ours");
        params.subject_alt_names.push(SanType::IpAddress("10.0.0.1".parse().unwrap()));
        params.subject_alt_names.push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
        let key = KeyPair::generate().unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_request_tells_whom_it_is_for() {
        let asked = read(made().as_bytes()).unwrap();
        assert_eq!(asked.subject(3), ["me"]);
        assert_eq!(asked.subject(10), ["ours"]);
        let names: Vec<&str> = asked.names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a.example.com", "10.0.0.1", "2001:db8::1"]);
        assert!(read(b"nothing").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(asked(&bytes));
        }

        #[test]
        fn a_broken_request_is_read_or_refused(at in 0_usize..300, byte in any::<u8>()) {
            let pem = made();
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let mut bytes = STANDARD.decode(body).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(asked(&bytes));
        }
    }
}
