//! What a rolling replay over the last two weeks says is best for one workload: which model, at which price, under which settings of its HPA.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::backtest::{STABILIZATIONS, TARGETS};
use super::pilot::Flown;
use super::rolling::{Course, Rolling, TRIED};
use super::trace::median_step;
use super::{Aim, Cadence, DAY, Hpa, MINUTE, Settings, Trace};
use crate::decide;
use crate::forecast::{self, LEAST_HISTORY, Recipe};
use crate::model::snapshot::Driven;
use crate::model::study::Tried;
use crate::model::{Calendar, Censored, HpaSetting, NoStudy, Observed, Series, Snapshot, Study, Subject, Tuning, on_all_cores};

/// The models that compete, the simplest first.
const MODELS: [&str; 4] = ["seasonal-naive", "recent", "linear", "forest"];
/// The simplest model wins whose cost is at most this much above the least, as a share.
const HARDLY_MORE: f64 = 0.01;
/// An HPA is set anew only where that saves at least this share of the cost.
const WORTH_A_CHANGE: f64 = 0.02;
/// The least that is replayed.
const LEAST_REPLAY: TimeDelta = TimeDelta::days(3);

/// What one is asked of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Demand as `(epoch seconds, value)`, sorted by time; a sample is known a step after its stamp.
    pub samples: &'a [(i64, f64)],
    /// Seconds between samples.
    pub step: i64,
    /// Epoch seconds up to which demand is known.
    pub now: i64,
    /// Demand that one replica carries.
    pub capacity: f64,
    /// When decisions are made and when they take effect.
    pub cadence: Cadence,
    /// What they aim at.
    pub aim: Aim,
    /// The clock on the wall that demand follows.
    pub calendar: &'a Calendar,
}

/// The champion, and what each model came to, the simplest first.
#[derive(Clone, Debug)]
pub struct Champion {
    /// The simplest model whose cost is hardly above the least.
    pub recipe: &'static Recipe,
    /// What each model's decisions came to.
    pub models: Vec<Tried>,
    /// What it saved of the simplest model's cost, as a share.
    pub gain: f64,
    flown: Flown,
}

/// From when on there is a replay: two weeks ago, or after the first day.
fn replayed_from(first: i64, now: i64) -> i64 {
    (now - TRIED * DAY as i64 * MINUTE).max(first + LEAST_HISTORY.num_seconds())
}

/// Fails where too little was measured before `now` to learn from and replay.
fn enough(mut measured: impl Iterator<Item = i64>, step: i64, now: i64) -> Result<(), NoStudy> {
    let first = measured.next().unwrap_or(now);
    let from = replayed_from(first, now);
    let (mut all, mut replayed) = (i64::from(first < now), 0);
    for stamped in measured.filter(|stamped| *stamped < now) {
        all += 1;
        replayed += i64::from(stamped >= from);
    }
    if step * replayed < LEAST_REPLAY.num_seconds() {
        return Err(NoStudy::ShortHistory { have: TimeDelta::seconds(step * all), need: LEAST_HISTORY + LEAST_REPLAY });
    }
    Ok(())
}

impl Question<'_> {
    /// What a model's decisions came to under each of these autoscalers.
    fn flown(&self, recipe: &'static Recipe, hpas: &[Option<Hpa>]) -> Result<Vec<Flown>, NoStudy> {
        let first = self.samples.first().map_or(self.now, |(stamped, _)| *stamped);
        let course = Course {
            capacity: self.capacity,
            cadence: self.cadence,
            aims: &[self.aim],
            most_changes: None,
            stabilize: 0,
            recipe,
            calendar: self.calendar,
            hpas,
            tried: replayed_from(first, self.now),
            settled: i64::MAX,
        };
        let mut rolling = Rolling::new(self.samples, self.step, course);
        for at in rolling.instants(self.now - self.cadence.lead_seconds()) {
            rolling.step(at);
        }
        rolling.flown(self.now).ok_or(NoStudy::NotDecided)
    }

    /// The model that does best, each under that of these autoscalers under which it does.
    pub fn champion(&self, hpas: &[Option<Hpa>]) -> Result<Champion, NoStudy> {
        enough(self.samples.iter().map(|(stamped, _)| *stamped), self.step, self.now)?;
        let mut flown = Vec::new();
        for recipe in MODELS.iter().filter_map(|name| Recipe::named(name)) {
            let under_each = self.flown(recipe, hpas)?;
            flown.extend(under_each.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).map(|best| (recipe, best)));
        }
        let least = flown.iter().map(|(_, flown)| flown.cost).fold(f64::INFINITY, f64::min);
        let simplest = flown.first().map_or(0.0, |(_, flown)| flown.cost);
        let models =
            flown.iter().map(|(recipe, flown)| Tried { model: recipe.name.to_owned(), cost: flown.cost, short: flown.short }).collect();
        let (recipe, flown) = flown.into_iter().find(|(_, flown)| flown.cost <= least * (1.0 + HARDLY_MORE)).ok_or(NoStudy::NotDecided)?;
        Ok(Champion { recipe, models, gain: if simplest > 0.0 { 1.0 - flown.cost / simplest } else { 0.0 }, flown })
    }
}

