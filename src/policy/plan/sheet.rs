//! Plan files read from disk: a file and all that it includes become one plan, and each mistake
//! finds back to its file and line.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Error, PlanFile};
use crate::job::Vars;
use crate::mistake::{Mistake, Mistakes};
use crate::policy::problem::{COMMAND_LINE, Problem, Problems};
use crate::policy::yaml::{self, Document};
use crate::{gate, load};

/// A file may include files that include files, but not for ever.
const DEPTH: usize = 8;

/// Files go as data to whoever performs the plan, so they have a bound.
const FEED: usize = 16 << 20;

/// A plan with the files that it was read from.
#[derive(Debug, Default)]
pub struct Sheet {
    /// All files together.
    pub file: PlanFile,
    /// The texts of the files that it names.
    files: BTreeMap<String, String>,
    /// The contents of those that are no texts.
    blobs: BTreeMap<String, Vec<u8>>,
    parts: Vec<Part>,
}

/// One file and where its lists begin in the whole.
#[derive(Debug)]
struct Part {
    document: Document,
    /// Where its part of each of [`LISTS`] begins.
    begins: [usize; LISTS.len()],
}

/// The lists that included files add to, as a mistake's key names them.
const LISTS: [&str; 6] = ["journeys[", "limits[", "setup[", "teardown[", "criteria[", "checks["];

/// Reads a plan file and what it includes; what it says is checked where it is used. Names of files
/// may hold variables of the job, as those of type file have a path for a value.
///
/// # Errors
/// When one cannot be read or has another shape; every mistake is told with its line and key.
pub fn read(path: &Path, vars: &dyn Vars) -> Result<Sheet, Error> {
    read_by(path, &|path| std::fs::read(path), vars)
}

/// As [`read`], without the files of feeds: what a gate wants to know is not in them.
///
/// # Errors
/// As there.
pub fn read_checks(path: &Path, vars: &dyn Vars) -> Result<Sheet, Error> {
    gather(path, &|path| std::fs::read(path), Feeds::Left, vars)
}

/// As [`read`], by another way to read a file.
///
/// # Errors
/// As there.
pub fn read_by(
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    vars: &dyn Vars,
) -> Result<Sheet, Error> {
    gather(path, read_file, Feeds::Read, vars)
}

/// What becomes of the files that feeds name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeds {
    Read,
    Left,
}

fn gather(
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    feeds: Feeds,
    vars: &dyn Vars,
) -> Result<Sheet, Error> {
    let text = read_file(path)
        .and_then(text)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut reader = Reader {
        read_file,
        feeds,
        vars,
        sheet: Sheet::default(),
        problems: Vec::new(),
        done: Vec::new(),
        open: Vec::new(),
    };
    reader.add(path, &text);
    if reader.problems.is_empty() {
        Ok(reader.sheet)
    } else {
        Err(Problems(yaml::sorted(reader.problems)).into())
    }
}

struct Reader<'a> {
    read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    feeds: Feeds,
    vars: &'a dyn Vars,
    sheet: Sheet,
    problems: Vec<Problem>,
    /// Files that are there already: included twice they count once.
    done: Vec<PathBuf>,
    /// The files that led here.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn add(&mut self, path: &Path, text: &str) {
        let parsed = yaml::parse::<PlanFile>(path, text);
        self.problems.extend(parsed.problems);
        let Some(mut file) = parsed.value else { return };
        let included = file.include.clone();
        let document = parsed.document;
        for (key, file, kind) in files(&mut file) {
            if let Err(message) = self.attach(path, file, kind) {
                self.problems.push(document.problem(&key, message));
            }
        }
        let all = &self.sheet.file;
        let begins = [
            all.journeys.len(),
            all.limits.len(),
            all.setup.len(),
            all.teardown.len(),
            all.criteria.len(),
            all.checks.len(),
        ];
        self.sheet.file.include(file);
        self.sheet.parts.push(Part { document: document.clone(), begins });
        self.open.push(plain(path));
        for (n, name) in included.iter().enumerate() {
            let name = load::expand(name, self.vars).map_err(|error| error.to_string());
            let included = name.and_then(|name| self.include(&path.with_file_name("").join(name)));
            if let Err(message) = included {
                self.problems.push(document.problem(&format!("include[{n}]"), message));
            }
        }
        self.done.extend(self.open.pop());
    }

    /// Reads a file that the plan names from its folder.
    fn attach(&mut self, plan: &Path, file: &mut String, kind: Kind) -> Result<(), String> {
        if self.feeds == Feeds::Left {
            return Ok(());
        }
        let named = load::expand(file, self.vars).map_err(|error| error.to_string())?;
        // A variable may hold the certificate itself.
        if load::is_inline(&named) {
            *file = named;
            return Ok(());
        }
        let path = plan.with_file_name("").join(named);
        *file = path.display().to_string();
        let Sheet { files, blobs, .. } = &mut self.sheet;
        let is_known = match kind {
            Kind::Text => files.contains_key(file),
            Kind::Bytes => blobs.contains_key(file),
        };
        if is_known {
            return Ok(());
        }
        let unread = |error: io::Error| format!("cannot read `{}`: {error}", path.display());
        let bytes = (self.read_file)(&path).map_err(unread)?;
        if bytes.len() > FEED {
            return Err(format!("`{}` is larger than 16 MiB", path.display()));
        }
        match kind {
            Kind::Text => drop(files.insert(file.clone(), text(bytes).map_err(unread)?)),
            Kind::Bytes => drop(blobs.insert(file.clone(), bytes)),
        }
        Ok(())
    }

    fn include(&mut self, path: &Path) -> Result<(), String> {
        let own = plain(path);
        if self.open.contains(&own) {
            let chain = self.open.iter().chain([&own]).map(|path| path.display().to_string());
            return Err(format!("it includes itself: {}", chain.collect::<Vec<_>>().join(" → ")));
        }
        if self.open.len() >= DEPTH {
            return Err(format!("files include each other deeper than {DEPTH}"));
        }
        if !self.done.contains(&own) {
            let text = (self.read_file)(path)
                .and_then(text)
                .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            self.add(path, &text);
        }
        Ok(())
    }
}

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// Files with their keys.
type Named<'a> = Vec<(String, &'a mut String, Kind)>;

