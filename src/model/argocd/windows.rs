//! The sync windows of an AppProject: when Argo CD syncs nothing by itself.
//!
//! All of it follows Argo CD's source (`pkg/apis/application/v1alpha1/types.go` at 37ee0097cf of August 2026), its oddities too:
//!
//! - A window is read off the clock on the wall, at the offset from UTC of that very moment. Where the clock skips an hour, so does the window:
//!   one that begins within it is active for what is left of it afterwards. A window in an hour that comes twice is active twice.
//! - A schedule has five fields, as robfig/cron reads them. Argo CD takes neither `@daily` nor `7` for Sunday; a schedule or duration that it
//!   cannot read stops all syncs of the Applications that the window is for.
//! - A schedule that never comes about, such as the 30th of February, is active for ever.
//!
//! A window begins at its minute and ends before the minute at its end. Argo CD leaves the very first instant out as well.

use std::fmt;
use std::iter;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Application, Project, items};

/// So far ahead the end of a freeze is looked for.
const AHEAD: TimeDelta = TimeDelta::days(8);
/// In so many days every schedule has begun that ever does: a 29th of February is at most eight years away.
const EVER: usize = 8 * 366;
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A sync window. Printed as `deny 0 22 * * * for 8h (Europe/Berlin)`.
#[derive(Clone, Debug)]
pub struct SyncWindow {
    /// Whether it allows or denies syncs; absent for what is neither, which Argo CD passes over.
    pub kind: Option<WindowKind>,
    /// When it begins, as written: `0 22 * * *`.
    pub schedule: String,
    /// How long it lasts, as written: `1h30m`.
    pub duration: String,
    /// The IANA time zone of its schedule, as written. Default: `UTC`.
    pub time_zone: String,
    /// Whether people may sync all the same. Default: false.
    pub manual_sync: bool,
    /// Whether a sync that began before goes on. Default: false.
    pub sync_overrun: bool,
    /// What people are told. Default: nothing.
    pub description: String,
    applications: Patterns,
    namespaces: Patterns,
    clusters: Patterns,
    and_operator: bool,
    zone: Option<Tz>,
    times: Result<(Cron, TimeDelta), String>,
}

/// What a sync window does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// There are no syncs outside of windows of this kind.
    Allow,
    /// There are no syncs in it, whatever others allow.
    Deny,
}

/// A time in which Argo CD does not sync an Application by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// The window that keeps it from it: one that denies, one that allows at other times, or one that Argo CD cannot read, with the reason.
    pub window: String,
    /// When it first may again; absent where that is more than eight days ahead, or never.
    pub until: Option<DateTime<Utc>>,
}

/// Patterns of names; `None` where none are given.
#[derive(Clone, Debug)]
struct Patterns(Option<Vec<GlobSet>>);

/// The minutes at which a window begins, by the clock on the wall.
#[derive(Clone, Debug)]
struct Cron {
    /// Of a day, in order.
    times: Vec<NaiveTime>,
    /// A bit each.
    months: u64,
    days: u64,
    weekdays: u64,
    /// Whether the day of the month and that of the week must both fit: where one of them is a star. Otherwise either is enough.
    both: bool,
}

/// What keeps Argo CD from syncing an Application of this project by itself at `at`; `None` where nothing does.
///
/// Windows of global projects are not in the project's document, and so are not known here.
pub fn frozen(project: &Project, application: &Application, at: DateTime<Utc>) -> Option<Frozen> {
    let windows: Vec<&SyncWindow> = project.windows.iter().filter(|window| window.is_for(application)).collect();
    let unreadable = windows.iter().find_map(|window| Some((window, window.times.as_ref().err()?)));
    if let Some((window, why)) = unreadable {
        return Some(Frozen { window: format!("{window}: {why}"), until: None });
    }
    let window = closed(&windows, at)?;
    let changes = iter::successors(Some(at), |at| windows.iter().filter_map(|window| window.change(*at)).min());
    let until = changes.take_while(|then| *then <= at + AHEAD).find(|then| closed(&windows, *then).is_none());
    Some(Frozen { window: window.to_string(), until })
}

