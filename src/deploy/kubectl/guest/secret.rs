//! `kubectl create secret` and `kubectl create configmap`: data from literals and files.

use std::path::Path;

use base64::Engine;
use serde_json::{Map, Value, json};

use super::create::{self, Common};
use super::{Context, go_error, help, mistake};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag};
use crate::deploy::kubectl::{Files, Parsed, Usage};
use crate::deploy::manifest;

const SOURCES: [Flag; 6] = [
    flag("from-file", Kind::List),
    flag("from-literal", Kind::Array),
    flag("from-env-file", Kind::List),
    flag("append-hash", Kind::Bool),
    flag("type", Kind::Text),
    flag("record", Kind::Bool),
];

/// Reads `kubectl create secret …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    let words = flags::words(context.argv);
    let kind = words.iter().skip_while(|arg| **arg != "secret").nth(1);
    match kind.copied() {
        Some("generic") => generic(context),
        Some("docker-registry") => docker_registry(context),
        Some("tls") => tls(context),
        Some(_) => Err(help::unknown(&words, "secret", "kubectl create secret")),
        None => Err(help::bare("create secret")),
    }
}

/// Reads `kubectl create configmap …`.
pub fn config_map(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&create::with_shared(&SOURCES), "kubectl create configmap")?;
    let common = Common::read(&flags);
    let name = create::name(&flags, 1, "kubectl create configmap")?;
    no_hash(&flags)?;
    let entries = entries(&flags, context.files, Target::ConfigMap(&name))?;
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in entries {
        match String::from_utf8(bytes) {
            Ok(text) => data.insert(key, Value::String(text)),
            Err(error) => binary.insert(key, base64(error.as_bytes())),
        };
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": create::metadata(&flags, &name, true),
    });
    put(&mut object, "data", data);
    put(&mut object, "binaryData", binary);
    create::finish(context, &flags, common?, object)
}

fn generic(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&create::with_shared(&SOURCES), "kubectl create secret generic")?;
    let common = Common::read(&flags);
    let name = create::name(&flags, 2, "kubectl create secret generic")?;
    no_hash(&flags)?;
    let entries = entries(&flags, context.files, Target::Secret)?;
    let kind = flags.filled("type");
    let object = secret(&flags, &name, kind.as_deref(), entries);
    create::finish(context, &flags, common?, object)
}

fn docker_registry(context: &Context<'_>) -> Result<Parsed, Usage> {
    const DOCKER: [Flag; 6] = [
        flag("docker-username", Kind::Text),
        flag("docker-password", Kind::Text),
        flag("docker-email", Kind::Text),
        flag("docker-server", Kind::Text),
        flag("from-file", Kind::List),
        flag("append-hash", Kind::Bool),
    ];
    let command = "kubectl create secret docker-registry";
    let flags = context.flags(&create::with_shared(&DOCKER), command)?;
    let common = Common::read(&flags);
    let name = create::name(&flags, 2, command)?;
    no_hash(&flags)?;
    let text = |name: &str| flags.text(name).unwrap_or_default();
    let server = flags.text("docker-server").unwrap_or("https://index.docker.io/v1/");
    let entries = if flags.list("from-file").is_empty() {
        let (username, password) = (text("docker-username"), text("docker-password"));
        if username.is_empty() || password.is_empty() || server.is_empty() {
            return Err(mistake(
                "either --from-file or the combination of --docker-username, --docker-password \
                 and --docker-server is required",
            ));
        }
        vec![(
            DOCKER_KEY.to_owned(),
            docker_config(server, username, password, text("docker-email")),
        )]
    } else {
        let named: Vec<String> = flags
            .list("from-file")
            .iter()
            .map(
                |file| {
                    if file.contains('=') { file.clone() } else { format!("{DOCKER_KEY}={file}") }
                },
            )
            .collect();
        let mut entries = Vec::new();
        for source in &named {
            from_file(source, context.files, Target::Secret, &mut entries)?;
        }
        entries
    };
    let object = secret(&flags, &name, Some("kubernetes.io/dockerconfigjson"), entries);
    create::finish(context, &flags, common?, object)
}

const DOCKER_KEY: &str = ".dockerconfigjson";