/// The files that a plan names.
fn files(file: &mut PlanFile) -> Named<'_> {
    let mut found = Vec::new();
    for (n, journey) in file.journeys.iter_mut().enumerate() {
        for (name, feed) in &mut journey.feed {
            let key = format!("journeys[{n}].feed.{name}.file");
            found.push((key, &mut feed.file, Kind::Text));
        }
        steps(&format!("journeys[{n}].start"), &mut journey.start, &mut found);
        steps(&format!("journeys[{n}].steps"), &mut journey.steps, &mut found);
        steps(&format!("journeys[{n}].end"), &mut journey.end, &mut found);
    }
    steps("setup", &mut file.setup, &mut found);
    steps("teardown", &mut file.teardown, &mut found);
    let tls = file.tls.iter_mut().flat_map(load::TlsFile::files);
    let named = tls.filter(|(_, file)| !load::is_inline(file));
    found.extend(named.map(|(key, file)| (format!("tls.{key}"), file, Kind::Text)));
    found
}

/// The files that steps name: bodies, and what defines gRPC's services.
fn steps<'a>(key: &str, all: &'a mut [load::StepFile], found: &mut Named<'a>) {
    for (n, step) in all.iter_mut().enumerate() {
        let key = format!("{key}[{n}]");
        let upload = step.upload.as_mut().and_then(|upload| upload.file.as_mut());
        found.extend(upload.map(|file| (format!("{key}.upload.file"), file, Kind::Bytes)));
        for (name, part) in &mut step.multipart {
            if let load::PartFile::File(load::UploadFile { file: Some(file), .. }) = part {
                found.push((format!("{key}.multipart.{name}.file"), file, Kind::Bytes));
            }
        }
        if let Some(grpc) = &mut step.grpc {
            let proto = grpc.proto.as_mut();
            found.extend(proto.map(|file| (format!("{key}.grpc.proto"), file, Kind::Text)));
            for (n, file) in grpc.imports.iter_mut().enumerate() {
                found.push((format!("{key}.grpc.imports[{n}]"), file, Kind::Text));
            }
        }
        steps(&format!("{key}.steps"), &mut step.steps, found);
        steps(&format!("{key}.choose"), &mut step.choose, found);
    }
}

/// The path without `.` and `x/..`, as far as the text alone tells.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            Component::ParentDir
            | Component::Prefix(_)
            | Component::RootDir
            | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

impl Sheet {
    /// Returns the load's part under a name.
    pub fn written(&self, name: String) -> load::Written {
        let file = self.file.clone();
        load::Written {
            name,
            target: file.target,
            http: file.http,
            tls: file.tls,
            load: file.load,
            journeys: file.journeys,
            setup: file.setup,
            teardown: file.teardown,
            limits: file.limits,
            criteria: file.criteria,
            files: self.files.clone(),
            blobs: self.blobs.clone(),
        }
    }

    /// Returns the gate's part.
    pub fn gate(&self) -> gate::Written {
        gate::Written { checks: self.file.checks.clone(), gate: self.file.gate.clone() }
    }

    /// Gives the mistakes of a load their files and lines.
    pub fn locate(&self, error: load::Error) -> crate::error::Error {
        let load::Error::Plan(mistakes) = error else { return crate::error::Error::job(error) };
        self.locate_all(&mistakes)
    }

    /// Gives mistakes of the plan their files and lines.
    pub fn locate_all(&self, mistakes: &Mistakes) -> crate::error::Error {
        let problems = mistakes.0.iter().map(|mistake| self.problem(mistake)).collect();
        crate::error::Error::job(Error::Malformed(Problems(yaml::sorted(problems))))
    }

    fn problem(&self, mistake: &Mistake) -> Problem {
        let (part, key) = self.own_key(&mistake.key);
        match part {
            Some(part) => part.document.problem(&key, &*mistake.text),
            None => Problem {
                file: PathBuf::from(COMMAND_LINE),
                line: 0,
                column: 0,
                key,
                message: mistake.text.clone(),
                hint: None,
            },
        }
    }

    /// Returns the file that a key of the whole stands in, and its key there.
    fn own_key(&self, key: &str) -> (Option<&Part>, String) {
        if key.starts_with("--") {
            return (None, key.to_owned());
        }
        for (list, name) in LISTS.into_iter().enumerate() {
            let Some((index, rest)) = key.strip_prefix(name).and_then(|rest| rest.split_once(']'))
            else {
                continue;
            };
            let Ok(index) = index.parse::<usize>() else { continue };
            let begin = |part: &Part| part.begins.get(list).copied().unwrap_or(0);
            let at = self.parts.iter().rposition(|part| begin(part) <= index).unwrap_or(0);
            let own = index.saturating_sub(self.parts.get(at).map_or(0, begin));
            return (self.parts.get(at), format!("{name}{own}]{rest}"));
        }
        let top = key.split(['.', '[']).next().unwrap_or_default();
        let part = self.parts.iter().find(|part| part.document.at(top).is_some());
        (part.or(self.parts.first()), key.to_owned())
    }
}