/// The window that keeps from syncing at an instant: one that denies, or else one that allows at other times if none allows now.
fn closed<'a>(windows: &[&'a SyncWindow], at: DateTime<Utc>) -> Option<&'a SyncWindow> {
    let of =
        |kind: WindowKind, active: bool| windows.iter().copied().find(|window| window.kind == Some(kind) && window.is_active(at) == active);
    of(WindowKind::Deny, true).or_else(|| if of(WindowKind::Allow, true).is_some() { None } else { of(WindowKind::Allow, false) })
}

impl SyncWindow {
    pub(super) fn read(window: &Value) -> Self {
        let text = |key: &str| window[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| window[key].as_bool().unwrap_or_default();
        let (schedule, duration, time_zone) = (text("schedule"), text("duration"), text("timeZone"));
        let time_zone = if time_zone.is_empty() { Tz::UTC.name().to_owned() } else { time_zone };
        let times = Cron::parse(&schedule).and_then(|cron| {
            let lasts = go_duration(&duration);
            lasts.map(|lasts| (cron, lasts)).ok_or_else(|| format!("`{duration}` is no duration: write for instance `1h30m`"))
        });
        Self {
            kind: WindowKind::deserialize(&window["kind"]).ok(),
            zone: time_zone.parse().ok(),
            times,
            schedule,
            duration,
            time_zone,
            manual_sync: flag("manualSync"),
            sync_overrun: flag("syncOverrun"),
            description: text("description"),
            applications: Patterns::read(&window["applications"]),
            namespaces: Patterns::read(&window["namespaces"]),
            clusters: Patterns::read(&window["clusters"]),
            and_operator: flag("andOperator"),
        }
    }

    /// What is wrong with it, and what Argo CD makes of that; `None` where nothing is.
    pub fn error(&self) -> Option<String> {
        let why = match (&self.times, self.kind, self.zone) {
            (Err(why), ..) => format!("{why}; until then Argo CD syncs none of the Applications that it is for"),
            (_, None, _) => "its kind is neither `allow` nor `deny`, so that Argo CD passes over it".to_owned(),
            (.., None) => format!("`{}` is no IANA time zone, so that Argo CD takes it for UTC", self.time_zone),
            _ => return None,
        };
        Some(format!("sync window {self}: {why}"))
    }

    /// Whether it is for an Application: one of its lists names it, or with `andOperator` all that are given. One without lists is for none.
    pub fn is_for(&self, application: &Application) -> bool {
        let destination = &application.destination;
        let clusters: Vec<&str> = [&*destination.name, &*destination.server].into_iter().filter(|name| !name.is_empty()).collect();
        let given = [
            self.applications.name_any(&[&application.name]),
            self.clusters.name_any(&clusters),
            self.namespaces.name_any(&[&destination.namespace]),
        ];
        let mut given = given.into_iter().flatten().peekable();
        if self.and_operator { given.peek().is_some() && given.all(|named| named) } else { given.any(|named| named) }
    }

    fn wall(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone.unwrap_or(Tz::UTC)).naive_local()
    }

    fn is_active(&self, at: DateTime<Utc>) -> bool {
        let Ok((cron, lasts)) = &self.times else { return false };
        let wall = self.wall(at);
        cron.last(wall).is_none_or(|start| wall - start < *lasts)
    }

