//! What a replay over the last weeks says is best for one workload.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::seconds;
use super::{Calendar, RepoPath, Signal, WorkloadId};

/// What decisions aim at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Aim {
    /// This price of shortfall, in replica-minutes for a minute short.
    Price(f64),
    /// At most this share of minutes short, at the lowest price that meets it.
    Objective(f64),
}

/// How an HPA is set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HpaSetting {
    /// The utilization that it aims at, in percent of requests.
    pub percent: u32,
    /// The same as a share of what a replica carries.
    pub target: f64,
    /// Its scale-down stabilization, in seconds.
    pub stabilization: u32,
}

impl HpaSetting {
    /// Whether it is set as another one is, and means the same.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.percent, self.stabilization) == (other.percent, other.stabilization) && same(self.target, other.target)
    }
}

/// What a study was made for. Where that changes, it says nothing any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// What drives the workload.
    pub signal: Signal,
    /// Demand that one replica carries.
    pub capacity: f64,
    /// What decisions aim at.
    pub aim: Aim,
    /// The HPA above the floor, where it is known what it does.
    pub hpa: Option<HpaSetting>,
    /// The most replicas that it asks for.
    pub most: Option<u32>,
    /// Whether other settings of it were tried.
    pub tuned: bool,
    /// Time between two decisions, in seconds.
    #[serde(with = "seconds")]
    pub every: TimeDelta,
    /// From a decision to Ready pods, in seconds.
    #[serde(with = "seconds")]
    pub lead: TimeDelta,
    /// The clock that demand follows.
    pub calendar: Calendar,
}

/// The study of one workload, or of one of its signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Study {
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// The workload.
    pub workload: WorkloadId,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// How long a time was replayed, in seconds.
    #[serde(with = "seconds")]
    pub replayed: TimeDelta,
    /// What it was made for.
    pub subject: Subject,
    /// The champion: the simplest model whose decisions cost hardly more than the best one's.
    pub model: String,
    /// The price of shortfall at which they did best.
    pub price: f64,
    /// What the floor at that price is multiplied by: above 1 only where no price met the objective.
    pub stretch: f64,
    /// Better settings of its HPA; absent where there is none, or the present ones do.
    pub hpa: Option<Tuning>,
    /// What each model's decisions came to, the simplest first.
    pub models: Vec<Tried>,
    /// What the champion saved of the simplest model's cost, as a share.
    pub gain: f64,
}

/// What one model's decisions came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The model.
    pub model: String,
    /// Their cost in replicas, on average: at a price, with what the minutes short cost.
    pub cost: f64,
    /// The share of minutes short.
    pub short: f64,
}

/// Settings of an HPA under which the same decisions cost less.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuning {
    /// The settings.
    pub to: HpaSetting,
    /// The price of shortfall that did best under them.
    pub price: f64,
    /// What the floor at that price is multiplied by.
    pub stretch: f64,
    /// The cost under the settings before, in replicas.
    pub before: f64,
    /// The cost under these.
    pub after: f64,
}

impl Study {
    /// How long a study is good for.
    pub const GOOD_FOR: TimeDelta = TimeDelta::days(7);
    /// How long one is kept that could not be made anew.
    pub const KEPT_FOR: TimeDelta = TimeDelta::days(28);

    /// Whether it speaks of a workload as it is now. An HPA that was set as the study says is no news.
    pub fn fits(&self, now: &Subject) -> bool {
        let was = &self.subject;
        let aims = match (was.aim, now.aim) {
            (Aim::Price(a), Aim::Price(b)) | (Aim::Objective(a), Aim::Objective(b)) => same(a, b),
            _ => false,
        };
        let hpas = match (&was.hpa, &now.hpa) {
            (None, None) => true,
            (Some(was), Some(now)) => was.is_like(now) || self.tuned_to(now).is_some(),
            _ => false,
        };
        let cadences = was.every == now.every && hardly_apart(was.lead, now.lead) && was.calendar == now.calendar;
        let carriers = was.signal == now.signal && same(was.capacity, now.capacity) && was.most == now.most;
        carriers && aims && hpas && was.tuned == now.tuned && cadences
    }

    /// What it is kept by: the signal of a workload in an overlay.
    pub fn key(&self) -> (&RepoPath, &WorkloadId, &Signal) {
        (&self.overlay, &self.workload, &self.subject.signal)
    }

