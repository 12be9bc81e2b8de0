//! Who may ask for what, by roles and their bindings.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value as Json;

use super::kinds::Target;
use super::reply::Reply;

/// As whom the token acts.
const USER: &str = "system:serviceaccount:prescale:prescale";

/// What is allowed; all until something else is said.
#[derive(Default)]
pub(super) struct Access {
    /// Rules, each in its namespace or everywhere.
    granted: Option<Vec<(Option<String>, Rule)>>,
    pub(super) denied: BTreeSet<String>,
    pub(super) within_namespaces: bool,
}

/// A rule of a role.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
    resource_names: Vec<String>,
}

impl Access {
    /// Adds what the roles of manifests grant.
    pub(super) fn allow(&mut self, manifests: Vec<Json>) {
        let (roles, others): (Vec<Json>, Vec<Json>) =
            manifests.into_iter().partition(|manifest| manifest["kind"] == "Role" || manifest["kind"] == "ClusterRole");
        let bindings: Vec<&Json> =
            others.iter().filter(|other| other["kind"] == "RoleBinding" || other["kind"] == "ClusterRoleBinding").collect();
        let granted = self.granted.get_or_insert_default();
        for role in &roles {
            let granting = Vec::<Rule>::deserialize(&role["rules"]).expect("the rules of a role");
            let scopes: Vec<Option<String>> = if bindings.is_empty() {
                vec![namespace(role)]
            } else {
                bindings.iter().filter(|binding| binds(binding, role)).map(|binding| namespace(binding)).collect()
            };
            for scope in scopes {
                granted.extend(granting.iter().map(|rule| (scope.clone(), rule.clone())));
            }
        }
    }

    /// Refuses what is not allowed, in Kubernetes' words.
    pub(super) fn check(&self, target: &Target, verb: &str, name: Option<&str>) -> Result<(), Reply> {
        let (kind, scope) = (target.kind, target.scope());
        let denied = self.denied.contains(kind.resource) || self.within_namespaces && scope.is_none();
        let fits = |(within, rule): &(Option<String>, Rule)| {
            (within.is_none() || within.as_deref() == scope)
                && holds(&rule.api_groups, kind.group)
                && holds(&rule.resources, kind.resource)
                && holds(&rule.verbs, verb)
                && (rule.resource_names.is_empty() || rule.resource_names.iter().any(|known| Some(known.as_str()) == name))
        };
        if !denied && self.granted.as_ref().is_none_or(|granted| granted.iter().any(fits)) {
            return Ok(());
        }
        let object = name.map_or_else(String::new, |name| format!(" {name:?}"));
        let place = scope.map_or_else(|| "at the cluster scope".to_owned(), |namespace| format!("in the namespace {namespace:?}"));
        let message = format!(
            "{}{object} is forbidden: User {USER:?} cannot {verb} resource {:?} in API group {:?} {place}",
            kind.in_errors(),
            kind.resource,
            kind.group
        );
        Err(Reply::failure(403, "Forbidden", &message, Some(("details", kind.details(name)))))
    }
}

/// Where a role or a binding holds; everywhere if it is one of the cluster's.
fn namespace(manifest: &Json) -> Option<String> {
    if manifest["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster")) {
        return None;
    }
    Some(manifest["metadata"]["namespace"].as_str().expect("a role is in a namespace").to_owned())
}

/// Whether a binding grants a role to the user.
fn binds(binding: &Json, role: &Json) -> bool {
    let (reference, subjects) = (&binding["roleRef"], binding["subjects"].as_array());
    let is_user = |subject: &Json| {
        let part = |field: &str| subject[field].as_str().unwrap_or_default();
        part("kind") == "ServiceAccount" && format!("system:serviceaccount:{}:{}", part("namespace"), part("name")) == USER
    };
    reference["kind"] == role["kind"]
        && reference["name"] == role["metadata"]["name"]
        && (role["kind"] == "ClusterRole" || namespace(binding) == namespace(role))
        && subjects.is_some_and(|subjects| subjects.iter().any(is_user))
}

fn holds(list: &[String], value: &str) -> bool {
    list.iter().any(|known| known == "*" || known == value)
}
