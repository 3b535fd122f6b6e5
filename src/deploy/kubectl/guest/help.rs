//! What a command is for, and what it takes: dyno's own words.

use super::{Usage, misuse};
use crate::deploy::kubectl::flags::{Flag, Kind};

/// A command's words, what it does, and what stands behind its words.
type Command = (&'static str, &'static str, &'static str);

const OBJECTS: &str = "(TYPE [NAME…] | TYPE/NAME… | -f FILE)";

/// All that is known, in the order in which it is told.
const COMMANDS: &[Command] = &[
    ("apply", "Make objects as manifests say, or change them to it", "(-f FILE | -k FOLDER)"),
    ("create", "Make objects of manifests, or one of a few kinds from flags", "(-f FILE | KIND …)"),
    ("create clusterrole", "Make a cluster role", "NAME --verb=VERB --resource=TYPE"),
    ("create clusterrolebinding", "Bind a cluster role", "NAME --clusterrole=ROLE --user=USER"),
    ("create configmap", "Make a config map of files and literals", "NAME --from-file=PATH"),
    ("create cronjob", "Make a cron job", "NAME --image=IMAGE --schedule=TIMES [-- COMMAND…]"),
    ("create deployment", "Make a deployment", "NAME --image=IMAGE [-- COMMAND…]"),
    ("create ingress", "Make an ingress", "NAME --rule=HOST/PATH=SERVICE:PORT"),
    ("create job", "Make a job", "NAME (--image=IMAGE [-- COMMAND…] | --from=cronjob/NAME)"),
    ("create namespace", "Make a namespace", "NAME"),
    ("create poddisruptionbudget", "Make a disruption budget", "NAME --selector=LABELS"),
    ("create priorityclass", "Make a priority class", "NAME --value=NUMBER"),
    ("create quota", "Make a resource quota", "NAME --hard=RESOURCE=AMOUNT,…"),
    ("create role", "Make a role", "NAME --verb=VERB --resource=TYPE"),
    ("create rolebinding", "Bind a role", "NAME (--role=ROLE | --clusterrole=ROLE) --user=USER"),
    ("create secret", "Make a secret", "KIND NAME"),
    (
        "create secret docker-registry",
        "Make a registry's credentials",
        "NAME --docker-username=USER",
    ),
    ("create secret generic", "Make a secret of files and literals", "NAME --from-file=PATH"),
    ("create secret tls", "Make a secret of a certificate", "NAME --cert=FILE --key=FILE"),
    ("create service", "Make a service", "KIND NAME"),
    (
        "create service clusterip",
        "Make a service with an address in the cluster",
        "NAME --tcp=PORT",
    ),
    (
        "create service externalname",
        "Make a service that is another name",
        "NAME --external-name=HOST",
    ),
    ("create service loadbalancer", "Make a service with an outer address", "NAME --tcp=PORT"),
    ("create service nodeport", "Make a service on a port of all nodes", "NAME --tcp=PORT"),
    ("create serviceaccount", "Make a service account", "NAME"),
    ("create token", "Get a token of a service account", "NAME"),
    ("replace", "Put objects of manifests in the place of those that are there", "-f FILE"),
    ("patch", "Change fields of objects", "(TYPE NAME | -f FILE) -p PATCH"),
    ("delete", "Delete objects", OBJECTS),
    ("diff", "Tell what apply would change", "(-f FILE | -k FOLDER)"),
    ("get", "Show objects", OBJECTS),
    ("describe", "Tell all about objects", OBJECTS),
    ("explain", "Tell what a kind's fields are", "TYPE[.FIELD…]"),
    ("label", "Change labels", "(TYPE NAME | -f FILE) KEY=VALUE… KEY-…"),
    ("annotate", "Change annotations", "(TYPE NAME | -f FILE) KEY=VALUE… KEY-…"),
    ("rollout", "Watch, repeat and take back what a workload rolls out", "COMMAND"),
    ("rollout history", "Show a workload's revisions", OBJECTS),
    ("rollout pause", "Let a deployment wait with what is changed", OBJECTS),
    ("rollout restart", "Replace a workload's pods", OBJECTS),
    ("rollout resume", "Let a paused deployment go on", OBJECTS),
    ("rollout status", "Wait until a rollout is done", OBJECTS),
    ("rollout undo", "Go back to an earlier revision", OBJECTS),
    ("set", "Change what a workload's containers are made of", "COMMAND"),
    ("set env", "Change variables of containers", "(TYPE NAME | -f FILE) NAME=VALUE… NAME-…"),
    ("set image", "Change images of containers", "(TYPE NAME | -f FILE) CONTAINER=IMAGE…"),
    ("scale", "Change how many pods a workload has", "(TYPE NAME | -f FILE) --replicas=NUMBER"),
    ("wait", "Wait until objects are as they should be", "(TYPE NAME | -f FILE) --for=WHAT"),
    ("logs", "Show what containers say", "(POD | TYPE/NAME | -l LABELS) [-c CONTAINER]"),
    ("exec", "Run a command in a container", "(POD | TYPE/NAME) [-c CONTAINER] -- COMMAND…"),
    ("cp", "Copy files into a container or out of one", "(FILE POD:PATH | POD:PATH FILE)"),
    ("port-forward", "Lead connections here into a pod", "(POD | TYPE/NAME) [HERE:]THERE…"),
    ("top", "Show what is used", "COMMAND"),
    ("top node", "Show what nodes use", "[NAME | -l LABELS]"),
    ("top pod", "Show what pods use", "[NAME | -l LABELS]"),
    ("auth", "Ask for rights", "COMMAND"),
    ("auth can-i", "Tell whether one may do something", "(VERB TYPE[/NAME] | --list)"),
    ("auth whoami", "Tell who one is", ""),
    ("api-resources", "Show the kinds that the server has", ""),
    ("api-versions", "Show the versions that the server has", ""),
    ("version", "Show the version here and there", ""),
    ("cluster-info", "Show where the cluster is", ""),
    ("config", "Read and change kubeconfig files", "COMMAND"),
    ("config current-context", "Show which context is used", ""),
    ("config delete-cluster", "Delete a cluster", "NAME"),
    ("config delete-context", "Delete a context", "NAME"),
    ("config delete-user", "Delete a user", "NAME"),
    ("config get-clusters", "Show the clusters", ""),
    ("config get-contexts", "Show contexts", "[NAME…]"),
    ("config get-users", "Show the users", ""),
    ("config rename-context", "Give a context another name", "OLD NEW"),
    ("config set", "Set a value", "PROPERTY VALUE"),
    ("config set-cluster", "Make or change a cluster", "NAME --server=URL"),
    ("config set-context", "Make or change a context", "(NAME | --current)"),
    ("config set-credentials", "Make or change a user", "NAME --token=TOKEN"),
    ("config unset", "Remove a value", "PROPERTY"),
    ("config use-context", "Choose the context that is used", "NAME"),
    ("config view", "Show the kubeconfig, secrets left out", ""),
    ("kustomize", "Build a kustomization, by a program on PATH", "[FOLDER]"),
];

/// The command that words of a command line begin with, the longest that is known.
fn find(words: &[&str]) -> Option<&'static Command> {
    let fits = |command: &&Command| {
        let own: Vec<&str> = command.0.split(' ').collect();
        words.get(..own.len()) == Some(own.as_slice())
    };
    COMMANDS.iter().filter(fits).max_by_key(|command| command.0.len())
}

