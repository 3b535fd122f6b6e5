//! Control groups, version 1, 2, or both at once: where they are, one job's groups, its memory kills.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::environment::sandbox::spec::Limits;

/// Where this process stands in the hierarchy that holds a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The interface of that hierarchy.
    pub version: Version,
    /// The hierarchy's top as it is mounted.
    pub top: PathBuf,
    /// Our own group in it.
    pub own: PathBuf,
}

/// A cgroup interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    One,
    /// The unified hierarchy.
    Two,
}

/// Finds a controller from `/proc/self/cgroup` and `/proc/self/mountinfo`. Where version 1 does not
/// have it, version 2 may: the group's own files tell.
pub fn place(controller: &str, cgroup: &str, mountinfo: &str) -> Option<Place> {
    let lines = || {
        cgroup.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
    };
    let mounts = || mountinfo.lines().filter_map(Mount::parse);
    let one = lines().find(|(names, _)| names.split(',').any(|name| name == controller));
    let (version, path, mount) = if let Some((_, path)) = one {
        let has = |mount: &Mount<'_>| mount.options.split(',').any(|name| name == controller);
        (Version::One, path, mounts().find(|mount| mount.kind == "cgroup" && has(mount))?)
    } else {
        let (_, path) = lines().find(|(names, _)| names.is_empty())?;
        (Version::Two, path, mounts().find(|mount| mount.kind == "cgroup2")?)
    };
    let top = PathBuf::from(mount.point);
    let below = Path::new(path).strip_prefix(mount.root).ok();
    // A group outside what is mounted (`/../..`): we are as good as at the top.
    let own = match below {
        Some(below) if !below.as_os_str().is_empty() => top.join(below),
        Some(_) | None => top.clone(),
    };
    Some(Place { version, top, own })
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (first, last) = line.split_once(" - ")?;
        let mut first = first.split(' ').skip(3);
        let mut last = last.split(' ');
        let (root, point) = (first.next()?, first.next()?);
        let kind = last.next()?;
        Some(Self { root, point, kind, options: last.nth(1)? })
    }
}

/// One job's groups, as they were made and are written down for the later stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Its memory group.
    pub memory: Option<Group>,
    /// Its group of processes; the same folder in version 2.
    pub pids: Option<Group>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    version: Version,
    path: PathBuf,
}

/// Makes a job's groups and sets its limits. What cannot be made is left out: rlimits stand in.
pub fn make(name: &str, limits: &Limits) -> Groups {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let (cgroup, mountinfo) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
    let mut groups = Groups::default();
    for controller in ["memory", "pids"] {
        let Some(place) = place(controller, &cgroup, &mountinfo) else { continue };
        match make_one(&place, controller, name, limits) {
            Ok(group) if controller == "memory" => groups.memory = Some(group),
            Ok(group) => groups.pids = Some(group),
            Err(error) => tracing::debug!(controller, %error, "no control group"),
        }
    }
    groups
}

fn make_one(place: &Place, controller: &str, name: &str, limits: &Limits) -> io::Result<Group> {
    let parent = match place.version {
        Version::One => place.own.clone(),
        Version::Two => delegating(place, controller).ok_or(io::ErrorKind::NotFound)?,
    };
    let path = parent.join(name);
    let is_new = match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        made => made.is_ok(),
    };
    let group = Group { version: place.version, path };
    for setting in settings(place.version, controller, limits) {
        match fs::write(group.path.join(setting.file), &setting.value) {
            Err(error) if setting.needed => {
                tracing::debug!(file = setting.file, %error, "cannot limit");
                if is_new {
                    fs::remove_dir(&group.path)?;
                }
                return Err(error);
            }
            Ok(()) | Err(_) => (),
        }
    }
    Ok(group)
}

