//! From `load:` as written to the model as meant: plain levels, stages, presets.

use std::time::Duration;

use crate::load::error::Mistakes;
use crate::load::file::{ModelFile, StageFile};
use crate::load::model::{Kind, Model, Preset};
use crate::load::plan::Overrides;
use crate::load::stages::{self, Stage};
use crate::unit::{Rate, Span, whole};

const MAX_USERS: u32 = 1_000_000;
const MAX_RATE: f64 = 1_000_000.0;
const MAX_DURATION: Duration = Duration::from_hours(7 * 24);
/// A plan has no more stages.
pub const MAX_STAGES: usize = 100;

/// Reads how much load and for how long, as chosen.
pub fn model(file: ModelFile, mistakes: &mut Mistakes) -> Model {
    let mut shape = Shape { file, mistakes };
    shape.model()
}

/// The command line chooses the model: its users replace the file's arrivals and stages, and the
/// reverse.
pub fn chosen(file: &ModelFile, overrides: &Overrides, mistakes: &mut Mistakes) -> ModelFile {
    let mut file = file.clone();
    if let Some(target) = &overrides.baseline {
        file.baseline.get_or_insert_default().target = Some(target.clone());
        file.preset = file.preset.or(Some(Preset::Regression));
        file.stages.clear();
    }
    if overrides.users.is_some() || overrides.spawn_rate.is_some() {
        file.users = overrides.users.or(file.users);
        file.arrivals = None;
        file.stages.clear();
    }
    if overrides.arrivals.is_some() {
        if overrides.users.is_some() {
            mistakes.add("--arrivals", "`--users` and `--arrivals` exclude each other");
        }
        file.users = None;
        file.arrivals = overrides.arrivals;
        file.stages.clear();
    }
    if overrides.preset.is_some() {
        file.preset = overrides.preset;
        file.stages.clear();
    }
    file.spawn_rate = overrides.spawn_rate.or(file.spawn_rate);
    file.duration = overrides.duration.or(file.duration);
    file
}

/// What is written, on its way to what is meant.
pub struct Shape<'a> {
    /// As written.
    pub file: ModelFile,
    /// What is wrong so far.
    pub mistakes: &'a mut Mistakes,
}