/// The champion at an aim over what was known of a trace at the first decision; the usual model where that is too little.
pub fn champion_before(trace: &Trace, settings: &Settings, aim: Aim) -> &'static Recipe {
    let known = &trace.samples()[..trace.samples().partition_point(|(stamped, _)| *stamped < settings.from)];
    let Some(step) = median_step(known) else { return Recipe::usual() };
    let question = Question {
        samples: known,
        step,
        now: settings.from,
        capacity: settings.capacity,
        cadence: settings.cadence,
        aim,
        calendar: &Calendar::default(),
    };
    question.champion(&settings.above.hpas()).map_or_else(|_| Recipe::usual(), |champion| champion.recipe)
}

/// A workload that can be studied.
struct Case<'a> {
    workload: &'a Observed,
    demand: &'a Series,
    now: DateTime<Utc>,
    cadence: Cadence,
    subject: Subject,
    /// The HPA as it stands, where it is known what it does.
    hpa: Option<Hpa>,
    /// Settings to try instead.
    others: Vec<HpaSetting>,
}

impl<'a> Case<'a> {
    fn of(workload: &'a Observed, driven: &'a Driven, now: DateTime<Utc>, settings: &forecast::Settings) -> Result<Self, NoStudy> {
        let demand = driven.demand.as_ref().map_err(|_| NoStudy::NotDecided)?;
        let capacity = decide::capacity(workload, driven).map_err(|_| NoStudy::NotDecided)?;
        let present = decide::hpa_of(workload, &driven.signal, capacity);
        let tunable = decide::tunable(workload).ok().flatten();
        let others = tunable.as_ref().map_or_else(Vec::new, |tunable| {
            let with_targets = |minutes| TARGETS.map(|target| tunable.setting(target, minutes as u32 * 60));
            let mut others: Vec<HpaSetting> = STABILIZATIONS.into_iter().flat_map(with_targets).collect();
            others.retain(|setting| !setting.is_like(&tunable.present) && tunable.is_possible(setting));
            others.dedup();
            others
        });
        let window = settings.window(workload, now);
        let cadence =
            Cadence { every: settings.every.num_minutes().max(1) as usize, lead: (window.from - now).num_minutes().max(0) as usize };
        let subject = Subject {
            signal: driven.signal.clone(),
            capacity,
            aim: workload.policy.spec.aim(),
            hpa: present.map(|(setting, _)| setting),
            most: present.map(|(_, hpa)| hpa.most),
            tuned: tunable.is_some(),
            every: settings.every,
            lead: window.from - now,
            calendar: workload.policy.spec.calendar.clone(),
        };
        let cut = cut_short(demand, &workload.censored);
        let is_told = |i: &usize| demand.get(*i).is_some() && !cut.as_ref().is_some_and(|cut| cut[*i]);
        let measured = (0..demand.len()).filter(is_told).map(|i| demand.start() + demand.step() * i as i64);
        enough(measured, demand.step(), now.timestamp())?;
        Ok(Self { workload, demand, now, cadence, subject, hpa: present.map(|(_, hpa)| hpa), others })
    }

    fn study(&self) -> Result<Study, NoStudy> {
        let now = self.now.timestamp();
        let (samples, step) = samples(&self.demand.known_at(now), &self.workload.censored);
        let Subject { capacity, aim, .. } = self.subject;
        let question =
            Question { samples: &samples, step, now, capacity, cadence: self.cadence, aim, calendar: &self.workload.policy.spec.calendar };
        let Champion { recipe, models, gain, flown } = question.champion(&[self.hpa])?;
        let hpa = self.hpa.map(|present| self.tuning(&question, present, recipe, flown.cost)).transpose()?.flatten();
        Ok(Study {
            overlay: self.workload.overlay.clone(),
            workload: self.workload.rendered.id.clone(),
            at: self.now,
            replayed: TimeDelta::seconds(now - replayed_from(samples.first().map_or(now, |(stamped, _)| *stamped), now)),
            subject: self.subject.clone(),
            model: recipe.name.to_owned(),
            price: flown.price,
            stretch: flown.stretch,
            hpa,
            models,
            gain,
        })
    }

