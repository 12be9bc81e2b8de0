//! When changes may be written: weekly windows and freezes, by the clock on the wall of an IANA time zone.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{HoldReason, Rhythm};

/// How a freeze's instants are written.
const LOCAL: &str = "%Y-%m-%dT%H:%M";
/// So far ahead the next open minute is looked for.
const AHEAD: TimeDelta = TimeDelta::days(400);

/// Weekly windows in which changes are written; none for any time. In YAML one list for both rhythms, or one for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WindowsForm", rename_all = "camelCase")]
pub struct Windows {
    /// Of floors. Default: any time.
    pub floors: Vec<Weekly>,
    /// Of templates, whose change restarts every pod. Default: any time.
    pub templates: Vec<Weekly>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a list of windows, or a mapping with `floors` and `templates`, each such a list; a window is {days, from, to}"
)]
enum WindowsForm {
    Both(Vec<Weekly>),
    Each(EachWindows),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct EachWindows {
    floors: Vec<Weekly>,
    templates: Vec<Weekly>,
}

impl From<WindowsForm> for Windows {
    fn from(form: WindowsForm) -> Self {
        match form {
            WindowsForm::Both(all) => Self { floors: all.clone(), templates: all },
            WindowsForm::Each(EachWindows { floors, templates }) => Self { floors, templates },
        }
    }
}

/// A window of the week. One that ends before it begins ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weekly {
    /// On which days it begins. Default: all of them.
    #[serde(default = "every_day")]
    pub days: BTreeSet<Day>,
    /// When it begins. Default: 00:00.
    #[serde(default)]
    pub from: Clock,
    /// When it ends; as long as nothing, or the same as `from`, after a whole day. Default: 00:00.
    #[serde(default)]
    pub to: Clock,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A time of day, to the minute: `08:30`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Clock(u16);

/// A time in which nothing is written, but for what it allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// Its first minute: `2026-12-20T00:00`.
    #[serde(with = "local")]
    #[schemars(with = "String")]
    pub from: NaiveDateTime,
    /// The first minute after it.
    #[serde(with = "local")]
    #[schemars(with = "String")]
    pub to: NaiveDateTime,
    /// What people are told. Default: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether what raises capacity is written all the same. Default: false.
    #[serde(default)]
    pub allow_rises: bool,
}

impl Windows {
    fn of(&self, rhythm: Rhythm) -> &[Weekly] {
        match rhythm {
            Rhythm::Floor => &self.floors,
            Rhythm::Template => &self.templates,
        }
    }
}

impl Weekly {
    /// Whether it is open at a local minute. It is read off the clock on the wall: where that skips an hour, so does the window, and an hour
    /// that comes twice is open twice.
    fn is_open(&self, local: NaiveDateTime) -> bool {
        let minute = (local.hour() * 60 + local.minute()) as u16;
        let (today, yesterday) = (Day::of(local.weekday()), Day::of(local.weekday().pred()));
        if self.from.0 < self.to.0 {
            self.days.contains(&today) && (self.from.0..self.to.0).contains(&minute)
        } else {
            self.days.contains(&today) && minute >= self.from.0 || self.days.contains(&yesterday) && minute < self.to.0
        }
    }
}

/// What keeps a change from being written at `at`, and until when: a freeze, or that no window is open. `rises` tells whether it raises capacity.
pub fn closed(
    (windows, freezes, zone): (&Windows, &[Freeze], Tz),
    (rhythm, rises): (Rhythm, bool),
    at: DateTime<Utc>,
) -> Option<HoldReason> {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let frozen = |local: NaiveDateTime| {
        let holds = |freeze: &&Freeze| (freeze.from..freeze.to).contains(&local) && !(freeze.allow_rises && rises);
        freezes.iter().find(holds)
    };
    let windows = windows.of(rhythm);
    let is_open = |local: NaiveDateTime| windows.is_empty() || windows.iter().any(|window| window.is_open(local));
    let now = local(at);
    if frozen(now).is_none() && is_open(now) {
        return None;
    }
    // All boundaries lie on whole minutes of the local clock, and so of UTC.
    let minute = DateTime::from_timestamp(at.timestamp().div_euclid(60) * 60, 0)?;
    let mut next = minute;
    let until = loop {
        // A long wait is passed at once; an hour of the clock may be skipped or come twice, so that its end is looked for from a little before.
        let here = local(next);
        let ahead = match frozen(here) {
            Some(freeze) => freeze.to - here - TimeDelta::days(1),
            None => until_start(windows, here) - TimeDelta::hours(1),
        };
        next += ahead.max(TimeDelta::minutes(1));
        if next - minute > AHEAD {
            break None;
        }
        if frozen(local(next)).is_none() && is_open(local(next)) {
            break Some(next);
        }
    };
    Some(match frozen(now) {
        Some(freeze) => HoldReason::Frozen { why: freeze.why.clone(), until },
        None => HoldReason::OutsideWindow { until },
    })
}

