//! A request's body.

use std::borrow::Cow;
use std::sync::Arc;

use rand::rngs::SmallRng;

use crate::load::body::Payload;
use crate::load::script::{CompiledBody, CompiledPart};
use crate::load::template::{Escape, Missing, Scope};

/// A body's kind, and the part of it that is sent from where it lies.
pub type Written = (Option<Cow<'static, str>>, Option<Arc<[Payload]>>);

/// Writes a body, or returns what is sent as it lies.
pub fn write(
    body: &CompiledBody,
    scope: Scope<'_>,
    rng: &mut SmallRng,
    to: &mut String,
) -> Result<Written, Missing> {
    let kind = match body {
        CompiledBody::None => return Ok((None, None)),
        CompiledBody::Upload(bytes, kind) => {
            return Ok((Some(Cow::Owned(kind.clone())), Some(Arc::clone(bytes))));
        }
        CompiledBody::Multipart(boundary, parts) => {
            let kind = format!("multipart/form-data; boundary={boundary}");
            return Ok((Some(Cow::Owned(kind)), Some(multipart(boundary, parts, scope, rng)?)));
        }
        CompiledBody::Json(tree) => {
            tree.write_json(scope, rng, to)?;
            "application/json"
        }
        CompiledBody::Form(fields) => {
            for (n, (name, value)) in fields.iter().enumerate() {
                if n > 0 {
                    to.push('&');
                }
                to.extend([name, "="]);
                value.render(scope, rng, Escape::Form, to)?;
            }
            "application/x-www-form-urlencoded"
        }
        CompiledBody::Text(template) => {
            template.render(scope, rng, Escape::None, to)?;
            "text/plain; charset=utf-8"
        }
    };
    Ok((Some(Cow::Borrowed(kind)), None))
}

fn multipart(
    boundary: &str,
    parts: &[(String, CompiledPart)],
    scope: Scope<'_>,
    rng: &mut SmallRng,
) -> Result<Arc<[Payload]>, Missing> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    for (head, part) in parts {
        text.extend(["--", boundary, "\r\n", head]);
        match part {
            CompiledPart::Text(value) => value.render(scope, rng, Escape::None, &mut text)?,
            CompiledPart::Bytes(bytes) => {
                pieces.push(Payload::once(std::mem::take(&mut text).into_bytes()));
                pieces.push(bytes.clone());
            }
        }
        text.push_str("\r\n");
    }
    text.extend(["--", boundary, "--\r\n"]);
    pieces.push(Payload::once(text.into_bytes()));
    Ok(pieces.into())
}