impl Shape<'_> {
    /// Tells a mistake at a key of `load:`.
    pub fn wrong(&mut self, key: &str, text: impl Into<String>) {
        self.mistakes.add(format!("load.{key}"), text);
    }

    fn model(&mut self) -> Model {
        if self.file.users.is_some() && self.file.arrivals.is_some() {
            self.mistakes.add("load", "`users` and `arrivals` exclude each other: choose one");
        }
        let mut model = match (self.file.preset, self.file.stages.is_empty()) {
            (Some(_), false) => {
                self.wrong("stages", "a preset makes its own stages: leave one of them out");
                self.plain()
            }
            (Some(preset), true) => self.preset(preset),
            (None, false) => self.staged(),
            (None, true) => self.plain(),
        };
        for (key, is_there, is_fine) in [
            ("base", self.file.base.is_some(), self.file.preset == Some(Preset::Spike)),
            ("steps", self.file.steps.is_some(), self.file.preset == Some(Preset::Stress)),
            (
                "baseline",
                self.file.baseline.is_some(),
                self.file.preset == Some(Preset::Regression),
            ),
        ] {
            if is_there && !is_fine {
                self.wrong(key, "`base` belongs to `preset: spike`, `steps` to `stress`, `baseline` to `regression`");
            }
        }
        // A single duration was looked at where it was read.
        if self.file.duration.is_none() && model.duration().0 > MAX_DURATION {
            self.wrong("stages", "they take longer than 7d: use less");
        }
        if let Kind::Arrivals { .. } = model.kind {
            model.kind = self.arrivals_kind(stages::peak(&model.stages));
        } else {
            self.only_users();
        }
        model
    }

    /// How long it lasts.
    pub fn duration(&mut self) -> Duration {
        let duration = self.file.duration.unwrap_or_else(|| {
            self.wrong("duration", "it is missing: say how long, `duration: 1m`");
            Span::seconds(1)
        });
        if duration.0.is_zero() || duration.0 > MAX_DURATION {
            self.wrong(
                "duration",
                format!("use more than nothing and at most 7d, not `{duration}`"),
            );
        }
        duration.0
    }

    /// What belongs to arrivals only.
    fn only_users(&mut self) {
        if self.file.max_users.is_some() {
            self.wrong("max-users", "it belongs to `arrivals`; with `users` leave it out");
        }
        if self.file.spacing.is_some() {
            self.wrong("spacing", "it belongs to `arrivals`; with `users` leave it out");
        }
    }

    fn arrivals_kind(&mut self, peak: f64) -> Kind {
        if self.file.spawn_rate.is_some() {
            self.wrong("spawn-rate", "it belongs to `users`; with `arrivals` leave it out");
        }
        // Room for ten seconds of a target that answers nothing.
        let room = whole(peak * 10.0).and_then(|n| u32::try_from(n).ok());
        let max_users = self.file.max_users.unwrap_or(room.unwrap_or(MAX_USERS).clamp(100, 5000));
        if max_users == 0 || max_users > MAX_USERS {
            self.wrong("max-users", format!("use 1 to {MAX_USERS}, not `{max_users}`"));
        }
        Kind::Arrivals {
            max_users,
            is_asked: self.file.max_users.is_some(),
            spacing: self.file.spacing.unwrap_or_default(),
        }
    }

    /// The level that the plan names, and what it counts.
    pub fn level(&mut self) -> (Kind, f64) {
        if let Some(arrivals) = self.file.arrivals {
            let level = self.rate("arrivals", arrivals);
            return (OPEN, level);
        }
        let users = self.file.users.unwrap_or_else(|| {
            self.wrong("users", "it is missing: say how much, `users: 50` or `arrivals: 100/s`");
            1
        });
        if users == 0 || users > MAX_USERS {
            self.wrong("users", format!("use 1 to {MAX_USERS} users, not `{users}`"));
        }
        (Kind::Users, f64::from(users))
    }

    /// A rate within what there can be.
    pub fn rate(&mut self, key: &str, rate: Rate) -> f64 {
        if rate.0 < 0.001 || rate.0 > MAX_RATE {
            self.wrong(key, format!("use a rate between 0.001/s and 1000000/s, not `{rate}`"));
        }
        rate.0.clamp(0.001, MAX_RATE)
    }

    fn plain(&mut self) -> Model {
        let duration = self.duration();
        let (kind, level) = self.level();
        let span = Span(duration);
        match kind {
            Kind::Arrivals { .. } => {
                let stages = vec![judged(Stage::hold("hold", duration, level))];
                let words = format!("{} arriving, for {span}", Rate(level));
                Model { kind, stages, preset: None, words }
            }
            Kind::Users => {
                let rate = self.file.spawn_rate.unwrap_or(Rate(level)).0;
                if self.file.spawn_rate.is_some() && rate < 0.001 {
                    self.wrong("spawn-rate", "no user would ever start: use `25` or `25/s`");
                }
                let rate = rate.max(0.001);
                let s = if level > 1.0 { "s" } else { "" };
                let words = format!("{level} user{s}, {} starting, for {span}", Rate(rate));
                let stages = spawned(level, rate, duration);
                Model { kind, stages, preset: None, words }
            }
        }
    }

    fn staged(&mut self) -> Model {
        if self.file.duration.is_some() {
            self.wrong("duration", "the stages have their own: leave it out");
        }
        for (key, is_there) in [
            ("users", self.file.users.is_some()),
            ("arrivals", self.file.arrivals.is_some()),
            ("spawn-rate", self.file.spawn_rate.is_some()),
        ] {
            if is_there {
                self.wrong(key, "with `stages` each stage says its own");
            }
        }
        (self.file.users, self.file.arrivals, self.file.spawn_rate) = (None, None, None);
        let files = std::mem::take(&mut self.file.stages);
        if files.len() > MAX_STAGES {
            self.wrong("stages", format!("more than {MAX_STAGES} stages"));
        }
        let is_open = files.iter().any(|stage| stage.arrivals.is_some());
        let mut stages: Vec<Stage> = Vec::new();
        for (n, file) in files.iter().enumerate() {
            self.stage(n, file, is_open, &mut stages);
        }
        if files.iter().all(|file| file.judge.is_none()) {
            stages::judge_the_top(&mut stages);
        }
        if stages::peak(&stages) <= 0.0 || stages::duration(&stages).is_zero() {
            self.wrong("stages", "no load would ever be made: name a level and a `hold`");
        }
        let kind = if is_open { OPEN } else { Kind::Users };
        let peak = level_text(kind, stages::peak(&stages));
        let n = files.len();
        let span = Span(stages::duration(&stages));
        let words = format!("{n} stage{}, up to {peak}, for {span}", if n == 1 { "" } else { "s" });
        Model { kind, stages, preset: None, words }
    }

    /// Adds a stage: a ramp to its level, then the hold.
    fn stage(&mut self, n: usize, file: &StageFile, is_open: bool, stages: &mut Vec<Stage>) {
        let key = format!("stages[{n}]");
        let to = match (file.users, file.arrivals) {
            (Some(users), None) if !is_open => {
                if users > MAX_USERS {
                    self.wrong(&format!("{key}.users"), format!("use at most {MAX_USERS} users"));
                }
                f64::from(users)
            }
            (None, Some(arrivals)) => {
                if arrivals.0 > MAX_RATE {
                    self.wrong(&format!("{key}.arrivals"), "use at most 1000000/s");
                }
                arrivals.0.min(MAX_RATE)
            }
            (None, None) => {
                self.wrong(&key, "a stage needs its level: `users: 50` or `arrivals: 100/s`");
                0.0
            }
            (Some(_), _) => {
                self.wrong(&key, "all stages have `users`, or all have `arrivals`");
                0.0
            }
        };
        let (ramp, hold) = (file.ramp.unwrap_or_default().0, file.hold.unwrap_or_default().0);
        if ramp.is_zero() && hold.is_zero() {
            self.wrong(&key, "it takes no time: give it a `ramp`, a `hold`, or both");
        }
        let name = file.name.clone().unwrap_or_else(|| format!("stage {}", n + 1));
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if stages.iter().any(|known| known.name == name) {
            self.wrong(&format!("{key}.name"), format!("two stages are named `{name}`"));
        }
        let is_judged = file.judge == Some(true);
        let from = stages.last().map_or(0.0, |stage| stage.to);
        if !ramp.is_zero() {
            let own = if hold.is_zero() { name.clone() } else { String::new() };
            stages.push(Stage {
                name: own,
                is_judged: is_judged && hold.is_zero(),
                ..Stage::ramp(ramp, from, to)
            });
        }
        if !hold.is_zero() {
            stages.push(Stage { is_judged, ..Stage::hold(&name, hold, to) });
        }
    }
}