/// How long it is by the clock until some window begins, on whatever day.
fn until_start(windows: &[Weekly], local: NaiveDateTime) -> TimeDelta {
    let minute = i64::from(local.hour() * 60 + local.minute());
    let starts = windows.iter().flat_map(|window| [i64::from(window.from.0), 0]);
    let next = starts.map(|start| (start - minute - 1).rem_euclid(1440) + 1).min().unwrap_or(1);
    TimeDelta::minutes(next)
}

impl Day {
    const ALL: [Self; 7] = [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    fn of(day: Weekday) -> Self {
        Self::ALL[day.num_days_from_monday() as usize]
    }
}

fn every_day() -> BTreeSet<Day> {
    Day::ALL.into()
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Clock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML 1.1 would read 8:30 as a number of base sixty; this reader does not.
        let text = String::deserialize(deserializer)?;
        if text == "24:00" {
            return Ok(Self(0));
        }
        let time = NaiveTime::parse_from_str(&text, "%H:%M");
        let time = time.map_err(|_| D::Error::custom(format!("`{text}` is no time of day: write for instance \"08:30\"")))?;
        Ok(Self((time.hour() * 60 + time.minute()) as u16))
    }
}

mod local {
    use chrono::NaiveDateTime;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(at: &NaiveDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&at.format(super::LOCAL))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        NaiveDateTime::parse_from_str(&text, super::LOCAL)
            .map_err(|_| D::Error::custom(format!("`{text}` is no local time: write for instance 2026-12-20T00:00")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// Until when a floor's fall is held at each instant: `open`, or the end, or `never`.
    fn fates(windows: &str, freezes: &str, zone: &str, at: &[&str]) -> Vec<String> {
        let windows: Windows = serde_yaml::from_str(windows).unwrap();
        let freezes: Vec<Freeze> = serde_yaml::from_str(freezes).unwrap();
        let zone: Tz = zone.parse().unwrap();
        let fate = |at: &&str| match closed((&windows, &freezes, zone), (Rhythm::Floor, false), utc(at)) {
            None => "open".to_owned(),
            Some(HoldReason::Frozen { until, .. } | HoldReason::OutsideWindow { until }) => {
                until.map_or("never".to_owned(), |until| until.format("%Y-%m-%dT%H:%MZ").to_string())
            }
            Some(other) => panic!("{other:?}"),
        };
        at.iter().map(fate).collect()
    }

    #[test]
    fn a_window_is_read_off_the_clock_on_the_wall() {
        let office = "[{days: [monday, tuesday, wednesday, thursday, friday], from: '08:00', to: '18:00'}]";
        // Berlin is an hour ahead in winter and two in summer; the clock changes on the 29th of March and the 25th of October.
        let at = ["2026-03-27T07:00:00Z", "2026-03-27T17:00:00Z", "2026-03-30T06:00:00Z", "2026-03-30T05:59:59Z", "2026-10-23T16:00:00Z"];
        assert_eq!(
            fates(office, "[]", "Europe/Berlin", &at),
            ["open", "2026-03-30T06:00Z", "open", "2026-03-30T06:00Z", "2026-10-26T07:00Z"]
        );
    }

    #[test]
    fn a_window_may_lie_in_an_hour_that_is_skipped_or_comes_twice() {
        let night = "[{days: [sunday], from: '02:00', to: '03:00'}]";
        // On the 29th of March there is no such hour.
        assert_eq!(fates(night, "[]", "Europe/Berlin", &["2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"]), ["2026-04-05T00:00Z"; 2]);
        // On the 25th of October it comes twice: from 00:00 to 01:00 and from 01:00 to 02:00 UTC.
        let at = ["2026-10-24T23:59:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        assert_eq!(fates(night, "[]", "Europe/Berlin", &at), ["2026-10-25T00:00Z", "open", "open", "2026-11-01T01:00Z"]);
    }

    #[test]
    fn a_window_may_pass_midnight_and_the_year() {
        let nights = "[{days: [thursday], from: '22:00', to: '04:00'}]";
        // The 31st of December 2026 is a Thursday.
        let at = ["2026-12-31T21:59:00Z", "2026-12-31T22:00:00Z", "2027-01-01T03:59:00Z", "2027-01-01T04:00:00Z"];
        assert_eq!(fates(nights, "[]", "UTC", &at), ["2026-12-31T22:00Z", "open", "open", "2027-01-07T22:00Z"]);
        let all_day = "[{days: [thursday]}]";
        assert_eq!(fates(all_day, "[]", "UTC", &["2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z"]), ["open", "2027-01-07T00:00Z"]);
    }

    #[test]
    fn a_freeze_ends_by_the_clock_on_the_wall() {
        let freeze = "[{from: 2026-12-20T00:00, to: 2027-01-04T06:00, why: end of the year}]";
        let at = ["2026-12-20T04:59:00Z", "2026-12-20T05:00:00Z", "2027-01-04T10:59:00Z", "2027-01-04T11:00:00Z"];
        assert_eq!(fates("[]", freeze, "America/New_York", &at), ["open", "2027-01-04T11:00Z", "2027-01-04T11:00Z", "open"]);
        // It ends within a closed window: the next open minute counts.
        let office = "[{from: '09:00', to: '17:00'}]";
        assert_eq!(fates(office, freeze, "America/New_York", &["2026-12-24T15:00:00Z"]), ["2027-01-04T14:00Z"]);
        // One that ends in the hour that comes twice holds until it has come the second time.
        let autumn = "[{from: 2026-10-01T00:00, to: 2026-10-25T02:30}]";
        let at = ["2026-10-10T00:00:00Z", "2026-10-25T00:31:00Z", "2026-10-25T01:00:00Z"];
        assert_eq!(fates("[]", autumn, "Europe/Berlin", &at), ["2026-10-25T00:30Z", "open", "2026-10-25T01:30Z"]);
        assert_eq!(fates("[]", "[{from: 2026-01-01T00:00, to: 2030-01-01T00:00}]", "UTC", &["2026-06-01T00:00:00Z"]), ["never"]);
    }

    #[test]
    fn rises_and_rhythms() {
        let windows: Windows = serde_yaml::from_str("{templates: [{days: [saturday], from: '02:00', to: '06:00'}]}").unwrap();
        let freezes: Vec<Freeze> = serde_yaml::from_str("[{from: 2026-12-20T00:00, to: 2027-01-04T06:00, allowRises: true}]").unwrap();
        let code = |rhythm, rises, at| closed((&windows, &freezes, Tz::UTC), (rhythm, rises), utc(at)).map(|why| why.code());
        let (frozen, before) = ("2026-12-24T12:00:00Z", "2026-12-17T12:00:00Z");
        assert_eq!(code(Rhythm::Floor, false, frozen), Some("frozen"));
        assert_eq!(code(Rhythm::Floor, true, frozen), None);
        assert_eq!(code(Rhythm::Floor, false, before), None);
        assert_eq!(code(Rhythm::Template, true, before), Some("outside-window"));
    }

    #[test]
    fn what_is_written_is_checked() {
        let error = |text: &str| serde_yaml::from_str::<Windows>(text).unwrap_err().to_string();
        assert!(error("[{days: [lundi]}]").contains("{days, from, to}"), "{}", error("[{days: [lundi]}]"));
        let error = |text: &str| serde_yaml::from_str::<Weekly>(text).unwrap_err().to_string();
        assert!(error("{from: '25:00'}").contains("`25:00` is no time of day"));
        assert!(error("{day: [monday]}").contains("day"));
        let kept: Windows = serde_yaml::from_str("{floors: [{from: '08:30', to: '24:00'}]}").unwrap();
        assert_eq!(serde_yaml::from_str::<Windows>(&serde_yaml::to_string(&kept).unwrap()).unwrap(), kept);
    }
}