/// Keys in Go's order of the struct, not sorted: the bytes are part of the object.
fn docker_config(server: &str, username: &str, password: &str, email: &str) -> Vec<u8> {
    let text = |text: &str| manifest::compact(&Value::String(text.to_owned()));
    let mut fields = vec![
        format!("\"username\":{}", text(username)),
        format!("\"password\":{}", text(password)),
    ];
    if !email.is_empty() {
        fields.push(format!("\"email\":{}", text(email)));
    }
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    fields.push(format!("\"auth\":{}", text(&auth)));
    format!("{{\"auths\":{{{}:{{{}}}}}}}", text(server), fields.join(",")).into_bytes()
}

fn tls(context: &Context<'_>) -> Result<Parsed, Usage> {
    const TLS: [Flag; 3] =
        [flag("cert", Kind::Text), flag("key", Kind::Text), flag("append-hash", Kind::Bool)];
    let flags = context.flags(&create::with_shared(&TLS), "kubectl create secret tls")?;
    let common = Common::read(&flags);
    let name = create::name(&flags, 2, "kubectl create secret tls")?;
    no_hash(&flags)?;
    let (Some(cert), Some(key)) = (flags.filled("cert"), flags.filled("key")) else {
        return Err(mistake("key and cert must be specified"));
    };
    let read = |path: &str| {
        context.files.read(Path::new(path)).map_err(|error| {
            mistake(format!("Cannot read file {path}, open {path}: {}", go_error(&error)))
        })
    };
    let (cert, key) = (read(&cert)?, read(&key)?);
    check_pair(&cert, &key)?;
    let entries = vec![("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)];
    let object = secret(&flags, &name, Some("kubernetes.io/tls"), entries);
    create::finish(context, &flags, common?, object)
}

/// A certificate and a key that do not belong together are found here, not in a broken ingress.
fn check_pair(cert: &[u8], key: &[u8]) -> Result<(), Usage> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certs: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(cert).filter_map(Result::ok).collect();
    if certs.is_empty() {
        return Err(mistake("tls: failed to find any PEM data in certificate input"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| mistake("tls: failed to find any PEM data in key input"))?;
    let provider = rustls::crypto::ring::default_provider();
    let Ok(signing) = provider.key_provider.load_private_key(key) else { return Ok(()) };
    match rustls::sign::CertifiedKey::new(certs, signing).keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(mistake("tls: private key does not match public key"))
        }
        _ => Ok(()),
    }
}

fn no_hash(flags: &flags::Parsed) -> Result<(), Usage> {
    if flags.is("append-hash", false) {
        return Err(mistake("dyno's kubectl does not know --append-hash"));
    }
    Ok(())
}

type Entries = Vec<(String, Vec<u8>)>;

fn secret(flags: &flags::Parsed, name: &str, kind: Option<&str>, entries: Entries) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": create::metadata(flags, name, true),
    });
    let data = entries.into_iter().map(|(key, bytes)| (key, base64(&bytes))).collect();
    put(&mut object, "data", data);
    if let (Some(kind), Value::Object(map)) = (kind, &mut object) {
        map.insert("type".to_owned(), Value::String(kind.to_owned()));
    }
    object
}

/// Go leaves empty maps out.
fn put(object: &mut Value, key: &str, map: Map<String, Value>) {
    if let (false, Value::Object(object)) = (map.is_empty(), object) {
        object.insert(key.to_owned(), Value::Object(map));
    }
}

fn base64(bytes: &[u8]) -> Value {
    Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// What the data is for: the errors are worded differently.
#[derive(Clone, Copy)]
enum Target<'a> {
    ConfigMap(&'a str),
    Secret,
}

fn entries(flags: &flags::Parsed, files: &dyn Files, target: Target<'_>) -> Result<Entries, Usage> {
    let (from_files, literals, env_files) =
        (flags.list("from-file"), flags.list("from-literal"), flags.list("from-env-file"));
    let has_others = !from_files.is_empty() || !literals.is_empty();
    if has_others && !env_files.is_empty() {
        return Err(mistake("from-env-file cannot be combined with from-file or from-literal"));
    }
    let mut entries = Vec::new();
    let literal = |entries: &mut Entries| {
        literals.iter().try_for_each(|source| match source.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                add(key, value.as_bytes().to_vec(), target, entries)
            }
            _ => Err(mistake(format!("invalid literal source {source}, expected key=value"))),
        })
    };
    let from_file_all = |entries: &mut Entries| {
        from_files.iter().try_for_each(|source| from_file(source, files, target, entries))
    };
    match target {
        Target::Secret => {
            literal(&mut entries)?;
            from_file_all(&mut entries)?;
        }
        Target::ConfigMap(_) => {
            from_file_all(&mut entries)?;
            literal(&mut entries)?;
        }
    }
    for path in env_files {
        from_env_file(path, files, target, &mut entries)?;
    }
    Ok(entries)
}

