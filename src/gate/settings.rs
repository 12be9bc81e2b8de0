//! What policies go by besides their input: `data.prescale.settings`, the shipped ones with the user's laid over them.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value as Json;

use super::GateError;
use super::input::number;
use crate::model::RepoPath;
use crate::model::nearest::nearest;

/// What the shipped policies go by.
const SHIPPED: &str = include_str!("../../policies/gate/settings.yaml");

/// How a freeze's instants are written, by the clock of its zone.
const LOCAL: &str = "%Y-%m-%dT%H:%M";

const SHARE: &str = "a share from 0 to 1, such as 0.5 for 50 %";
const AMOUNT: &str = "a number from 0";

/// The numbers that the shipped policies go by, the most that each may be, and what it is. Against one of another kind, or of percent where a share
/// is meant, nothing would ever be too much.
const NUMBERS: [(&str, f64, &str); 6] = [
    ("gate.settings.blastRadius.least", f64::MAX, AMOUNT),
    ("gate.settings.blastRadius.workloads", 1.0, SHARE),
    ("gate.settings.blastRadius.replicas", 1.0, SHARE),
    ("gate.settings.blastRadius.cost", f64::MAX, "a number from 0, or null for no limit"),
    ("gate.settings.scaleIn.share", 1.0, SHARE),
    ("gate.settings.newWorkload.days", f64::MAX, AMOUNT),
];

/// Settings that were checked.
#[derive(Clone, Debug)]
pub struct Settings {
    json: Json,
    zones: Vec<Tz>,
}

/// An entry of the calendar, as the policy `freeze` reads it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Freeze {
    from: String,
    to: String,
    #[serde(default = "utc")]
    time_zone: String,
    #[serde(default, rename = "why")]
    _why: String,
    #[serde(default)]
    overlays: Vec<String>,
    #[serde(default)]
    allow: Vec<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Settings {
    /// The shipped ones with these laid over them, key by key.
    pub fn over(own: &Json) -> Result<Self, GateError> {
        let mut json: Json = serde_yaml::from_str(SHIPPED).map_err(|error| GateError(format!("the shipped settings: {error}")))?;
        if !own.is_null() {
            lay(&mut json, own, "gate.settings", true)?;
        }
        let mut zones = Vec::new();
        for (n, freeze) in json["freezes"].as_array().into_iter().flatten().enumerate() {
            // A freeze that is not understood would not hold.
            let wrong = |why: String| GateError(format!("`gate.settings.freezes[{n}]` cannot be used: {why}"));
            let Freeze { from, to, time_zone, overlays, allow, .. } =
                Freeze::deserialize(freeze).map_err(|error| wrong(error.to_string()))?;
            for instant in [&from, &to] {
                let is_whole = instant.len() == 16 && NaiveDateTime::parse_from_str(instant, LOCAL).is_ok();
                if !is_whole {
                    return Err(wrong(format!("`{instant}` is no local time such as 2026-12-20T00:00")));
                }
            }
            if from >= to {
                return Err(wrong(format!("it ends at {to}, before it begins at {from}")));
            }
            let is_folder =
                |folder: &String| RepoPath::parse(folder).is_some_and(|path| path.as_str() == folder && path != RepoPath::root());
            if let Some(other) = overlays.iter().find(|folder| !is_folder(folder)) {
                return Err(wrong(format!("`{other}` is no folder such as overlays/prod; for all of them leave `overlays` out")));
            }
            if let Some(other) = allow.iter().find(|direction| !["rise", "fall", "other"].contains(&direction.as_str())) {
                return Err(wrong(format!("`{other}` is no direction: rise, fall or other")));
            }
            zones.push(time_zone.parse().map_err(|_| wrong(format!("`{time_zone}` is no time zone: write for instance Europe/Berlin")))?);
        }
        Ok(Self { json, zones })
    }

    /// As policies find them.
    pub fn json(&self) -> &Json {
        &self.json
    }

    pub(super) fn zones(&self) -> impl Iterator<Item = Tz> {
        self.zones.iter().copied()
    }
}

