//! The policy that the driver gets: the embedded one for a laptop, or the user's with our address.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::policy::{self, Problem, Problems};

/// The policy for a laptop, without what only the run knows.
const EMBEDDED: &str = include_str!("../../config/try.yaml");

/// The profile in [`EMBEDDED`].
pub const PROFILE: &str = "laptop";

/// A policy that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's cannot be read.
    #[error("cannot read the policy `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The copy cannot be written.
    #[error("cannot write the policy's copy `{path}`")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is written in it is wrong.
    #[error(transparent)]
    Wrong(Problems),
}

/// What only the run knows.
#[derive(Debug)]
pub struct Run<'a> {
    /// The coordinator's address.
    pub url: &'a str,
    /// The driver's folder for this run.
    pub state: &'a Path,
    /// Where the policy's copy goes.
    pub folder: &'a Path,
}

/// Writes the laptop's policy; a kubeconfig makes the cluster `default` of it, and with a Docker
/// daemon any image can be used.
pub fn write_embedded(
    run: &Run<'_>,
    kubeconfig: Option<&Path>,
    docker: Option<&Path>,
) -> Result<PathBuf, Error> {
    let mut text = EMBEDDED.to_owned();
    if let Some(socket) = docker {
        // The next key of the profile.
        let next = "    recipes:";
        let socket = quoted(&socket.display().to_string());
        text = text.replacen(next, &format!("{}{next}", DOCKER_RULE.replace("SOCKET", &socket)), 1);
    }
    let profile_clusters = match kubeconfig {
        Some(_) => CLUSTER_RULE,
        None => "",
    };
    text.push_str(profile_clusters);
    if let Some(kubeconfig) = kubeconfig {
        let kubeconfig = quoted(&kubeconfig.display().to_string());
        _ = writeln!(text, "clusters:\n  default: {{ kubeconfig: {kubeconfig} }}");
    }
    text.push_str(&own_lines(run).concat());
    write(run, "dyno.yaml", &text)
}

