//! Plan files read from disk: a file and all that it includes become one plan, and each mistake
//! finds back to its file and line.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Error, PlanFile};
use crate::load;
use crate::policy::problem::{Problem, Problems};
use crate::policy::yaml::{self, Document};

/// A file may include files that include files, but not for ever.
const DEPTH: usize = 8;

/// Feeds go as data to whoever performs the plan, so they have a bound.
const FEED: usize = 16 << 20;

/// A plan with the files that it was read from.
#[derive(Debug)]
pub struct Sheet {
    /// All files together.
    pub file: PlanFile,
    /// The texts of the files that feeds name.
    files: BTreeMap<String, String>,
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
const LISTS: [&str; 5] = ["journeys[", "limits[", "setup[", "teardown[", "criteria["];

/// Reads a plan file and what it includes; what it says is checked where it is used.
///
/// # Errors
/// When one cannot be read or has another shape; every mistake is told with its line and key.
pub fn read(path: &Path) -> Result<Sheet, Error> {
    read_by(path, &|path| std::fs::read_to_string(path))
}

/// As [`read`], without the files of feeds: what a gate wants to know is not in them.
///
/// # Errors
/// As there.
pub fn read_checks(path: &Path) -> Result<Sheet, Error> {
    gather(path, &|path| std::fs::read_to_string(path), Feeds::Left)
}

/// As [`read`], by another way to read a file.
///
/// # Errors
/// As there.
pub fn read_by(
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Sheet, Error> {
    gather(path, read_file, Feeds::Read)
}

/// What becomes of the files that feeds name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeds {
    Read,
    Left,
}

fn gather(
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    feeds: Feeds,
) -> Result<Sheet, Error> {
    let text = read_file(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut reader = Reader {
        read_file,
        feeds,
        sheet: Sheet { file: PlanFile::default(), files: BTreeMap::new(), parts: Vec::new() },
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
    read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    feeds: Feeds,
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
        for (n, journey) in file.journeys.iter_mut().enumerate() {
            for (name, feed) in &mut journey.feed {
                if let Err(message) = self.feed(path, feed) {
                    let key = format!("journeys[{n}].feed.{name}.file");
                    self.problems.push(document.problem(&key, message));
                }
            }
        }
        let all = &self.sheet.file;
        let begins = [
            all.journeys.len(),
            all.limits.len(),
            all.setup.len(),
            all.teardown.len(),
            all.criteria.len(),
        ];
        self.sheet.file.include(file);
        self.sheet.parts.push(Part { document: document.clone(), begins });
        self.open.push(plain(path));
        for (n, name) in included.iter().enumerate() {
            if let Err(message) = self.include(&path.with_file_name("").join(name)) {
                self.problems.push(document.problem(&format!("include[{n}]"), message));
            }
        }
        self.done.extend(self.open.pop());
    }

    /// Reads a feed's file, which is named from the plan's folder.
    fn feed(&mut self, plan: &Path, feed: &mut load::FeedFile) -> Result<(), String> {
        let path = plan.with_file_name("").join(&feed.file);
        feed.file = path.display().to_string();
        if self.feeds == Feeds::Left || self.sheet.files.contains_key(&feed.file) {
            return Ok(());
        }
        let text = (self.read_file)(&path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        if text.len() > FEED {
            return Err(format!("`{}` is larger than 16 MiB", path.display()));
        }
        self.sheet.files.insert(feed.file.clone(), text);
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
                .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            self.add(path, &text);
        }
        Ok(())
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
            load: file.load,
            journeys: file.journeys,
            setup: file.setup,
            teardown: file.teardown,
            limits: file.limits,
            criteria: file.criteria,
            files: self.files.clone(),
        }
    }

    /// Gives the mistakes of a plan their files and lines.
    pub fn locate(&self, error: load::Error) -> crate::error::Error {
        let load::Error::Plan(mistakes) = error else { return crate::error::Error::job(error) };
        let problems = mistakes.0.iter().map(|mistake| self.problem(mistake)).collect();
        crate::error::Error::job(Error::Malformed(Problems(yaml::sorted(problems))))
    }

    fn problem(&self, mistake: &load::Mistake) -> Problem {
        let (part, key) = self.own_key(&mistake.key);
        match part {
            Some(part) => part.document.problem(&key, &*mistake.text),
            None => Problem {
                file: PathBuf::from("the command line"),
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