    /// When it may next begin or end, no farther ahead than the end of a freeze is looked for; `None` where it never does.
    fn change(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (cron, lasts) = self.times.as_ref().ok()?;
        let wall = self.wall(at);
        let since = wall - cron.last(wall)?;
        let ahead = if since < *lasts { *lasts - since } else { cron.next(wall).map_or(AHEAD, |next| next - wall) };
        let then = at + ahead.min(AHEAD);
        // The clock may change before that: to the second, as bisection finds it.
        let shift = |at: DateTime<Utc>| self.wall(at) - at.naive_utc();
        let shifted = |seconds: i64| DateTime::from_timestamp(seconds, 0).is_some_and(|then| shift(then) != shift(at));
        if shift(then) == shift(at) {
            return Some(then);
        }
        let (mut before, mut after) = (at.timestamp(), then.timestamp());
        while after - before > 1 {
            let middle = i64::midpoint(before, after);
            if shifted(middle) { after = middle } else { before = middle }
        }
        DateTime::from_timestamp(after, 0)
    }
}

impl fmt::Display for SyncWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Some(WindowKind::Allow) => "allow ",
            Some(WindowKind::Deny) => "deny ",
            None => "",
        };
        f.pad(&format!("{kind}{} for {} ({})", self.schedule, self.duration, self.time_zone))
    }
}

impl Patterns {
    /// What is no pattern names nothing, as with Argo CD.
    fn read(list: &Value) -> Self {
        let pattern = |pattern: &Value| GlobSetBuilder::new().add(Glob::new(pattern.as_str()?).ok()?).build().ok();
        let list = items(list);
        Self((!list.is_empty()).then(|| list.iter().filter_map(pattern).collect()))
    }

    /// Whether they name any of these; `None` where none are given.
    fn name_any(&self, names: &[&str]) -> Option<bool> {
        let patterns = self.0.as_ref()?;
        Some(patterns.iter().any(|pattern| names.iter().any(|name| pattern.is_match(name))))
    }
}

impl Cron {
    /// Reads five fields, as the parser does that Argo CD uses: without seconds, `@daily` and the like.
    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("`{text}` is no schedule of five fields: write for instance `0 22 * * *`"));
        };
        let (minutes, _) = field(minute, 0..=59, &[])?;
        let (hours, _) = field(hour, 0..=23, &[])?;
        let (days, any_day) = field(day, 1..=31, &[])?;
        let (months, _) = field(month, 1..=12, MONTHS)?;
        let (weekdays, any_weekday) = field(weekday, 0..=6, WEEKDAYS)?;
        let at = |hour: u32| {
            (0..60).filter(move |minute| has(minutes, *minute)).filter_map(move |minute| NaiveTime::from_hms_opt(hour, minute, 0))
        };
        let times = (0..24).filter(|hour| has(hours, *hour)).flat_map(at).collect();
        Ok(Self { times, months, days, weekdays, both: any_day || any_weekday })
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let (day, weekday) = (has(self.days, date.day()), has(self.weekdays, date.weekday().num_days_from_sunday()));
        has(self.months, date.month()) && if self.both { day && weekday } else { day || weekday }
    }

    /// How many of a day's starts lie at or before an instant.
    fn past(&self, day: NaiveDate, at: NaiveDateTime) -> usize {
        self.times.partition_point(|time| day.and_time(*time) <= at)
    }

    /// The last start at or before an instant; `None` where there never is one.
    fn last(&self, at: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut days = at.date().iter_days().rev().take(EVER).filter(|day| self.has_day(*day));
        days.find_map(|day| self.past(day, at).checked_sub(1).map(|last| day.and_time(self.times[last])))
    }

    /// The first start after an instant; `None` where it is farther ahead than anyone looks.
    fn next(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut days = after.date().iter_days().take(AHEAD.num_days() as usize + 2).filter(|day| self.has_day(*day));
        days.find_map(|day| self.times.get(self.past(day, after)).map(|time| day.and_time(*time)))
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits & (1 << value) != 0
}

