//! A day-ahead plan as cron triggers of a ScaledObject, each pinned to a date.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use serde::{Deserialize, Serialize};

/// What the names of Prescale's triggers begin with: by it they are told from those of people.
pub const OWN_TRIGGER: &str = "prescale-";

/// Prescale's own cron triggers of one ScaledObject, in the order of their names, which differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<CronWindow>", into = "Vec<CronWindow>")]
pub struct Schedule(Vec<CronWindow>);

/// A cron trigger: at least this many replicas from one minute of a date to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronWindow {
    /// Its name.
    pub name: TriggerName,
    /// The name of the time zone that both ends are in, as KEDA takes it: `Etc/UTC`, `Asia/Kolkata`.
    pub timezone: String,
    /// From when on.
    pub start: Pinned,
    /// Until when.
    pub end: Pinned,
    /// How many replicas.
    pub desired_replicas: u32,
}

/// The name of a trigger that Prescale owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TriggerName(String);

/// A minute of a day of the year, in cron's words `minute hour day month *`. A cron expression holds no year: what is past must be pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pinned {
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
}

/// A schedule, or a part of one, that KEDA or Prescale would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Two triggers have one name.
    #[error("two triggers are named `{0}`")]
    Twice(String),
    /// The name is not Prescale's.
    #[error("`{0}` is no name of a trigger of Prescale: it begins with `{OWN_TRIGGER}` and goes on with a-z, 0-9, `-`")]
    Name(String),
    /// Not pinned to a date.
    #[error("`{0}` is no minute of a date: write `minute hour day month *`")]
    Pinned(String),
}

impl Schedule {
    /// The triggers.
    pub fn windows(&self) -> &[CronWindow] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<CronWindow>> for Schedule {
    type Error = ScheduleError;

    fn try_from(mut windows: Vec<CronWindow>) -> Result<Self, ScheduleError> {
        windows.sort();
        match windows.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(ScheduleError::Twice(pair[0].name.to_string())),
            None => Ok(Self(windows)),
        }
    }
}

impl From<Schedule> for Vec<CronWindow> {
    fn from(schedule: Schedule) -> Self {
        schedule.0
    }
}

impl TryFrom<String> for TriggerName {
    type Error = ScheduleError;

    fn try_from(name: String) -> Result<Self, ScheduleError> {
        let rest = name.strip_prefix(OWN_TRIGGER).unwrap_or_default();
        let fits = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits { Ok(Self(name)) } else { Err(ScheduleError::Name(name)) }
    }
}

impl TriggerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pinned {
    /// The minute of a local time.
    pub fn at(time: NaiveDateTime) -> Self {
        Self { month: time.month(), day: time.day(), hour: time.hour(), minute: time.minute() }
    }
}

impl FromStr for Pinned {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let wrong = || ScheduleError::Pinned(text.to_owned());
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, "*"] = parts[..] else { return Err(wrong()) };
        let number = |part: &str| part.parse::<u32>().map_err(|_| wrong());
        let (month, day, hour, minute) = (number(month)?, number(day)?, number(hour)?, number(minute)?);
        // A leap year, so that the 29th of February is a date.
        let time = NaiveDate::from_ymd_opt(2024, month, day).and_then(|date| date.and_hms_opt(hour, minute, 0));
        time.map(Self::at).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Pinned {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

macro_rules! string_from {
    ($($name:ty),+) => {
        $(impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        })+
    };
}
string_from!(TriggerName, Pinned);

impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, day, hour, minute } = self;
        f.pad(&format!("{minute} {hour} {day} {month} *"))
    }
}

/// For people: `2 of 11-25 08:30 to 11-25 09:45 Etc/UTC, …`, or `none`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |Pinned { month, day, hour, minute }: Pinned| format!("{month:02}-{day:02} {hour:02}:{minute:02}");
        let window = |window: &CronWindow| {
            format!("{} from {} to {} {}", window.desired_replicas, time(window.start), time(window.end), window.timezone)
        };
        let windows: Vec<String> = self.0.iter().map(window).collect();
        f.pad(if windows.is_empty() { "none".to_owned() } else { windows.join(", ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes_of_dates() {
        let time = NaiveDate::from_ymd_opt(2026, 11, 25).unwrap().and_hms_opt(8, 30, 59).unwrap();
        assert_eq!(Pinned::at(time).to_string(), "30 8 25 11 *");
        for text in ["30 8 25 11 *", "0 0 29 2 *", "59 23 31 12 *"] {
            assert_eq!(text.parse::<Pinned>().unwrap().to_string(), text);
        }
        for text in ["", "30 8 25 11", "30 8 25 11 1", "30 8 * 11 *", "60 8 25 11 *", "30 24 25 11 *", "0 0 30 2 *", "*/5 8 25 11 *"] {
            assert!(text.parse::<Pinned>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_holds_each_name_once_and_none_of_others() {
        let window = |name: &str| {
            format!(r#"{{"name": "{name}", "timezone": "Etc/UTC", "start": "0 8 25 11 *", "end": "30 9 25 11 *", "desiredReplicas": 4}}"#)
        };
        let read = |names: &[&str]| {
            let windows: Vec<String> = names.iter().map(|name| window(name)).collect();
            serde_json::from_str::<Schedule>(&format!("[{}]", windows.join(","))).map_err(|error| error.to_string())
        };
        let schedule = read(&["prescale-b", "prescale-a"]).unwrap();
        assert_eq!(schedule.windows().iter().map(|window| window.name.to_string()).collect::<Vec<_>>(), ["prescale-a", "prescale-b"]);
        assert_eq!(read(&["prescale-a"]).unwrap().to_string(), "4 from 11-25 08:00 to 11-25 09:30 Etc/UTC");
        assert_eq!(Schedule::default().to_string(), "none");
        assert!(read(&["prescale-a", "prescale-a"]).unwrap_err().contains("two triggers"));
        for name in ["office-hours", "prescale-", "prescale-A", "prescale"] {
            assert!(read(&[name]).unwrap_err().contains("no name"), "{name}");
        }
        assert_eq!(serde_json::from_value::<Schedule>(serde_json::to_value(&schedule).unwrap()).unwrap(), schedule);
    }
}