/// The nearest group from ours upwards whose children have the controller. A group of version 2
/// with processes in it cannot give it to children, so that it is most often our parent.
fn delegating(place: &Place, controller: &str) -> Option<PathBuf> {
    let gives = |group: &Path, file: &str| {
        let names = fs::read_to_string(group.join(file)).unwrap_or_default();
        names.split_whitespace().any(|name| name == controller)
    };
    let groups = place.own.ancestors().take_while(|group| group.starts_with(&place.top));
    groups.filter(|group| gives(group, "cgroup.controllers")).find_map(|group| {
        let file = "cgroup.subtree_control";
        let is_given =
            gives(group, file) || { fs::write(group.join(file), format!("+{controller}")).is_ok() };
        is_given.then(|| group.to_owned())
    })
}

struct Setting {
    file: &'static str,
    value: String,
    /// Where swap is not accounted, its limit cannot be set; the one of memory still holds.
    needed: bool,
}

fn settings(version: Version, controller: &str, limits: &Limits) -> Vec<Setting> {
    let needed = |file, value| Setting { file, value, needed: true };
    let wanted = |file, value| Setting { file, value, needed: false };
    let memory = limits.memory.map(|size| size.0.to_string());
    match (version, controller) {
        (_, "pids") => {
            // bubblewrap's own two, and the relay.
            let most = limits.processes.map(|n| n.saturating_add(3).to_string());
            most.map(|most| needed("pids.max", most)).into_iter().collect()
        }
        (Version::One, _) => memory.map_or_else(Vec::new, |most| {
            vec![
                needed("memory.limit_in_bytes", most.clone()),
                wanted("memory.memsw.limit_in_bytes", most),
            ]
        }),
        (Version::Two, _) => memory.map_or_else(Vec::new, |most| {
            vec![needed("memory.max", most), wanted("memory.swap.max", "0".to_owned())]
        }),
    }
}

impl Groups {
    /// The folders that a process of the job has to be put into.
    pub fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<_> =
            [&self.memory, &self.pids].into_iter().flatten().map(|g| g.path.as_path()).collect();
        folders.dedup();
        folders
    }

    /// How many processes the kernel has killed at the memory limit so far.
    pub fn memory_kills(&self) -> u64 {
        let Some(memory) = &self.memory else { return 0 };
        let file = match memory.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        fs::read_to_string(memory.path.join(file)).map_or(0, |text| kills(&text))
    }

    /// Removes the groups, which must be empty of processes.
    pub fn remove(&self) -> io::Result<()> {
        for folder in self.folders() {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => (),
            }
        }
        Ok(())
    }

    /// The groups as text, a line a group.
    pub fn written(&self) -> String {
        let line = |name: &str, group: &Option<Group>| match group {
            Some(Group { version: Version::One, path }) => format!("{name} 1 {}\n", path.display()),
            Some(Group { version: Version::Two, path }) => format!("{name} 2 {}\n", path.display()),
            None => String::new(),
        };
        line("memory", &self.memory) + &line("pids", &self.pids)
    }

    /// The groups from their text.
    pub fn parse(text: &str) -> Self {
        let mut groups = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(name), Some(version), Some(path)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let version = if version == "1" { Version::One } else { Version::Two };
            let group = Some(Group { version, path: path.into() });
            if name == "memory" { groups.memory = group } else { groups.pids = group }
        }
        groups
    }
}