    /// Whether a new one is to be made.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        now - self.at > Self::GOOD_FOR || self.at > now
    }

    /// Whether it is too old to go by.
    pub fn is_outdated(&self, now: DateTime<Utc>) -> bool {
        now - self.at > Self::KEPT_FOR
    }

    /// The price, and what the floor is multiplied by, under an HPA that is set so.
    pub fn course(&self, hpa: Option<&HpaSetting>) -> (f64, f64) {
        hpa.and_then(|hpa| self.tuned_to(hpa)).map_or((self.price, self.stretch), |tuning| (tuning.price, tuning.stretch))
    }

    fn tuned_to(&self, hpa: &HpaSetting) -> Option<&Tuning> {
        self.hpa.as_ref().filter(|tuning| tuning.to.is_like(hpa))
    }
}

/// Why there is no study of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum NoStudy {
    /// Its turn has not come.
    NotYet,
    /// Too little was measured to learn from and replay.
    ShortHistory {
        /// How much there is, in seconds.
        #[serde(with = "seconds")]
        have: TimeDelta,
        /// How much is needed, in seconds.
        #[serde(with = "seconds")]
        need: TimeDelta,
    },
    /// Its demand, or what one replica carries, is not known: the plan says why.
    NotDecided,
}

/// Rounding is no change.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Lead times within a fifth of the longer one, or a minute: how long pods take to start is measured, and differs a little from run to run.
fn hardly_apart(a: TimeDelta, b: TimeDelta) -> bool {
    (a - b).abs() <= (a.max(b) / 5).max(TimeDelta::minutes(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    fn setting(percent: u32) -> HpaSetting {
        HpaSetting { percent, target: f64::from(percent) / 150.0, stabilization: 300 }
    }

    fn study() -> Study {
        Study {
            overlay: RepoPath::parse("overlays/prod").unwrap(),
            workload: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() },
            at: "2026-11-16T07:00:00Z".parse().unwrap(),
            replayed: TimeDelta::days(14),
            subject: Subject {
                signal: Signal::Cpu,
                capacity: 1.0 / 3.0,
                aim: Aim::Price(100.0),
                hpa: Some(setting(70)),
                most: Some(20),
                tuned: true,
                every: TimeDelta::minutes(10),
                lead: TimeDelta::minutes(6),
                calendar: Calendar::default(),
            },
            model: "linear".into(),
            price: 200.0,
            stretch: 1.0,
            hpa: Some(Tuning { to: setting(90), price: 50.0, stretch: 1.0, before: 9.0, after: 8.0 }),
            models: vec![Tried { model: "linear".into(), cost: 9.0, short: 0.001 }],
            gain: 0.05,
        }
    }

    #[test]
    fn it_fits_until_what_it_was_made_for_changes() {
        let study: Study = serde_json::from_str(&serde_json::to_string(&study()).unwrap()).unwrap();
        assert!(study.fits(&study.subject));
        let with = |change: &dyn Fn(&mut Subject)| {
            let mut subject = study.subject.clone();
            change(&mut subject);
            study.fits(&subject)
        };
        assert!(with(&|s| s.hpa = Some(setting(90))), "as it says itself");
        assert!(!with(&|s| s.hpa = Some(setting(80))) && !with(&|s| s.hpa = None) && !with(&|s| s.tuned = false));
        assert!(!with(&|s| s.hpa = Some(HpaSetting { target: 0.5, ..setting(70) })), "a request moved, and the scale point with it");
        assert!(!with(&|s| s.signal = Signal::Memory) && !with(&|s| s.capacity = 0.33));
        assert!(!with(&|s| s.aim = Aim::Price(101.0)) && !with(&|s| s.aim = Aim::Objective(100.0)));
        assert!(!with(&|s| s.most = Some(30)) && !with(&|s| s.every = TimeDelta::minutes(15)));
        assert!(!with(&|s| s.lead = TimeDelta::minutes(9)) && !with(&|s| s.lead = TimeDelta::minutes(4)));
        assert!(with(&|s| s.lead = TimeDelta::seconds(410)), "a start that took a little longer");
        assert!(!with(&|s| s.calendar.time_zone = chrono_tz::Europe::Berlin));
        assert!(!with(&|s| s.calendar.holidays = ["2026-12-25".parse().unwrap()].into()));
    }

    #[test]
    fn it_is_good_for_a_week_and_knows_the_hpa_that_it_speaks_of() {
        let study = study();
        let after = |days| study.is_due(study.at + TimeDelta::days(days));
        assert_eq!((after(-1), after(0), after(7), after(8)), (true, false, false, true));
        assert_eq!([28, 29].map(|days| study.is_outdated(study.at + TimeDelta::days(days))), [false, true]);
        assert_eq!((study.course(Some(&setting(70))), study.course(Some(&setting(90)))), ((200.0, 1.0), (50.0, 1.0)));
        assert_eq!(study.course(None), (200.0, 1.0));
    }
}
