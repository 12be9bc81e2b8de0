//! What holds a floor that the forecast would move.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::plan::Hindsight;
use crate::model::policy::{ReplicasPolicy, delta};
use crate::model::{Demand, HoldReason, Observed, Record, RepoPath, Rhythm, Window, WorkloadId};

use super::Budget;

/// For so long after demand was cut short nobody knows what it is.
const UNKNOWN: TimeDelta = TimeDelta::hours(1);

/// What earlier runs recorded of a workload's floor.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// When it was changed in Git, the oldest first.
    moves: Vec<DateTime<Utc>>,
    /// What each run's forecast asked for, before guards.
    wanted: Vec<(DateTime<Utc>, u32)>,
    /// The demand that each run planned for.
    peaks: Vec<(DateTime<Utc>, f64)>,
}

/// A fall that is put off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Deferral {
    /// What the floor stays at or above meanwhile.
    pub(super) least: u32,
    /// Over how long what was wanted counts.
    pub(super) over: TimeDelta,
    /// When the last decision that wanted as much no longer does.
    pub(super) until: DateTime<Utc>,
}

impl Past {
    /// The past of each workload of each overlay, from records with the oldest first.
    pub(super) fn of(records: &[Record]) -> BTreeMap<(&RepoPath, &WorkloadId), Self> {
        let mut all: BTreeMap<(&RepoPath, &WorkloadId), Self> = BTreeMap::new();
        for record in records {
            for overlay in record.overlays() {
                let past = all.entry((overlay, &record.workload)).or_default();
                past.wanted.extend(record.floor.map(|floor| (record.at, floor)));
                past.peaks.extend(record.peak.map(|peak| (record.at, peak)));
                let mut changed = record.changed.iter().filter(|change| change.overlay == *overlay);
                if record.commit.is_some() && changed.any(|change| change.field.rhythm() == Rhythm::Floor) {
                    past.moves.push(record.at);
                }
            }
        }
        all
    }

    /// How the forecasts did, by demand as it then was; `window` is that of a decision at `now`.
    pub(super) fn hindsight(&self, demand: &Demand, window: Window, now: DateTime<Utc>) -> Option<Hindsight> {
        let minute = |at: DateTime<Utc>| usize::try_from((at.timestamp() - demand.start()).div_euclid(60)).ok();
        let (mut windows, mut covered) = (0, 0);
        for (at, peak) in &self.peaks {
            let Some((from, to)) = minute(*at + (window.from - now)).zip(minute(*at + (window.to - now))) else { continue };
            let Some(greatest) = demand.greatest_measured(from, to).filter(|_| to <= demand.len()) else { continue };
            windows += 1;
            covered += u32::from(greatest <= *peak);
        }
        (windows > 0).then_some(Hindsight { windows, covered })
    }

    /// What puts off a fall from `from` to `wanted` at `now`: a floor falls only to the most that any decision over the stabilization wanted,
    /// so that what was added for a peak is not taken away before the next one.
    pub(super) fn deferral(&self, policy: &ReplicasPolicy, from: u32, wanted: u32, now: DateTime<Utc>) -> Option<Deferral> {
        // So many changes a day are spent well when each holds for its share of the day.
        let share = policy.changes_per_day.map_or(0, |most| 86_400 / i64::from(most.max(1)));
        let over = delta(policy.stabilization).max(TimeDelta::seconds(share));
        let recent = || self.wanted.iter().rev().take_while(|(at, _)| now - *at < over);
        let least = recent().map(|(_, wanted)| *wanted).max()?.min(from);
        let (since, _) = recent().find(|(_, wanted)| *wanted >= least)?;
        (wanted < least).then(|| Deferral { least, over, until: *since + over })
    }
}

/// Why a floor is not moved from `from` to `to` at `now`; `None` where nothing holds it.
pub(super) fn hold(workload: &Observed, past: &Past, from: u32, to: u32, now: DateTime<Utc>) -> Option<HoldReason> {
    let policy = &workload.policy.spec.replicas;
    if to < from {
        let until = past.moves.last().map(|at| *at + delta(policy.cool_down));
        if let Some(until) = until.filter(|until| now < *until) {
            return Some(HoldReason::CoolingDown { until });
        }
        if let Some(restarts) = recent_restarts(workload, now) {
            return Some(HoldReason::Restarting { restarts });
        }
        if let Some((cause, end)) = workload.censored.lately(now, UNKNOWN) {
            return Some(HoldReason::Censored { cause, until: end + UNKNOWN });
        }
    }
    let most = policy.changes_per_day?;
    let budget = Budget::after(Some(most as usize), past.moves.iter().map(DateTime::timestamp));
    let next = budget.next(now.timestamp(), to > from);
    let until = DateTime::from_timestamp(next, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (next > now.timestamp()).then_some(HoldReason::ChangesSpent { most, until })
}

/// Container restarts within the last hour; `None` where there was none, or none was measured.
fn recent_restarts(workload: &Observed, now: DateTime<Utc>) -> Option<u32> {
    let restarts = workload.restarts.as_ref()?.known_at(now.timestamp());
    let first = now.timestamp() - 3600;
    let recent: f64 =
        (0..restarts.len()).filter(|i| restarts.start() + restarts.step() * *i as i64 >= first).filter_map(|i| restarts.get(i)).sum();
    (recent >= 0.5).then(|| recent.round() as u32)
}
