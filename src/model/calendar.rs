//! The clock that people live by: a time zone, with its changes of the hour, and the days on which they stay at home.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::nearest::nearest;

/// A time zone and its holidays. The default is UTC with none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Calendar {
    /// The IANA time zone whose clock demand follows. Default: UTC.
    #[serde(serialize_with = "write_zone", deserialize_with = "read_zone")]
    #[schemars(with = "String")]
    pub time_zone: Tz,
    /// Days on which demand is as on a Sunday. Default: none.
    #[schemars(with = "BTreeSet<String>")]
    pub holidays: BTreeSet<NaiveDate>,
}

/// What the clock on the wall says at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Minutes that local time is ahead of UTC.
    pub ahead: i32,
    /// Minutes since local midnight.
    pub minute: usize,
    /// What kind of day it is.
    pub day: Day,
}

/// Days that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// A holiday.
    Holiday,
    /// A Sunday that is none.
    Sunday,
    /// Any other.
    Other,
}

impl Day {
    /// Whether `past` may stand for this day: for a holiday a Sunday or another one; for other days all but holidays.
    pub fn is_like(self, past: Self) -> bool {
        match self {
            Self::Holiday => past != Self::Other,
            Self::Sunday | Self::Other => past != Self::Holiday,
        }
    }
}

impl Calendar {
    /// The clock at an instant, in epoch seconds.
    pub fn wall(&self, at: i64) -> Wall {
        let naive = |at| DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        let ahead = if self.time_zone == Tz::UTC { 0 } else { self.time_zone.offset_from_utc_datetime(&naive(at)).fix().local_minus_utc() };
        let local = at + i64::from(ahead);
        let day = if !self.holidays.is_empty() && self.holidays.contains(&naive(local).date()) {
            Day::Holiday
        } else if (local.div_euclid(86_400) + 4).rem_euclid(7) == 0 {
            Day::Sunday // the epoch began on a Thursday
        } else {
            Day::Other
        };
        Wall { ahead: ahead / 60, minute: local.div_euclid(60).rem_euclid(1440) as usize, day }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn write_zone<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}

fn read_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| {
        let near = nearest(&name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let near = near.map_or_else(|| "write for instance `Europe/Berlin`".to_owned(), |near| format!("do you mean `{near}`?"));
        D::Error::custom(format!("`{name}` is no IANA time zone: {near}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(yaml: &str) -> Result<Calendar, serde_yaml::Error> {
        serde_yaml::from_str(yaml)
    }

    fn epoch(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    #[test]
    fn the_clock_changes_with_the_zone_and_the_season() {
        let berlin = calendar("{timeZone: Europe/Berlin, holidays: [2026-12-25]}").unwrap();
        for (at, ahead, minute, day) in [
            ("2026-03-29T00:59:59Z", 60, 119, Day::Sunday),
            ("2026-03-29T01:00:00Z", 120, 180, Day::Sunday),
            ("2026-10-25T00:59:00Z", 120, 179, Day::Sunday),
            ("2026-10-25T01:00:00Z", 60, 120, Day::Sunday),
            ("2026-12-24T22:59:00Z", 60, 1439, Day::Other),
            ("2026-12-24T23:00:00Z", 60, 0, Day::Holiday),
        ] {
            assert_eq!(berlin.wall(epoch(at)), Wall { ahead, minute, day }, "{at}");
        }
        assert_eq!(Calendar::default().wall(epoch("2026-03-29T01:00:00Z")), Wall { ahead: 0, minute: 60, day: Day::Sunday });
    }

    #[test]
    fn an_unknown_zone_names_the_nearest() {
        let error = calendar("{timeZone: Europe/Berln}").unwrap_err().to_string();
        assert!(error.contains("do you mean `Europe/Berlin`?"), "{error}");
        let kept = calendar("{timeZone: America/New_York, holidays: [2026-07-04]}").unwrap();
        assert_eq!(calendar(&serde_yaml::to_string(&kept).unwrap()).unwrap(), kept);
    }
}
