//! Who asks: a token that is always good, installation tokens for an hour, and the app itself by a signed claim.

use base64::Engine;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value as Json, json};

use super::json::{permissions, repository, time};
use super::log::Logged;
use super::state::State;
use super::{APP, BOT, INSTALLATION, REPOSITORY, Reply, Site, TOKEN};

/// A token of the installation.
pub(super) struct Issued {
    token: String,
    expires: DateTime<Utc>,
    permissions: Json,
}

/// Who asks, and what they may do.
pub(super) struct Caller {
    pub(super) login: String,
    permissions: Json,
}

impl Caller {
    /// Refuses whom one of these permissions to write is not given.
    pub(super) fn may_write(&self, any_of: &[&str]) -> Result<(), Reply> {
        let may = any_of.iter().any(|name| self.permissions[*name] == "write");
        if may { Ok(()) } else { Err(Reply::error(403, "Resource not accessible by integration")) }
    }
}

impl State {
    /// Who holds the token of a request.
    pub(super) fn caller(&self, asked: &Logged) -> Result<Caller, Reply> {
        let Some(token) = asked.token() else { return Err(Reply::error(401, "Requires authentication")) };
        if token == TOKEN {
            return Ok(Caller { login: BOT.to_owned(), permissions: permissions() });
        }
        let issued = self.tokens.iter().find(|issued| issued.token == token && self.now < issued.expires);
        let issued = issued.ok_or_else(|| Reply::error(401, "Bad credentials"))?;
        Ok(Caller { login: format!("{APP}[bot]"), permissions: issued.permissions.clone() })
    }

    /// A new token of the installation.
    pub(super) fn issue_token(&mut self, site: &Site, installation: &str, body: &Json) -> Reply {
        if installation != INSTALLATION.to_string() {
            return Reply::not_found();
        }
        let repositories = body["repositories"].as_array();
        if repositories.is_some_and(|names| names.iter().any(|name| name != REPOSITORY)) {
            let said = "There is at least one repository that does not exist or is not accessible to the parent installation.";
            return Reply::error(422, said);
        }
        let granted = permissions();
        let asked = body["permissions"].as_object();
        if asked.is_some_and(|asked| asked.iter().any(|(name, level)| granted[name] != *level && granted[name] != "write")) {
            return Reply::error(422, "The permissions requested are not granted to this installation.");
        }
        let given = asked.map_or(granted, |asked| Json::Object(asked.clone()));
        let token = format!("ghs_canary{:030}", self.tokens.len() + 1);
        let expires = self.now + Duration::hours(1);
        let mut answer = json!({
            "token": token, "expires_at": time(expires), "permissions": given, "repository_selection": "selected",
        });
        if repositories.is_some() {
            answer["repositories"] = json!([repository(site)]);
        }
        self.tokens.push(Issued { token, expires, permissions: given });
        Reply::new(201, answer)
    }
}

/// Refuses what is no JSON web token with the claims that GitHub asks for. Its signature and its times are not held to anything but each
/// other, as whoever signs takes the machine's time.
pub(super) fn app(asked: &Logged) -> Result<(), Reply> {
    let refuse = |why: &str| Err(Reply::error(401, why));
    let decode = |part: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Json>(&bytes).ok()
    };
    let parts: Vec<&str> = asked.token().unwrap_or_default().split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return refuse("A JSON web token could not be decoded") };
    let (Some(header), Some(claims)) = (decode(header), decode(claims)) else { return refuse("A JSON web token could not be decoded") };
    if header["alg"] != "RS256" || signature.is_empty() {
        return refuse("A JSON web token could not be decoded");
    }
    if !claims["iss"].is_string() && !claims["iss"].is_u64() {
        return refuse("Missing 'issuer' claim ('iss') in assertion");
    }
    match (claims["iat"].as_i64(), claims["exp"].as_i64()) {
        (None, _) => refuse("Missing 'issued at' claim ('iat') in assertion"),
        (_, None) => refuse("Missing 'expiration time' claim ('exp') in assertion"),
        // Ten minutes, and the one that GitHub lets clocks differ.
        (Some(issued), Some(expires)) if expires - issued > 660 => refuse("'Expiration time' claim ('exp') is too far in the future"),
        (Some(issued), Some(expires)) if expires <= issued => {
            refuse("'Expiration time' claim ('exp') must be a numeric value in the future")
        }
        _ => Ok(()),
    }
}