const OPEN: Kind =
    Kind::Arrivals { max_users: 0, is_asked: false, spacing: crate::load::model::Spacing::Even };

/// A stage that limits are judged on.
pub fn judged(stage: Stage) -> Stage {
    Stage { is_judged: true, ..stage }
}

/// A part of a level; users are whole and there is one at least.
pub fn part(kind: Kind, level: f64, share: f64) -> f64 {
    match kind {
        Kind::Users => (level * share).ceil().max(1.0),
        Kind::Arrivals { .. } => level * share,
    }
}

/// A level in words.
pub fn level_text(kind: Kind, level: f64) -> String {
    let level = crate::load::collect::round(level);
    match kind {
        Kind::Users if (level - 1.0).abs() < f64::EPSILON => "1 user".to_owned(),
        Kind::Users => format!("{level} users"),
        Kind::Arrivals { .. } => Rate(level).to_string(),
    }
}

/// Users that start at a rate: the last one starts when the ramp ends.
fn spawned(users: f64, rate: f64, duration: Duration) -> Vec<Stage> {
    let rest = users - 1.0;
    let ramp = Duration::try_from_secs_f64(rest / rate).unwrap_or(Duration::MAX);
    if ramp.is_zero() {
        return vec![judged(Stage::hold("hold", duration, users))];
    }
    if ramp >= duration {
        return vec![Stage::ramp(duration, 0.0, (rate * duration.as_secs_f64()).min(users))];
    }
    vec![
        Stage::ramp(ramp, 0.0, rest),
        judged(Stage::hold("hold", duration.saturating_sub(ramp), users)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shape(yaml: &str) -> (Model, Vec<String>) {
        let file: ModelFile = serde_saphyr::from_str(yaml).unwrap();
        let mut mistakes = Mistakes::default();
        let model = model(file, &mut mistakes);
        (model, mistakes.0.into_iter().map(|m| format!("{}: {}", m.key, m.text)).collect())
    }

    fn told(model: &Model) -> String {
        let stage = |stage: &Stage| {
            let mark = if stage.is_judged { "*" } else { "" };
            format!("{}{mark}:{}>{}/{}", stage.name, stage.from, stage.to, stage.duration)
        };
        model.stages.iter().map(stage).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_way_to_say_a_load_becomes_stages() {
        for (yaml, stages, words) in [
            (
                "{ users: 10, spawn-rate: 10, duration: 2s }",
                ":0>9/900ms hold*:10>10/1.1s",
                "10 users, 10/s starting, for 2s",
            ),
            ("{ users: 1, duration: 2s }", "hold*:1>1/2s", "1 user, 1/s starting, for 2s"),
            (
                "{ users: 100, spawn-rate: 1, duration: 9s }",
                ":0>9/9s",
                "100 users, 1/s starting, for 9s",
            ),
            ("{ arrivals: 600/m, duration: 2s }", "hold*:10>10/2s", "10/s arriving, for 2s"),
            (
                "{ stages: [{ users: 5, hold: 9s, name: warm }, { users: 50, ramp: 3s, hold: 1m }, { users: 0, ramp: 4s }] }",
                "warm:5>5/9s :5>50/3s stage 2*:50>50/1m stage 3:50>0/4s",
                "3 stages, up to 50 users, for 1m16s",
            ),
            (
                "{ stages: [{ arrivals: 5/s, hold: 9s, judge: true }, { arrivals: 9/s, ramp: 3s }] }",
                "stage 1*:5>5/9s stage 2:5>9/3s",
                "2 stages, up to 9/s, for 12s",
            ),
            ("{ preset: smoke }", "smoke*:1>1/30s", "smoke test up to 1 user, for 30s"),
            (
                "{ preset: load, arrivals: 100/s, duration: 100s }",
                "warm-up:20>20/10s :20>100/10s hold*:100>100/1m20s",
                "load test up to 100/s, for 1m40s",
            ),
            (
                "{ preset: stress, arrivals: 30/s, duration: 9s, steps: 3 }",
                "10/s*:10>10/3s 20/s*:20>20/3s 30/s*:30>30/3s",
                "stress test up to 30/s, for 9s",
            ),
            (
                "{ preset: spike, users: 50, base: 5, duration: 100s }",
                "base:5>5/30s :5>50/2s peak*:50>50/20s :50>5/2s recovery:5>5/46s",
                "spike test up to 50 users, for 1m40s",
            ),
            (
                "{ preset: soak, arrivals: 10/s, duration: 100s }",
                ":0>10/2s hold*:10>10/1m28s end*:10>10/10s",
                "soak test up to 10/s, for 1m40s",
            ),
        ] {
            let (model, mistakes) = shape(yaml);
            assert_eq!((told(&model), mistakes), (stages.to_owned(), vec![]), "{yaml}");
            assert_eq!(model.words, words);
        }
    }

    #[test]
    fn a_load_that_cannot_be_meant_is_told() {
        for (yaml, says) in [
            ("{ users: 1, arrivals: 1/s, duration: 1s }", "load: `users` and `arrivals` exclude"),
            (
                "{ users: 1, duration: 1s, spacing: poisson }",
                "load.spacing: it belongs to `arrivals`",
            ),
            (
                "{ arrivals: 1/s, duration: 1s, spawn-rate: 1 }",
                "load.spawn-rate: it belongs to `users`",
            ),
            ("{ users: 1, stages: [{ users: 1, hold: 1s }] }", "load.users: with `stages`"),
            (
                "{ duration: 1s, stages: [{ users: 1, hold: 1s }] }",
                "load.duration: the stages have",
            ),
            ("{ stages: [{ users: 1 }] }", "load.stages[0]: it takes no time"),
            ("{ stages: [{ hold: 1s }] }", "load.stages[0]: a stage needs its level"),
            ("{ stages: [{ users: 0, hold: 1s }] }", "load.stages: no load would ever be made"),
            (
                "{ stages: [{ users: 1, hold: 1s }, { arrivals: 1/s, hold: 1s }] }",
                "load.stages[0]: all stages have",
            ),
            (
                "{ stages: [{ users: 1, hold: 1s, name: a }, { users: 2, hold: 1s, name: a }] }",
                "load.stages[1].name: two stages are named `a`",
            ),
            ("{ preset: smoke, users: 6 }", "load.users: a smoke test has at most 5 users"),
            ("{ preset: soak, users: 6 }", "load.duration: it is missing"),
            ("{ preset: stress, users: 60, duration: 10s }", "load.duration: each of 20 steps"),
            ("{ preset: spike, users: 6, base: 6, duration: 10s }", "load.base: the base"),
            ("{ users: 6, base: 6, duration: 10s }", "load.base: `base` belongs to"),
            ("{ preset: load, users: 6, duration: 10s, baseline: {} }", "load.baseline: `base`"),
            (
                "{ preset: regression, users: 6, duration: 10s }",
                "load.duration: 10 pairs of blocks",
            ),
            (
                "{ preset: regression, users: 6, duration: 5m, baseline: { pairs: 5 } }",
                "load.baseline.pairs: use 6",
            ),
        ] {
            let (_, mistakes) = shape(yaml);
            assert!(
                mistakes.iter().any(|mistake| mistake.starts_with(says)),
                "{yaml}: {mistakes:?}"
            );
        }
    }
}