fn from_file(
    source: &str,
    files: &dyn Files,
    target: Target<'_>,
    entries: &mut Entries,
) -> Result<(), Usage> {
    let (key, path) = match source.split_once('=') {
        None => {
            let base = Path::new(source).file_name().and_then(|name| name.to_str());
            (base.unwrap_or(source).to_owned(), source)
        }
        Some(("", path)) => {
            return Err(mistake(format!("key name for file path {path} missing")));
        }
        Some((key, "")) => return Err(mistake(format!("file path for key name {key} missing"))),
        Some((_, path)) if path.contains('=') => {
            return Err(mistake("key names or file paths cannot contain '='"));
        }
        Some((key, path)) => (key.to_owned(), path),
    };
    let folder = files
        .list(Path::new(path))
        .map_err(|error| mistake(format!("error reading {path}: {}", go_error(&error))))?;
    let read = |path: &Path| {
        files
            .read(path)
            .map_err(|error| mistake(format!("open {}: {}", path.display(), go_error(&error))))
    };
    let Some(mut names) = folder else {
        return add(&key, read(Path::new(path))?, target, entries);
    };
    if source.contains('=') {
        return Err(mistake("cannot give a key name for a directory path"));
    }
    names.sort_unstable();
    for name in names {
        let path = Path::new(path).join(&name);
        if matches!(files.list(&path), Ok(None)) {
            add(&name, read(&path)?, target, entries)?;
        }
    }
    Ok(())
}

fn from_env_file(
    path: &str,
    files: &dyn Files,
    target: Target<'_>,
    entries: &mut Entries,
) -> Result<(), Usage> {
    let content = match files.list(Path::new(path)) {
        Ok(Some(_)) => {
            let what = match target {
                Target::ConfigMap(_) => "config",
                Target::Secret => "secret",
            };
            return Err(mistake(format!("env {what} file cannot be a directory")));
        }
        Ok(None) => files.read(Path::new(path)),
        Err(error) => Err(error),
    };
    let content =
        content.map_err(|error| mistake(format!("error reading {path}: {}", go_error(&error))))?;
    for (n, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else {
            let bytes: Vec<String> = line.iter().map(u8::to_string).collect();
            return Err(mistake(format!(
                "env file {path} contains invalid utf8 bytes at line {}: [{}]",
                n + 1,
                bytes.join(" ")
            )));
        };
        let line = if n == 0 { line.trim_start_matches('\u{feff}') } else { line };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or_else(
            || (line, files.variable(line).unwrap_or_default()),
            |(key, value)| (key, value.to_owned()),
        );
        if !super::set_env::is_variable(key) {
            let rule = super::set_env::VARIABLE;
            return Err(mistake(format!("\"{key}\" is not a valid key name: {rule}")));
        }
        add(key, value.into_bytes(), target, entries)?;
    }
    Ok(())
}

fn add(key: &str, value: Vec<u8>, target: Target<'_>, entries: &mut Entries) -> Result<(), Usage> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if key.is_empty() || !key.chars().all(plain) || key.len() > 253 || key == "." || key == ".." {
        let rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
                    (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation \
                    is '[-._a-zA-Z0-9]+')";
        return Err(mistake(match target {
            Target::ConfigMap(_) => {
                format!("\"{key}\" is not a valid key name for a ConfigMap: {rule}")
            }
            Target::Secret => format!("\"{key}\" is not valid key name for a Secret {rule}"),
        }));
    }
    if entries.iter().any(|(known, _)| known == key) {
        return Err(mistake(match target {
            Target::ConfigMap(name) => format!(
                "cannot add key \"{key}\", another key by that name already exists in Data for \
                 ConfigMap \"{name}\""
            ),
            Target::Secret => {
                format!("cannot add key {key}, another key by that name already exists")
            }
        }));
    }
    entries.push((key.to_owned(), value));
    Ok(())
}
