//! What the recipes answer, and what is wrong with one.

use super::*;
use crate::policy::plan::PlanFile;

#[test]
fn the_images_of_the_original_pipeline_are_answered() {
    let recipes = Library::built_in().recipes;
    for (image, expected) in [
        ("gcr.io/vmwarecloudadvocacy/locust:latest", Some("locust")),
        ("locustio/locust:2.31.1", Some("locust")),
        ("locustio/locust", Some("locust")),
        ("registry.example.com:5000/perf/locust:1", Some("locust")),
        ("retgits/wavefront-pod-inspector:latest", Some("pod-inspector")),
        ("bitnami/kubectl", Some("kubectl")),
        ("bitnami/kubectl:1.32", Some("kubectl")),
        ("registry.k8s.io/kubectl:v1.36.0", Some("kubectl")),
        ("alpine/k8s:1.32.0", Some("kubectl")),
        ("registry.example.com/tools/kubectl:1", Some("kubectl")),
        ("alpine:3", None),
        ("example.com/locusts:1", None),
        ("", None),
    ] {
        let found = find(recipes.values(), image).map(|recipe| recipe.name.as_str());
        assert_eq!(found, expected, "{image}");
    }
}

fn content<'a>(recipe: &'a Recipe, path: &str) -> &'a str {
    &recipe.files.iter().find(|file| file.path == Path::new(path)).unwrap().content
}

#[test]
fn the_generators_calls_become_a_load() {
    let recipes = Library::built_in().recipes;
    let locust = &recipes["locust"];
    let commands: Vec<&str> = locust.commands.iter().map(|command| command.when.as_str()).collect();
    assert_eq!(
        commands,
        ["python3 /app/traffic_gen.py", "python /app/traffic_gen.py", "/app/traffic_gen.py"]
    );
    assert_eq!(locust.commands[0].run.trim(), "sh /app/traffic_gen.sh");
    assert!(content(locust, "/app/traffic_gen.py").contains("\"/app/traffic_gen.sh\""));
    assert!(content(locust, "/app/traffic_gen.sh").contains(
        "/run/dyno/bin/dyno load /app/acme.yaml --target \"http://$FRONTEND_TARGET\" --users 250 --spawn-rate 25 --duration 1m"
    ));
    let plan =
        yaml::read::<PlanFile>(Path::new("acme.yaml"), content(locust, "/app/acme.yaml")).unwrap();
    assert!(!plan.journeys.is_empty());
}

#[test]
fn without_its_target_the_generator_ends_as_the_original_did() {
    let recipes = Library::built_in().recipes;
    let script = content(&recipes["locust"], "/app/traffic_gen.sh");
    let script = script.replace("/run/dyno/bin/dyno", "echo dyno");
    let bash = |target: Option<&str>| {
        let mut command = std::process::Command::new("bash");
        command.arg("-c").arg(&script).env_remove("FRONTEND_TARGET");
        if let Some(target) = target {
            command.env("FRONTEND_TARGET", target);
        }
        command.output().unwrap()
    };
    let without = bash(None);
    assert_eq!(without.status.code(), Some(1));
    assert!(String::from_utf8(without.stderr).unwrap().starts_with("KeyError: 'FRONTEND_TARGET'"));
    assert!(without.stdout.is_empty());
    let with = bash(Some("shop.local"));
    assert_eq!(with.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(with.stdout).unwrap(),
        "dyno load /app/acme.yaml --target http://shop.local --users 250 --spawn-rate 25 --duration 1m\n"
    );
}

#[test]
fn remaining_arguments_are_handed_on_only_when_asked() {
    let text = "images: [a]\ncommands:\n  - { when: [load  it], run: dyno load, args: pass }\n  - { when: [b], run: dyno gate }\n";
    let recipe = parse("r", Path::new("r.yaml"), text).unwrap();
    assert_eq!(
        recipe.commands,
        [
            Command { when: "load it".to_owned(), run: "dyno load \"$@\"".to_owned() },
            Command { when: "b".to_owned(), run: "dyno gate".to_owned() },
        ]
    );
}

#[test]
fn every_mistake_of_a_recipe_is_told() {
    let text = "images: [\"a[b]\", \"\"]\n\
                files:\n\
                \x20 app/x: { text: a }\n\
                \x20 /etc/passwd: { text: a }\n\
                \x20 /app/../etc: { text: a }\n\
                \x20 /app/p: { plan: acmee }\n\
                \x20 /app/q: { txt: a }\n\
                commands:\n\
                \x20 - { when: [\"a; b\", cd, kubectl], run: x }\n\
                \x20 - { when: [c, c], run: \" \" }\n\
                \x20 - { wen: [c], run: x }\n";
    let told: Vec<String> = parse("r", Path::new("r.yaml"), text)
        .unwrap_err()
        .0
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "r.yaml:1:10: images[0]: `[` is no wildcard here: only `*` and `**` are",
            "r.yaml:1:18: images[1]: an empty pattern matches nothing",
            "r.yaml:3:10: files.app/x: `app/x` is not an absolute path in a folder of its own",
            "r.yaml:4:16: files./etc/passwd: `/etc` belongs to the environment, not to a recipe",
            "r.yaml:5:16: files./app/../etc: `/app/../etc` is not an absolute path in a folder of its own",
            "r.yaml:6:19: files./app/p.plan: unknown plan `acmee`; there is `acme`",
            "r.yaml:7:13: files./app/q: unknown key `txt` (did you mean `text`?)",
            "r.yaml:9:14: commands[0].when[0]: `;` cannot be part of a command here",
            "r.yaml:9:22: commands[0].when[1]: `cd` is a word of the shell's or dyno's own",
            "r.yaml:9:26: commands[0].when[2]: `kubectl` is a word of the shell's or dyno's own",
            "r.yaml:10:17: commands[1].when[1]: `c` is answered twice",
            "r.yaml:10:26: commands[1].run: is empty",
            "r.yaml:11:7: commands[2].wen: unknown key `wen` (did you mean `when`?)",
        ]
    );
}