fn kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::{Size, Span};

    const ONE: &str = "\
35 24 0:30 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
36 35 0:31 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
40 35 0:35 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:12 - cgroup cgroup rw,cpu,cpuacct
41 35 0:36 / /sys/fs/cgroup/memory rw,relatime shared:13 - cgroup cgroup rw,memory
42 35 0:37 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
";
    const TWO: &str = "\
24 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
    const CONTAINER: &str = "\
35 24 0:30 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
";

    #[track_caller]
    fn check(controller: &str, cgroup: &str, mountinfo: &str, expected: Option<(Version, &str)>) {
        let found = place(controller, cgroup, mountinfo);
        let found = found.map(|place| (place.version, place.own));
        assert_eq!(found, expected.map(|(version, own)| (version, PathBuf::from(own))));
    }

    #[test]
    fn a_controller_is_found_in_either_version_and_in_both_at_once() {
        let hybrid = "8:pids:/a\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/c\n";
        check("memory", hybrid, ONE, Some((Version::One, "/sys/fs/cgroup/memory/a/b")));
        check("pids", hybrid, ONE, Some((Version::One, "/sys/fs/cgroup/pids/a")));
        check("cpu", hybrid, ONE, Some((Version::One, "/sys/fs/cgroup/cpu,cpuacct")));
        check("io", hybrid, ONE, Some((Version::Two, "/sys/fs/cgroup/unified/c")));
        let unified = "0::/system.slice/gitlab-runner.service\n";
        let own = "/sys/fs/cgroup/system.slice/gitlab-runner.service";
        check("memory", unified, TWO, Some((Version::Two, own)));
        check("memory", "0::/\n", TWO, Some((Version::Two, "/sys/fs/cgroup")));
        check("memory", "", TWO, None);
        check("memory", unified, "", None);
    }

    #[test]
    fn a_group_of_a_container_is_seen_below_what_is_mounted() {
        let at = |path: &str| format!("4:memory:{path}\n");
        let top = "/sys/fs/cgroup/memory";
        check("memory", &at("/docker/abc"), CONTAINER, Some((Version::One, top)));
        let below = "/sys/fs/cgroup/memory/x";
        check("memory", &at("/docker/abc/x"), CONTAINER, Some((Version::One, below)));
        check("memory", &at("/../.."), CONTAINER, Some((Version::One, top)));
        check("memory", &at("/docker/abcd"), CONTAINER, Some((Version::One, top)));
    }

    #[test]
    fn a_job_gets_its_group_where_version_two_gives_the_controller_to_children() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("system.slice/runner.service");
        fs::create_dir_all(&own).unwrap();
        let write = |group: &str, file: &str, text: &str| {
            fs::write(place.path().join(group).join(file), text).unwrap();
        };
        write("", "cgroup.controllers", "cpu memory pids\n");
        write("", "cgroup.subtree_control", "memory pids\n");
        write("system.slice", "cgroup.controllers", "memory pids\n");
        write("system.slice", "cgroup.subtree_control", "memory pids\n");
        write("system.slice/runner.service", "cgroup.controllers", "memory pids\n");
        // Full of processes: the kernel refuses; a folder of that name stands for its refusal.
        fs::create_dir(own.join("cgroup.subtree_control")).unwrap();
        let there = Place { version: Version::Two, top: place.path().into(), own };
        let limits = Limits {
            memory: Some(Size(1 << 20)),
            processes: Some(10),
            open_files: None,
            grace: Span::seconds(1),
        };
        assert_eq!(delegating(&there, "io"), None);
        let group = make_one(&there, "memory", "dyno-1", &limits).unwrap();
        assert_eq!(group.path, place.path().join("system.slice/dyno-1"));
        let file = |name: &str| fs::read_to_string(group.path.join(name)).unwrap();
        assert_eq!(file("memory.max"), "1048576");
        assert_eq!(file("memory.swap.max"), "0");
        assert_eq!(make_one(&there, "pids", "dyno-1", &limits).unwrap(), group);
        assert_eq!(file("pids.max"), "13");
        fs::write(group.path.join("memory.events"), "low 0\noom 2\noom_kill 2\n").unwrap();
        let groups = Groups { memory: Some(group.clone()), pids: Some(group) };
        assert_eq!(groups.memory_kills(), 2);
        assert_eq!(groups.folders().len(), 1);
    }

    #[test]
    fn groups_read_back_as_they_were_written() {
        let group = |version, path: &str| Some(Group { version, path: path.into() });
        for groups in [
            Groups::default(),
            Groups { memory: group(Version::One, "/m m/dyno-1"), pids: None },
            Groups { memory: group(Version::Two, "/x"), pids: group(Version::Two, "/x") },
        ] {
            assert_eq!(Groups::parse(&groups.written()), groups);
        }
    }

    #[test]
    fn kills_are_counted_in_the_words_of_both_versions() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(kills("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills("oom_kill_disable 0\n"), 0);
    }
}
