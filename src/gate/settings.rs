//! What policies go by besides their input: `data.prescale.settings`, the shipped ones with the user's laid over them.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value as Json;

use super::GateError;
use crate::model::RepoPath;
use crate::model::nearest::nearest;

/// What the shipped policies go by.
const SHIPPED: &str = include_str!("../../policies/gate/settings.yaml");

/// How a freeze's instants are written, by the clock of its zone.
const LOCAL: &str = "%Y-%m-%dT%H:%M";

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
                match under.get_mut(key) {
                    Some(under) => lay(under, value, &path, false)?,
                    None if more => drop(under.insert(key.clone(), value.clone())),
                    None => {
                        let near = nearest(key, under.keys().map(String::as_str))
                            .map_or_else(String::new, |near| format!(": do you mean `{near}`?"));
                        return Err(GateError(format!("`{path}` is unknown{near}")));
                    }
                }
            }
        }
        (under, over) if under.is_null() || kind(under) == kind(over) => *under = over.clone(),
        (under, over) => return Err(GateError(format!("`{path}` is {over}: it must be {}", kind(under)))),
    }
    Ok(())
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
