//! Patch targets: anchored regular expressions over kinds, names and namespaces, and label selectors.

use regex::Regex;

use super::node::Node;
use super::object::Object;

/// The `target:` of a patch.
pub(super) struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

impl Selector {
    pub(super) fn new(target: &Node) -> Result<Self, String> {
        let pattern = |key: &str| match target.get(key).and_then(|node| node.shown()).unwrap_or_default().as_str() {
            "" => Ok(None),
            text => Regex::new(&format!("^(?:{text})$")).map(Some).map_err(|_| format!("`{text}` is no regular expression")),
        };
        Ok(Self {
            group: pattern("group")?,
            version: pattern("version")?,
            kind: pattern("kind")?,
            name: pattern("name")?,
            namespace: pattern("namespace")?,
            labels: requirements(target.text_at(&["labelSelector"]))?,
            annotations: requirements(target.text_at(&["annotationSelector"]))?,
        })
    }

    /// Whether the target takes this object, by the identity that it was read under or the present one.
    pub(super) fn matches(&self, object: &Object) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        let (old, new) = (object.original(), &object.id);
        (fits(&self.namespace, old.effective_namespace()) || fits(&self.namespace, new.effective_namespace()))
            && (fits(&self.name, &old.name) || fits(&self.name, &new.name))
            && fits(&self.group, new.group())
            && fits(&self.version, new.version())
            && fits(&self.kind, &new.kind)
            && self.holds(object)
    }
}

impl Selector {
    /// Whether any identity of the object, old or new, is taken: how replacements select.
    pub(super) fn matches_any(&self, object: &Object) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        object.any_id(|id| {
            fits(&self.group, id.group())
                && fits(&self.version, id.version())
                && fits(&self.kind, &id.kind)
                && fits(&self.name, &id.name)
                && fits(&self.namespace, &id.namespace)
        }) && self.holds(object)
    }

    fn holds(&self, object: &Object) -> bool {
        let metadata = |key: &str| object.tree.at(&["metadata", key]).map(|node| &**node);
        self.labels.iter().all(|requirement| requirement.holds(metadata("labels")))
            && self.annotations.iter().all(|requirement| requirement.holds(metadata("annotations")))
    }
}

/// One requirement of a label selector.
struct Requirement {
    key: String,
    test: Test,
}

enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Requirement {
    fn holds(&self, labels: Option<&Node>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key)).map(|node| node.shown().unwrap_or_default());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.contains(&value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
        }
    }
}

/// Kubernetes' grammar: `a=b,c!=d,e in (f, g),h notin (i),j,!k`.
fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = match (rest.find(','), rest.find('(')) {
            (Some(comma), Some(open)) if open < comma => rest[open..].find(')').map_or(rest.len(), |close| open + close + 1),
            (Some(comma), _) => comma,
            (None, _) => rest.len(),
        };
        found.push(requirement(rest[..end].trim()).ok_or_else(|| format!("`{text}` is no label selector"))?);
        rest = rest[end..].trim_start().trim_start_matches(',').trim_start();
    }
    Ok(found)
}

fn requirement(text: &str) -> Option<Requirement> {
    let make = |key: &str, test| Some(Requirement { key: key.trim().to_owned(), test });
    if let Some(open) = text.find('(') {
        let values = text[open + 1..].strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, word) = text[..open].trim().rsplit_once(char::is_whitespace)?;
        return match word {
            "in" => make(key, Test::In(values)),
            "notin" => make(key, Test::NotIn(values)),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return make(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return make(key, Test::In(vec![value.trim().to_owned()]));
    }
    match text.strip_prefix('!') {
        Some(key) => make(key, Test::Absent),
        None if text.is_empty() || text.contains(char::is_whitespace) => None,
        None => make(text, Test::Exists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::node::tests::tree;
    use crate::overlay::object::By;

    fn takes(target: &str) -> bool {
        let mut object = Object::new(
            1,
            tree("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {app: shop, tier: front}}}"),
            &By::Manifest,
        );
        object.remember();
        object.id.name = "prod-web".to_owned();
        object.id.namespace = "shop".to_owned();
        Selector::new(&tree(target)).unwrap().matches(&object)
    }

    #[test]
    fn targets_are_anchored_and_know_old_names() {
        for (target, expected) in [
            ("{}", true),
            ("{kind: Deployment}", true),
            ("{kind: Deploy}", false),
            ("{kind: Deploy.*}", true),
            ("{kind: Deployment|StatefulSet, name: web}", true),
            ("{name: prod-web}", true),
            ("{name: we}", false),
            ("{namespace: default, name: web}", true),
            ("{namespace: shop}", true),
            ("{namespace: other}", false),
            ("{group: apps, version: v1}", true),
            ("{group: argoproj.io}", false),
            ("{labelSelector: app=shop}", true),
            ("{labelSelector: \"app==shop,tier!=back\"}", true),
            ("{labelSelector: \"app=shop,tier=back\"}", false),
            ("{labelSelector: \"tier in (front, edge), !legacy\"}", true),
            ("{labelSelector: \"tier notin (front)\"}", false),
            ("{labelSelector: tier}", true),
            ("{labelSelector: legacy}", false),
            ("{annotationSelector: size=large}", false),
        ] {
            assert_eq!(takes(target), expected, "{target}");
        }
    }

    #[test]
    fn what_is_no_selector_is_said() {
        for target in ["{name: \"(\"}", "{labelSelector: a b}", "{labelSelector: a of (b)}"] {
            assert!(Selector::new(&tree(target)).is_err(), "{target}");
        }
    }
}