/// The values that a field of a schedule names, a bit each, and whether a star names them all.
fn field(text: &str, range: RangeInclusive<u32>, names: &[&str]) -> Result<(u64, bool), String> {
    let (min, max) = range.into_inner();
    let value = |word: &str| {
        let by_name = names.iter().zip(min..).find(|(name, _)| name.eq_ignore_ascii_case(word));
        by_name.map_or_else(|| word.parse::<u32>().ok(), |(_, value)| Some(value))
    };
    let read = |part: &str| -> Option<(u64, bool)> {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let mut ends = span.split('-');
        let first = ends.next()?;
        let is_star = first == "*" || first == "?";
        let (low, high) = match (ends.next(), ends.next()) {
            _ if is_star => (min, max),
            // From a value on, in steps.
            (None, _) if step.is_some() => (value(first)?, max),
            (None, _) => (value(first)?, value(first)?),
            (Some(end), None) => (value(first)?, value(end)?),
            _ => return None,
        };
        let step = step.unwrap_or(1);
        let bits = (low..=high.min(max)).step_by(step).fold(0_u64, |bits, value| bits | (1_u64 << value));
        (min <= low && low <= high && high <= max).then_some((bits, is_star && step == 1))
    };
    let parts: Option<Vec<(u64, bool)>> = text.split(',').filter(|part| !part.is_empty()).map(read).collect();
    let parts = parts.ok_or_else(|| format!("`{text}` is no list of values, ranges and steps from {min} to {max}"))?;
    Ok(parts.into_iter().fold((0, false), |(bits, star), (more, is_star)| (bits | more, star || is_star)))
}

