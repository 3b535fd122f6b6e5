//! Presets: kinds of tests that make their own stages, and the limits that they add to a plan's.

use std::time::Duration;

use crate::load::limit::{Limit, Metric};
use crate::load::model::{Kind, Model, Preset};
use crate::load::regression;
use crate::load::shape::{MAX_STAGES, Shape, judged, level_text, part};
use crate::load::stages::Stage;
use crate::unit::Span;

/// Steps of a stress test when the plan does not say.
const STEPS: u32 = 20;

impl Shape<'_> {
    /// Makes the stages of a preset.
    pub fn preset(&mut self, preset: Preset) -> Model {
        if preset == Preset::Smoke {
            self.file.duration = self.file.duration.or(Some(Span::seconds(30)));
            self.file.users = self.file.users.or(self.file.arrivals.is_none().then_some(1));
            if self.file.users.is_some_and(|users| users > 5) {
                self.wrong("users", "a smoke test has at most 5 users: `preset: load` takes more");
            }
        }
        if self.file.spawn_rate.is_some() {
            self.wrong("spawn-rate", "a preset has its own ramps: leave it out");
            self.file.spawn_rate = None;
        }
        let duration = self.duration();
        let (kind, level) = self.level();
        let share = |share: f64| duration.mul_f64(share);
        let stages = match preset {
            Preset::Smoke => vec![judged(Stage::hold("smoke", duration, level))],
            Preset::Load | Preset::Acceptance => vec![
                Stage::hold("warm-up", share(0.1), part(kind, level, 0.2)),
                Stage::ramp(share(0.1), part(kind, level, 0.2), level),
                judged(Stage::hold("hold", share(0.8), level)),
            ],
            Preset::Stress => self.steps(kind, level, duration),
            Preset::Spike => self.spike(kind, level, duration),
            Preset::Regression => {
                regression::target_stages(&self.file, (level, duration), self.mistakes)
            }
            Preset::Soak => {
                let ramp = share(0.02).min(Duration::from_mins(5));
                vec![
                    Stage::ramp(ramp, 0.0, level),
                    judged(Stage::hold("hold", share(0.9).saturating_sub(ramp), level)),
                    judged(Stage::hold("end", duration.saturating_sub(share(0.9)), level)),
                ]
            }
        };
        let name = format!("{preset:?}").to_lowercase();
        let words =
            format!("{name} test up to {}, for {}", level_text(kind, level), Span(duration));
        Model { kind, stages, preset: Some(preset), words }
    }

    fn steps(&mut self, kind: Kind, level: f64, duration: Duration) -> Vec<Stage> {
        let n = self.file.steps.unwrap_or(STEPS);
        if n < 2 || n > u32::try_from(MAX_STAGES).unwrap_or(u32::MAX) {
            self.wrong("steps", format!("use 2 to {MAX_STAGES} steps, not `{n}`"));
        }
        let n = n.clamp(2, 100);
        let step = duration / n;
        if step < Duration::from_secs(2) {
            self.wrong("duration", format!("each of {n} steps needs 2 s at least: use more time"));
        }
        let mut stages: Vec<Stage> = Vec::new();
        for k in 1..=n {
            let level = part(kind, level, f64::from(k) / f64::from(n));
            if stages.last().is_none_or(|last| last.to < level) {
                stages.push(judged(Stage::hold(&level_text(kind, level), step, level)));
            }
        }
        stages
    }

    fn spike(&mut self, kind: Kind, peak: f64, duration: Duration) -> Vec<Stage> {
        let base = match self.file.base {
            Some(base) => self.rate("base", base),
            None => part(kind, peak, 0.1),
        };
        let base = if kind == Kind::Users { base.round().max(1.0) } else { base };
        if base >= peak {
            self.wrong("base", "the base of a spike lies below its peak");
        }
        let share = |share: f64| duration.mul_f64(share);
        let rise = share(0.02);
        vec![
            Stage::hold("base", share(0.3), base),
            Stage::ramp(rise, base, peak),
            judged(Stage::hold("peak", share(0.2), peak)),
            Stage::ramp(rise, peak, base),
            Stage::hold("recovery", duration.saturating_sub(share(0.5) + rise * 2), base),
        ]
    }
}

/// Returns the limits that a preset adds to a plan's own.
pub fn own_limits(preset: Preset, model: &Model, own: &[(String, Limit)]) -> Vec<String> {
    let has = |metric: Metric| own.iter().any(|(_, limit)| limit.metric == metric);
    let unless = |has: bool, text: String| if has { Vec::new() } else { vec![text] };
    match preset {
        Preset::Load | Preset::Regression | Preset::Acceptance => Vec::new(),
        Preset::Smoke => unless(has(Metric::Errors), "errors <= 0%".to_owned()),
        Preset::Stress => unless(has(Metric::Errors), "errors < 5%".to_owned()),
        Preset::Spike => {
            let rest = model.stages.last().map_or(Duration::ZERO, |stage| stage.duration.0);
            let seconds = rest.as_secs().max(1);
            unless(has(Metric::Recovery), format!("recovery < {seconds}s"))
        }
        Preset::Soak => {
            let mut limits = unless(has(Metric::Drift), "drift < 20%".to_owned());
            // What holds over hours on the whole must hold at their end too.
            let is_plain = |limit: &Limit| {
                limit.over.is_none() && limit.during.is_none() && limit.metric.preset().is_none()
            };
            let plain = own.iter().map(|(_, limit)| limit).filter(|limit| is_plain(limit));
            limits.extend(plain.map(|limit| format!("{} during end", limit.condition())));
            limits.retain(|text| !own.iter().any(|(_, limit)| limit.text == *text));
            limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::error::Mistakes;
    use crate::load::file::ModelFile;
    use crate::load::shape;

    #[test]
    fn a_soak_asks_for_nothing_twice() {
        let file: ModelFile =
            serde_saphyr::from_str("{ preset: soak, users: 2, duration: 1h }").unwrap();
        let model = shape::model(file, &mut Mistakes::default());
        let own = ["p95 < 1s", "p95 < 1s during end", "errors < 1%"];
        let own: Vec<(String, Limit)> =
            own.iter().map(|text| (String::new(), text.parse().unwrap())).collect();
        let added = own_limits(Preset::Soak, &model, &own);
        assert_eq!(added, ["drift < 20%", "errors < 1% during end"]);
    }
}
