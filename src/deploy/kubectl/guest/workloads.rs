//! `kubectl create deployment` and `kubectl create job`.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::create::{Common, finish, metadata, name, request, with_shared};
use super::{Context, mistake};
use crate::deploy::kubectl::flags::{self, Kind, flag, short};
use crate::deploy::kubectl::{Named, Parsed, Usage};

/// Reads `kubectl create deployment …`.
pub fn deployment(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create deployment";
    let own = [
        flag("image", Kind::List),
        flag("port", Kind::Number),
        short("replicas", 'r', Kind::Number),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    if !flags.has("image") {
        return Err(mistake("required flag(s) \"image\" not set"));
    }
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let images: Vec<&String> =
        flags.list("image").iter().filter(|image| !image.is_empty()).collect();
    let command = command(&flags);
    if images.len() > 1 && !command.is_empty() {
        return Err(mistake("cannot specify multiple --image options and command"));
    }
    let containers: Vec<Value> = images
        .iter()
        .enumerate()
        .map(|(n, image)| {
            let mut container = container(image, &container_name(image), command);
            let port = flags.number("port", -1);
            if n == 0 && port >= 0 {
                put(&mut container, "ports", json!([{ "containerPort": port }]));
            }
            container
        })
        .collect();
    let labels = json!({ "app": name });
    let mut metadata = metadata(&flags, &name, true);
    put(&mut metadata, "labels", labels.clone());
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": flags.number("replicas", 1),
            "selector": { "matchLabels": labels },
            "strategy": {},
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": containers },
            },
        },
        "status": {},
    });
    finish(context, &flags, common, object)
}

/// Reads `kubectl create job …`.
pub fn job(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create job";
    let own = [flag("image", Kind::Text), flag("from", Kind::Text)];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let command = command(&flags);
    let object = |spec: Value| {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata(&flags, &name, true),
            "spec": spec,
            "status": {},
        })
    };
    match (flags.filled("image"), flags.filled("from")) {
        (Some(image), None) => {
            let containers = [container(&image, &name, command)];
            let pod = json!({ "containers": containers, "restartPolicy": "Never" });
            let spec = json!({ "template": { "metadata": {}, "spec": pod } });
            finish(context, &flags, common, object(spec))
        }
        (None, Some(_)) if !command.is_empty() => Err(mistake("cannot specify --from and command")),
        (None, Some(from)) => {
            let Some((resource, of)) = from.split_once('/') else {
                return Err(mistake("resource(s) were provided, but no name was specified"));
            };
            let cron_job = Named { resource: resource.to_owned(), name: of.to_owned() };
            request(context, &flags, common, (object(json!({})), Some(cron_job)))
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(mistake("either --image or --from must be specified"))
        }
    }
}

/// What stands behind `--`.
pub fn command(flags: &flags::Parsed) -> &[String] {
    flags.args.get(flags.args.len() - flags.n_after_dashes..).unwrap_or_default()
}

fn container(image: &str, name: &str, command: &[String]) -> Value {
    let mut container = json!({ "image": image, "name": name, "resources": {} });
    if !command.is_empty() {
        put(&mut container, "command", json!(command));
    }
    container
}

/// Sets a key of an object.
pub fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

/// The image's own name, as a name in Kubernetes: where that is not the same, letters by chance make
/// it one of its own.
fn container_name(image: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split([':', '@']).next().unwrap_or(name);
    if !name.contains(['_', '.']) {
        return name.to_owned();
    }
    let mut chance = SmallRng::from_os_rng();
    let tail = (0..5).filter_map(|_| LETTERS.get(chance.random_range(0..LETTERS.len())));
    let tail: String = tail.map(|letter| char::from(*letter)).collect();
    format!("{}-{tail}", name.replace(['_', '.'], "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_called_like_its_image() {
        for (image, expected) in [
            ("a", "a"),
            ("reg:5000/x/nginx:1@sha256:aa", "nginx"),
            ("nginx@sha256:aa", "nginx"),
            ("x/b.c_d", "b-c-d-?????"),
        ] {
            let name = container_name(image);
            let fits = name.len() == expected.len()
                && name.chars().zip(expected.chars()).all(|(c, e)| e == '?' || c == e);
            assert!(fits, "{image}: {name}");
        }
    }
}