/// Containers of the user's own daemon; indented as the profile's environments are.
const DOCKER_RULE: &str = "      docker:
        socket: SOCKET
        images: [\"**\"]
        services: [\"**\"]
        pull: [if-not-present, always, never]
        network: bridge
        memory: 8GiB
        processes: 4096
";

/// What a laptop's user may do with the own cluster; indented as the profile's keys are.
const CLUSTER_RULE: &str = "    clusters:
      default:
        namespaces: [\"*\", default]
        access: deploy
        kinds: [Namespace, Role, RoleBinding, ResourceQuota, LimitRange]
";

/// Writes a copy of the user's policy with our address and folder; line numbers stay as they are.
/// Mistakes are told here, of the user's own file, and not by every job's driver of the copy.
pub fn write_copy(run: &Run<'_>, policy: &Path) -> Result<PathBuf, Error> {
    let read = |source| Error::Read { path: policy.to_owned(), source };
    let text = std::fs::read_to_string(policy).map_err(read)?;
    let folder = policy.canonicalize().map_err(read)?;
    let name = policy.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Relative paths in the policy, and the recipes beside it, go on to work.
    for entry in std::fs::read_dir(folder.parent().unwrap_or(Path::new("/"))).map_err(read)? {
        let Ok(entry) = entry else { continue };
        if entry.file_name() != name.as_str() {
            let link = run.folder.join(entry.file_name());
            std::os::unix::fs::symlink(entry.path(), &link)
                .map_err(|source| Error::Write { path: link, source })?;
        }
    }
    let [gitlab, state] = own_lines(run);
    let text = replaced(&replaced(&text, "gitlab", &gitlab), "state", &state);
    let copy = write(run, &name, &text)?;
    match policy::read(&copy) {
        Ok(_) => Ok(copy),
        Err(problems) => Err(Error::Wrong(of_original(problems, run.folder, policy))),
    }
}

/// The same mistakes, in the files that the copy and the links beside it stand for.
fn of_original(Problems(problems): Problems, copies: &Path, policy: &Path) -> Problems {
    let own = policy.parent().unwrap_or(Path::new(""));
    let copies = std::path::absolute(copies).unwrap_or_else(|_| copies.to_owned());
    let told = |problem: Problem| match problem.file.strip_prefix(&copies) {
        Ok(name) => Problem { file: own.join(name), ..problem },
        Err(_) => problem,
    };
    Problems(problems.into_iter().map(told).collect())
}

fn own_lines(run: &Run<'_>) -> [String; 2] {
    [
        format!("gitlab: {{ url: {} }}\n", quoted(run.url)),
        format!("state: {}\n", quoted(&run.state.display().to_string())),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write(run: &Run<'_>, name: &str, text: &str) -> Result<PathBuf, Error> {
    let path = run.folder.join(name);
    std::fs::write(&path, text).map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Replaces a top-level key with all that belongs to it by one line; a missing one is appended.
fn replaced(text: &str, key: &str, line: &str) -> String {
    let is_key =
        |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
    let (mut out, mut inside, mut found) = (String::with_capacity(text.len()), false, false);
    for old in text.split_inclusive('\n') {
        let goes_on = old.starts_with([' ', '\t', '}', ']']) || old.trim().is_empty();
        inside = if is_key(old) { true } else { inside && goes_on };
        if !inside {
            out.push_str(old);
        } else if found {
            out.push('\n');
        } else {
            out.push_str(line);
            found = true;
        }
    }
    if !found {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<'a>(folder: &'a Path, state: &'a Path) -> Run<'a> {
        Run { url: "http://127.0.0.1:8929", state, folder }
    }

    #[test]
    fn the_embedded_policy_is_a_policy_with_and_without_a_cluster_and_a_daemon() {
        let config = Path::new("/home/u/.kube/config");
        let socket = Path::new("/run/user/1000/docker.sock");
        for (kubeconfig, docker) in
            [(None, None), (Some(config), None), (None, Some(socket)), (Some(config), Some(socket))]
        {
            let folder = tempfile::tempdir().unwrap();
            let run = run(folder.path(), folder.path());
            let file = write_embedded(&run, kubeconfig, docker).unwrap();
            let policy = policy::read(&file).unwrap();
            assert_eq!(policy.gitlab.unwrap().url, "http://127.0.0.1:8929");
            assert_eq!(policy.state, folder.path());
            assert_eq!(policy.clusters.len(), usize::from(kubeconfig.is_some()));
            let profile = policy.profiles.iter().find(|profile| profile.name == PROFILE).unwrap();
            let rule = profile.environment.docker.as_ref();
            assert_eq!(rule.map(|rule| rule.socket.as_path()), docker);
        }
    }

    #[test]
    fn only_the_address_and_the_folder_are_replaced_and_lines_keep_their_numbers() {
        let theirs = "# ours\ngitlab:\n  url: https://gitlab.example.com\n  ca-file: ca.pem\n\
                      state: /var/lib/dyno\n\
                      profiles: [{ name: a, match: { projects: ['**'] } }]\n";
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("recipes")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("dyno.yaml"), theirs).unwrap();
        let copy = write_copy(&run(&to, Path::new("/s")), &from.join("dyno.yaml")).unwrap();
        assert_eq!(
            std::fs::read_to_string(copy).unwrap(),
            "# ours\ngitlab: { url: \"http://127.0.0.1:8929\" }\n\n\nstate: \"/s\"\n\
             profiles: [{ name: a, match: { projects: ['**'] } }]\n"
        );
        assert!(to.join("recipes").is_dir());
        assert_eq!(replaced("profiles: []", "state", "state: x\n"), "profiles: []\nstate: x\n");
        assert_eq!(replaced("stateful: 1\n", "state", "state: x\n"), "stateful: 1\nstate: x\n");
    }

    #[test]
    fn mistakes_are_told_of_the_users_own_file_and_its_recipes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("recipes")).unwrap();
        std::fs::create_dir(&to).unwrap();
        let own = from.join("dyno.yaml");
        std::fs::write(&own, "profiles:\n- name: a\n  recipies: []\n").unwrap();
        std::fs::write(from.join("recipes/wrong.yaml"), "imagse: [a]\n").unwrap();
        let error = write_copy(&run(&to, Path::new("/s")), &own).unwrap_err().to_string();
        assert!(error.contains(&format!("{}:3", own.display())), "{error}");
        assert!(error.contains("recipies"), "{error}");
        assert!(!error.contains(&*to.to_string_lossy()), "{error}");
    }
}