/// A duration as Go reads it: numbers with units, of which the largest are hours, and one sign before them all.
fn go_duration(text: &str) -> Option<TimeDelta> {
    let (sign, mut rest) = text.strip_prefix('-').map_or_else(|| (1, text.strip_prefix('+').unwrap_or(text)), |rest| (-1, rest));
    match rest {
        "" => return None,
        "0" => return Some(TimeDelta::zero()),
        _ => {}
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !is_number(c))?);
        let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
        let unit = match unit {
            "ns" => 1.0,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanoseconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    // Go's are 64 bits of nanoseconds, which is 292 years.
    (nanoseconds < i64::MAX as f64).then(|| TimeDelta::nanoseconds(sign * nanoseconds as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Seen;
    use super::*;

    fn project(windows: &Value) -> Project {
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}], "syncWindows": windows},
        });
        Project::read(&document).unwrap()
    }

    fn application(destination: &Value) -> Application {
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"}, "spec": {"destination": destination},
        });
        Application::read(&document, Seen::Cluster).unwrap()
    }

    /// A window for all Applications.
    fn window(kind: &str, schedule: &str, duration: &str, zone: &str) -> Value {
        json!({"kind": kind, "schedule": schedule, "duration": duration, "timeZone": zone, "applications": ["*"]})
    }

    /// Until when nothing is synced at each instant: `open`, or the end, or `never`.
    fn fates(windows: &Value, at: &[&str]) -> Vec<String> {
        let (project, application) = (project(windows), application(&json!({})));
        let fate = |at: &&str| match frozen(&project, &application, at.parse().unwrap()) {
            None => "open".to_owned(),
            Some(Frozen { until, .. }) => until.map_or("never".to_owned(), |until| until.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        };
        at.iter().map(fate).collect()
    }

    #[test]
    fn a_window_is_read_off_the_clock_on_the_wall() {
        let nights = json!([window("deny", "0 22 * * *", "8h", "Europe/Berlin")]);
        let at = ["2026-11-20T20:59:59Z", "2026-11-20T21:00:00Z", "2026-11-21T04:59:59.5Z", "2026-11-21T05:00:00Z", "2026-07-01T20:00:00Z"];
        let ends = ["open", "2026-11-21T05:00:00Z", "2026-11-21T05:00:00Z", "open", "2026-07-02T04:00:00Z"];
        assert_eq!(fates(&nights, &at), ends);
        let frozen = frozen(&project(&nights), &application(&json!({})), "2026-11-20T22:00:00Z".parse().unwrap());
        assert_eq!(frozen.unwrap().window, "deny 0 22 * * * for 8h (Europe/Berlin)");
    }

    #[test]
    fn the_clock_may_skip_an_hour_of_a_window() {
        // On the 29th of March 2026 Berlin goes from 02:00 to 03:00 at 01:00 UTC: of 02:30 to 03:30 half an hour is left.
        let within = json!([window("deny", "30 2 * * *", "1h", "Europe/Berlin")]);
        let at = ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:29:59Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"];
        let ends = ["open", "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", "open", "2026-03-30T01:30:00Z"];
        assert_eq!(fates(&within, &at), ends);
        // A window over it is an hour shorter.
        let over = json!([window("deny", "0 22 * * sat", "8h", "Europe/Berlin")]);
        assert_eq!(
            fates(&over, &["2026-03-28T20:59:00Z", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"]),
            ["open", "2026-03-29T04:00:00Z", "open"]
        );
    }

    #[test]
    fn an_hour_of_a_window_may_come_twice() {
        // On the 25th of October 2026 Berlin goes from 03:00 back to 02:00 at 01:00 UTC: 02:30 comes twice.
        let within = json!([window("deny", "30 2 * * *", "1h", "Europe/Berlin")]);
        let at = ["2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
        assert_eq!(fates(&within, &at), ["open", "2026-10-25T01:00:00Z", "open", "2026-10-25T02:30:00Z", "open"]);
        // A window over it is an hour longer.
        let over = json!([window("deny", "0 1 * * *", "2h", "Europe/Berlin")]);
        assert_eq!(
            fates(&over, &["2026-10-24T23:00:00Z", "2026-10-25T01:59:00Z", "2026-10-25T02:00:00Z"]),
            ["2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z", "open"]
        );
        let weekend = json!([window("deny", "0 22 * * FRI", "56h", "Europe/Berlin")]);
        assert_eq!(fates(&weekend, &["2026-10-24T12:00:00Z", "2026-10-26T05:00:00Z"]), ["2026-10-26T05:00:00Z", "open"]);
    }

    #[test]
    fn a_window_may_pass_the_end_of_the_year() {
        let eve = json!([window("deny", "0 20 31 dec *", "12h", "")]);
        let at = ["2026-12-31T19:59:00Z", "2026-12-31T20:00:00Z", "2027-01-01T07:59:59Z", "2027-01-01T08:00:00Z", "2027-06-01T00:00:00Z"];
        assert_eq!(fates(&eve, &at), ["open", "2027-01-01T08:00:00Z", "2027-01-01T08:00:00Z", "open", "open"]);
        // Too long to say when it ends.
        let long = json!([window("deny", "0 0 20 12 *", "400h", "UTC")]);
        assert_eq!(fates(&long, &["2026-12-20T00:00:00Z", "2027-01-01T00:00:00Z"]), ["never", "2027-01-05T16:00:00Z"]);
    }

    #[test]
    fn deny_beats_allow_and_an_allow_elsewhere_freezes() {
        let (noon, six) = ("2026-06-01T12:00:00Z", "2026-06-01T06:00:00Z");
        let allow = window("allow", "0 6 * * *", "2h", "UTC");
        let at = ["2026-06-01T05:59:59Z", six, "2026-06-01T07:59:59Z", "2026-06-01T08:00:00Z"];
        assert_eq!(fates(&json!([allow]), &at), [six, "open", "open", "2026-06-02T06:00:00Z"]);
        // Another that allows is enough.
        assert_eq!(fates(&json!([allow, window("allow", "0 12 * * *", "1m", "UTC")]), &[noon]), ["open"]);
        // One that denies is too much.
        let deny = window("deny", "30 6 * * *", "10m", "UTC");
        assert_eq!(fates(&json!([allow, deny]), &["2026-06-01T06:35:00Z"]), ["2026-06-01T06:40:00Z"]);
        // When one that denies ends, none allows.
        let late = window("deny", "0 7 * * *", "2h", "UTC");
        assert_eq!(fates(&json!([allow, late]), &["2026-06-01T07:30:00Z"]), ["2026-06-02T06:00:00Z"]);
        // Each day's follows the last.
        assert_eq!(
            fates(&json!([window("allow", "* * * * *", "1h", "UTC"), window("deny", "0 0 * * *", "24h", "UTC")]), &[noon]),
            ["never"]
        );
        assert_eq!(fates(&json!([]), &[noon]), ["open"]);
        assert_eq!(fates(&json!(null), &[noon]), ["open"]);
        assert_eq!(fates(&json!([null, window("refuse", "* * * * *", "1h", "UTC")]), &[noon]), ["open"]);
    }

    #[test]
    fn either_day_is_enough_unless_one_is_a_star() {
        let days = ["2026-06-01T12:00:00Z", "2026-07-01T12:00:00Z", "2026-07-02T12:00:00Z", "2026-07-03T12:00:00Z", "2026-07-06T12:00:00Z"];
        let open = |schedule: &str| {
            let fates = fates(&json!([window("deny", schedule, "24h", "UTC")]), &days);
            fates.iter().map(|fate| fate == "open").collect::<Vec<bool>>()
        };
        // The 1st of June and the 6th of July are Mondays.
        assert_eq!(open("0 0 1 * mon"), [false, false, true, true, false]);
        assert_eq!(open("0 0 * * MON"), [false, true, true, true, false]);
        assert_eq!(open("0 0 1 * ?"), [false, false, true, true, true]);
        assert_eq!(open("0 0 */2 * 4"), [false, false, false, false, true]);
        assert_eq!(open("0 0 1-3/2,5 jul *"), [true, false, true, false, true]);
        // A day that never comes.
        assert_eq!(open("0 0 30 2 *"), [false; 5]);
        assert_eq!(open("0 0 29 2 *"), [true; 5]);
    }

    #[test]
    fn a_window_is_for_what_its_lists_name() {
        let is_for = |mut window: Value, destination: Value| {
            window["kind"] = json!("deny");
            SyncWindow::read(&window).is_for(&application(&destination))
        };
        let (prod, dev) =
            (json!({"namespace": "shop-prod", "name": "eu"}), json!({"namespace": "shop-dev", "server": "https://dev.example.com:6443"}));
        for (window, in_prod, in_dev) in [
            (json!({}), false, false),
            (json!({"andOperator": true}), false, false),
            (json!({"applications": ["w*"]}), true, true),
            (json!({"applications": ["shop", "[!a-v]e?"]}), true, true),
            (json!({"applications": ["{api,db}*"]}), false, false),
            (json!({"applications": ["["]}), false, false),
            (json!({"namespaces": ["*-prod"]}), true, false),
            (json!({"clusters": ["eu"]}), true, false),
            (json!({"clusters": ["https://*.example.com*"]}), false, true),
            (json!({"clusters": ["*"]}), true, true),
            (json!({"applications": ["api"], "namespaces": ["*-prod"]}), true, false),
            (json!({"applications": ["api"], "namespaces": ["*-prod"], "andOperator": true}), false, false),
            (json!({"applications": ["web"], "namespaces": ["*-prod"], "andOperator": true}), true, false),
            (json!({"applications": ["web"], "clusters": ["eu"], "namespaces": ["*-dev"], "andOperator": true}), false, false),
            (json!({"clusters": ["eu"], "namespaces": [], "applications": null, "andOperator": true}), true, false),
        ] {
            assert_eq!((is_for(window.clone(), prod.clone()), is_for(window.clone(), dev.clone())), (in_prod, in_dev), "{window}");
        }
    }

    #[test]
    fn what_argo_cd_cannot_read_freezes_and_is_told() {
        let broken = project(&json!([window("allow", "0 6 * * *", "2h", "UTC"), window("deny", "@daily", "1h", "UTC")]));
        let frozen = frozen(&broken, &application(&json!({})), "2026-06-01T06:30:00Z".parse().unwrap()).unwrap();
        let why = "deny @daily for 1h (UTC): `@daily` is no schedule of five fields: write for instance `0 22 * * *`";
        assert_eq!(frozen, Frozen { window: why.to_owned(), until: None });
        assert_eq!(broken.windows[0].error(), None);
        let error = |window: Value| SyncWindow::read(&window).error().unwrap();
        assert_eq!(
            error(window("deny", "0 22 * * 7", "1h", "")),
            "sync window deny 0 22 * * 7 for 1h (UTC): `7` is no list of values, ranges and steps from 0 to 6; \
             until then Argo CD syncs none of the Applications that it is for"
        );
        assert!(error(window("deny", "0 22 * * *", "1d", "")).contains("`1d` is no duration"));
        assert!(error(window("freeze", "0 22 * * *", "1h", "")).contains("neither `allow` nor `deny`"));
        assert!(error(window("deny", "0 22 * * *", "1h", "Europe/Berln")).contains("`Europe/Berln` is no IANA time zone"));
        assert!(error(json!({})).contains("five fields"));
        let unzoned = json!([window("deny", "0 22 * * *", "1h", "Europe/Berln")]);
        assert_eq!(fates(&unzoned, &["2026-06-01T22:30:00Z"]), ["2026-06-01T23:00:00Z"]);
    }

    #[test]
    fn schedules_are_read_as_argo_cd_does() {
        let starts = |text: &str| Cron::parse(text).map(|cron| cron.times.len()).ok();
        for (text, expected) in [
            ("* * * * *", Some(1440)),
            ("0 22 * * *", Some(1)),
            ("*/15 * * * *", Some(96)),
            ("5/15 0 * * *", Some(4)),
            ("0,30 8-17 * JAN-mar mon-FRI", Some(20)),
            ("1-10/3,,7 0 ? * ?", Some(4)),
            ("  0\t6 1 * *  ", Some(1)),
            ("59 23 31 12 6", Some(1)),
            (", 0 * * *", Some(0)),
            ("", None),
            ("* * * *", None),
            ("0 * * * * *", None),
            ("@daily", None),
            ("60 * * * *", None),
            ("0 24 * * *", None),
            ("0 0 0 * *", None),
            ("0 0 32 * *", None),
            ("0 0 * 13 *", None),
            ("0 0 * * 7", None),
            ("0 0 * * fri-sun", None),
            ("0 0 L * *", None),
            ("mon 0 * * *", None),
            ("5-1 * * * *", None),
            ("1-2-3 * * * *", None),
            ("-5 * * * *", None),
            ("*/0 * * * *", None),
            ("1/2/3 * * * *", None),
            ("4294967295 * * * *", None),
        ] {
            assert_eq!(starts(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in [
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("90m", Some(5_400_000)),
            ("+1m1s1ms", Some(61_001)),
            ("1000us1000\u{b5}s", Some(2)),
            ("0", Some(0)),
            ("0h", Some(0)),
            ("-1h", Some(-3_600_000)),
            ("8760h", Some(31_536_000_000)),
            ("", None),
            ("-", None),
            ("1", None),
            ("h", None),
            ("1d", None),
            ("1h 30m", None),
            ("1h-5m", None),
            ("1.2.3h", None),
            ("99999999999h", None),
        ] {
            assert_eq!(go_duration(text).map(|lasts| lasts.num_milliseconds()), expected, "{text}");
        }
        // One that lasts for nothing, or for less, is never active.
        for duration in ["0", "-1h"] {
            assert_eq!(fates(&json!([window("deny", "* * * * *", duration, "UTC")]), &["2026-06-01T12:00:00Z"]), ["open"]);
        }
    }
}