    /// The settings of the HPA under which the champion costs least; `None` where that is hardly less than now.
    fn tuning(&self, question: &Question, present: Hpa, recipe: &'static Recipe, before: f64) -> Result<Option<Tuning>, NoStudy> {
        if self.others.is_empty() {
            return Ok(None);
        }
        let hpas: Vec<Option<Hpa>> = self.others.iter().map(|setting| Some(decide::set_so(present, setting))).collect();
        let flown = question.flown(recipe, &hpas)?;
        let best = self.others.iter().zip(flown).min_by(|a, b| a.1.cost.total_cmp(&b.1.cost));
        Ok(best.filter(|(_, flown)| flown.cost <= before * (1.0 - WORTH_A_CHANGE)).map(|(setting, flown)| Tuning {
            to: *setting,
            price: flown.price,
            stretch: flown.stretch,
            before,
            after: flown.cost,
        }))
    }
}

/// What was measured and not cut short, as samples of at least a minute, and the seconds between them.
fn samples(known: &Series, censored: &Censored) -> (Vec<(i64, f64)>, i64) {
    let series = if known.step() < MINUTE { known.maxima(MINUTE) } else { known.clone() };
    let (start, step) = (series.start(), series.step());
    let cut = cut_short(&series, censored);
    let told = (0..series.len()).filter(|i| !cut.as_ref().is_some_and(|cut| cut[*i]));
    (told.filter_map(|i| Some((start + step * i as i64, series.get(i)?))).collect(), step)
}

/// Which points of a series were cut short; `None` where none was, as mostly.
fn cut_short(series: &Series, censored: &Censored) -> Option<Vec<bool>> {
    let mut cut = None;
    for (_, from, to) in censored.stretches() {
        let index = |at: i64| (at - series.start()).div_euclid(series.step()).clamp(0, series.len() as i64) as usize;
        let (from, to) = (index(from), index(to + series.step() - 1));
        cut.get_or_insert_with(|| vec![false; series.len()])[from.min(to)..to].fill(true);
    }
    cut
}

/// The studies of a snapshot's workloads, signal by signal.
#[derive(Clone, Debug)]
pub struct Studies {
    /// That of each signal of each workload, one after the other; where there is none, why.
    pub each: Vec<Result<Study, NoStudy>>,
    /// Those that were made just now.
    pub made: Vec<Study>,
}

/// What is known already where it still fits and is not outdated, and at most `most` studies that are due, made anew: what has none goes first,
/// then the oldest. `tick` is called after each.
pub fn studies(
    snapshot: &Snapshot,
    known: &[Study],
    settings: &forecast::Settings,
    most: usize,
    tick: impl Fn(&Observed, &Result<Study, NoStudy>) + Sync,
) -> Studies {
    let cases: Vec<Result<Case, NoStudy>> = snapshot
        .workloads
        .iter()
        .flat_map(|workload| workload.signals.iter().map(move |driven| Case::of(workload, driven, snapshot.now, settings)))
        .collect();
    let mut each: Vec<Result<Study, NoStudy>> = cases
        .iter()
        .map(|case| {
            let case = case.as_ref().map_err(Clone::clone)?;
            let its =
                known.iter().filter(|study| study.key() == (&case.workload.overlay, &case.workload.rendered.id, &case.subject.signal));
            let fit =
                its.filter(|study| study.fits(&case.subject) && !study.is_outdated(snapshot.now) && Recipe::named(&study.model).is_some());
            fit.max_by_key(|study| study.at).cloned().ok_or(NoStudy::NotYet)
        })
        .collect();
    let due: BTreeSet<(Option<DateTime<Utc>>, usize)> = each
        .iter()
        .enumerate()
        .filter_map(|(i, study)| match study {
            Ok(study) => study.is_due(snapshot.now).then_some((Some(study.at), i)),
            Err(why) => (*why == NoStudy::NotYet).then_some((None, i)),
        })
        .collect();
    let due: Vec<(usize, &Case)> = due.into_iter().take(most).filter_map(|(_, i)| Some((i, cases[i].as_ref().ok()?))).collect();
    let answers = on_all_cores(&due, |(_, case)| {
        let answer = case.study();
        tick(case.workload, &answer);
        answer
    });
    let mut made = Vec::new();
    for ((i, _), answer) in due.into_iter().zip(answers) {
        made.extend(answer.clone().ok());
        // What did well so far is better than nothing.
        if answer.is_ok() || each[i].is_err() {
            each[i] = answer;
        }
    }
    Studies { each, made }
}

#[cfg(test)]
mod tests;