/// The commands below one.
fn below(path: &str) -> Vec<(&'static str, &'static str)> {
    let own = COMMANDS.iter().filter_map(|(other, what, _)| {
        let name = other.strip_prefix(path)?.strip_prefix(' ')?;
        (!name.contains(' ')).then_some((name, *what))
    });
    own.collect()
}

/// True where words name nothing that does anything by itself.
pub fn is_group(words: &[&str]) -> bool {
    find(words).is_some_and(|(path, _, usage)| *usage == "COMMAND" || *path == "create secret")
        || find(words).is_some_and(|(path, ..)| *path == "create service")
}

/// All about a command, with its own flags; `None` for what is not known.
pub fn page(words: &[&str], flags: &str) -> Option<String> {
    let (path, what, usage) = find(words)?;
    let mut page = format!("{what}.\n\nUsage:\n  kubectl {path} {usage}").trim_end().to_owned();
    page.push('\n');
    let below = below(path);
    if !below.is_empty() {
        let width = below.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        page.push_str("\nCommands:\n");
        for (name, what) in below {
            page.extend(["  ", &format!("{name:width$}"), "  ", what, "\n"]);
        }
    }
    page.push_str(flags);
    page.push_str("\ndyno answers kubectl here; `kubectl help` says what it knows.\n");
    Some(page)
}

/// A command's own flags.
pub fn flags(flags: &[Flag]) -> String {
    let told = |flag: &Flag| {
        let letter = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = match flag.kind {
            Kind::Bool => "",
            Kind::Text => "=TEXT",
            Kind::List => "=TEXT,…",
            Kind::Array => "=TEXT …",
            Kind::Optional(_) => "[=TEXT]",
            Kind::Number => "=NUMBER",
            Kind::Duration => "=DURATION",
        };
        format!("  {letter}--{}{value}\n", flag.name)
    };
    let mut lines: Vec<(&str, String)> = flags.iter().map(|flag| (flag.name, told(flag))).collect();
    lines.sort();
    lines.dedup();
    let lines: String = lines.into_iter().map(|(_, line)| line).collect();
    let own = if lines.is_empty() { String::new() } else { format!("\nFlags:\n{lines}") };
    own + "\nFlags of all commands: -n, --context, --kubeconfig, --server, --request-timeout, …\n"
}

/// A command that says nothing yet: told what there is to be said.
pub fn bare(path: &str) -> Usage {
    let words: Vec<&str> = path.split(' ').collect();
    Usage(page(&words, "").unwrap_or_default().trim_end().to_owned())
}

/// A word behind `after` that is no command there, with all that follows it.
pub fn unknown(words: &[&str], after: &str, command: &str) -> Usage {
    let rest: Vec<&str> =
        words.iter().skip_while(|word| **word != after).skip(1).copied().collect();
    misuse(&format!("unknown command \"{}\"", rest.join(" ")), command)
}

/// The same, where the word and what follows it are apart already.
pub fn no_command(word: &str, rest: &[String], command: &str) -> Usage {
    let words: Vec<&str> = std::iter::once(word).chain(rest.iter().map(String::as_str)).collect();
    misuse(&format!("unknown command \"{}\"", words.join(" ")), command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_with_what_is_below_it() {
        let page = page(&["rollout", "nope"], "").unwrap();
        assert!(page.contains("kubectl rollout COMMAND\n"), "{page}");
        assert!(page.contains("  undo     Go back to an earlier revision\n"), "{page}");
        assert!(is_group(&["create", "secret"]) && !is_group(&["create", "secret", "tls"]));
        assert!(!bare("create service").0.contains("Flags"));
    }
}