/// Lays one document over another, objects key by key, anything else as a whole. Where the shipped policies look for a key or a kind of value,
/// another one would not do what its writer meant; only at the top may there be `more`, for a user's own policies.
fn lay(under: &mut Json, over: &Json, path: &str, more: bool) -> Result<(), GateError> {
    match (under, over) {
        (Json::Object(under), Json::Object(over)) => {
            for (key, value) in over {
                let path = format!("{path}.{key}");
                let is_miswritten = under.keys().any(|known| known != key && known.eq_ignore_ascii_case(key));
                match under.get_mut(key) {
                    Some(under) => lay(under, value, &path, false)?,
                    None if more && !is_miswritten => drop(under.insert(key.clone(), value.clone())),
                    None => {
                        let near = nearest(key, under.keys().map(String::as_str))
                            .map_or_else(String::new, |near| format!(": do you mean `{near}`?"));
                        return Err(GateError(format!("`{path}` is unknown{near}")));
                    }
                }
            }
        }
        (under, over) => *under = fitting(under, over, path)?,
    }
    Ok(())
}

/// A value to lay over another, as the shipped policies understand it.
fn fitting(under: &Json, over: &Json, path: &str) -> Result<Json, GateError> {
    let wrong = |wanted: &str| Err(GateError(format!("`{path}` is {over}: it must be {wanted}")));
    if let Some((_, most, wanted)) = NUMBERS.iter().find(|(key, ..)| *key == path) {
        let is_unset = under.is_null() && over.is_null();
        return if is_unset { Ok(Json::Null) } else { amount(over, *most).map_or_else(|| wrong(wanted), Ok) };
    }
    if kind(under) != kind(over) {
        return wrong(kind(under));
    }
    if path == "gate.settings.production" && !over.as_array().into_iter().flatten().all(is_name) {
        return wrong("a list of names of folders, such as prod");
    }
    Ok(over.clone())
}

/// A number of at least nought. Environment variables give it as text.
fn amount(value: &Json, most: f64) -> Option<Json> {
    let amount = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let is_fit = (0.0..=most).contains(&amount);
    is_fit.then(|| if value.is_number() { value.clone() } else { number(amount) })
}

/// Whether it names one folder on a path.
fn is_name(folder: &Json) -> bool {
    folder.as_str().is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_of_a_setting_is_one_and_a_share_a_share() {
        for (key, value, says) in [
            ("blastRadius.cost", json!([1]), "a number from 0, or null for no limit"),
            ("blastRadius.cost", json!("much"), "a number from 0, or null for no limit"),
            ("blastRadius.cost", json!(-1), "a number from 0, or null for no limit"),
            ("blastRadius.cost", json!("inf"), "a number from 0, or null for no limit"),
            ("blastRadius.workloads", json!(50), "a share from 0 to 1, such as 0.5 for 50 %"),
            ("blastRadius.replicas", json!("50"), "a share from 0 to 1, such as 0.5 for 50 %"),
            ("scaleIn.share", json!(1.01), "a share from 0 to 1, such as 0.5 for 50 %"),
            ("scaleIn.share", json!("15%"), "a share from 0 to 1, such as 0.5 for 50 %"),
            ("scaleIn.share", json!(null), "a share from 0 to 1, such as 0.5 for 50 %"),
            ("newWorkload.days", json!(true), "a number from 0"),
            ("blastRadius.least", json!({}), "a number from 0"),
        ] {
            let (section, name) = key.split_once('.').unwrap();
            let error = Settings::over(&json!({section: {name: &value}})).unwrap_err().to_string();
            assert_eq!(error, format!("`gate.settings.{key}` is {value}: it must be {says}"));
        }
        for (value, expected) in
            [(json!("100"), json!(100)), (json!(" 0.5 "), json!(0.5)), (json!(0), json!(0)), (json!(null), json!(null))]
        {
            let settings = Settings::over(&json!({"blastRadius": {"cost": &value}})).unwrap();
            assert_eq!(settings.json()["blastRadius"]["cost"], expected, "{value}");
        }
        let settings = Settings::over(&json!({"scaleIn": {"share": "1"}, "newWorkload": {"days": "14"}})).unwrap();
        assert_eq!((&settings.json()["scaleIn"]["share"], &settings.json()["newWorkload"]["days"]), (&json!(1), &json!(14)));
    }

    #[test]
    fn what_would_never_match_is_refused() {
        for (settings, says) in [
            (json!({"production": [1]}), "`gate.settings.production` is [1]: it must be a list of names of folders, such as prod"),
            (json!({"production": ["overlays/prod"]}), "it must be a list of names of folders"),
            (json!({"production": "prod"}), "`gate.settings.production` is \"prod\": it must be a list"),
            (json!({"scalein": {"share": 0.1}}), "`gate.settings.scalein` is unknown: do you mean `scaleIn`?"),
            (json!([]), "`gate.settings` is []: it must be a section"),
        ] {
            let error = Settings::over(&settings).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(Settings::over(&json!({"mine": {"share": 50}})).unwrap().json()["mine"]["share"], 50, "of a policy of one's own");
    }
}
