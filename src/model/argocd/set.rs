//! ApplicationSets: what makes Applications, and which ones, as far as Git alone tells.
//!
//! The git generator's `directories`, lists, and matrices of these are followed, as [Argo CD's
//! documentation](https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/Generators/) has them. Of any other generator it is not
//! known what it gives: it counts as one set of parameters of which none is known. That is enough, as long as where to deploy from needs none.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use serde_json::{Value, json};

use super::{Application, Seen, Source, generators, is, items, owned, same_repository, sources, text};
use crate::model::RepoPath;

/// An ApplicationSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSet {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The sources of its Applications, with `{{` in them where they differ.
    pub sources: Vec<Source>,
    /// The kinds of its generators, those within others too: `git`, `matrix`, …
    pub generators: Vec<String>,
    /// Where it was read.
    pub seen: Seen,
    spec: Value,
}

/// What stands between `{{` and `}}`, and what it stands for.
type Parameters = BTreeMap<String, String>;

impl ApplicationSet {
    /// Reads a document; `None` for what is no ApplicationSet.
    pub fn read(document: &Value, seen: Seen) -> Option<Self> {
        is(document, "ApplicationSet").then(|| Self {
            name: owned(&document["metadata"]["name"]),
            namespace: owned(&document["metadata"]["namespace"]),
            sources: sources(&document["spec"]["template"]["spec"]),
            generators: generators(&document["spec"]["generators"]),
            seen,
            spec: document["spec"].clone(),
        })
    }

    /// The Applications that it makes of these folders of the branch of a repository; `None` where Git alone does not tell where one of them deploys
    /// from.
    pub fn applications(&self, repo: &str, branch: &str, folders: &BTreeSet<RepoPath>) -> Option<Vec<Application>> {
        if !self.spec["templatePatch"].is_null() {
            return None;
        }
        let here = Here { repo, branch, folders, is_go: self.spec["goTemplate"].as_bool().unwrap_or_default() };
        let all = items(&self.spec["generators"]).iter().flat_map(|generator| here.parameters(generator));
        all.map(|parameters| self.application(&parameters)).collect()
    }

    fn application(&self, parameters: &Parameters) -> Option<Application> {
        let template = &self.spec["template"];
        let mut metadata = filled(&template["metadata"], parameters);
        metadata["namespace"] = json!(self.namespace);
        metadata["ownerReferences"] = json!([{"kind": "ApplicationSet", "name": self.name}]);
        let spec = filled(&template["spec"], parameters);
        let document = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec});
        let application = Application::read(&document, self.seen.clone())?;
        let is_known = |source: &Source| {
            ![Some(&source.repo), source.path.as_ref(), Some(&source.revision)].into_iter().flatten().any(|text| text.contains("{{"))
        };
        application.sources.iter().all(is_known).then_some(application)
    }
}

/// What generators are asked about.
struct Here<'a> {
    repo: &'a str,
    branch: &'a str,
    folders: &'a BTreeSet<RepoPath>,
    is_go: bool,
}

impl Here<'_> {
    fn parameters(&self, generator: &Value) -> Vec<Parameters> {
        let unknown = || vec![Parameters::new()];
        if !generator["selector"].is_null() {
            return unknown();
        }
        if let Some(git) = generator.get("git").filter(|git| !items(&git["directories"]).is_empty()) {
            let revision = text(&git["revision"]).unwrap_or("HEAD");
            let is_here = same_repository(&owned(&git["repoURL"]), self.repo) && [self.branch, "HEAD", ""].contains(&revision);
            return if is_here { self.directories(git) } else { unknown() };
        }
        if let Some(list) = generator.get("list").filter(|list| list["elementsYaml"].is_null()) {
            return items(&list["elements"]).iter().map(|element| self.element(element)).collect();
        }
        if let Some(matrix) = generator.get("matrix") {
            let mut all = unknown();
            for inner in items(&matrix["generators"]) {
                let inner = self.parameters(inner);
                all = all.iter().flat_map(|one| inner.iter().map(|more| one.clone().into_iter().chain(more.clone()).collect())).collect();
            }
            return all;
        }
        unknown()
    }

    /// A set of parameters for each folder that a pattern names, and none leaves out. A `*` is one part of a path, and hidden folders are none.
    fn directories(&self, git: &Value) -> Vec<Parameters> {
        let patterns = |excluded: bool| -> Vec<_> {
            let wanted = items(&git["directories"]).iter().filter(|entry| entry["exclude"].as_bool().unwrap_or_default() == excluded);
            wanted
                .filter_map(|entry| Some(GlobBuilder::new(text(&entry["path"])?).literal_separator(true).build().ok()?.compile_matcher()))
                .collect()
        };
        let (wanted, excluded) = (patterns(false), patterns(true));
        let is_wanted = |folder: &&RepoPath| {
            let named = |patterns: &[globset::GlobMatcher]| patterns.iter().any(|pattern| pattern.is_match(folder.as_str()));
            named(&wanted) && !named(&excluded) && !folder.parts().any(|part| part.starts_with('.'))
        };
        self.folders.iter().filter(is_wanted).map(|folder| self.directory(folder)).collect()
    }

    fn directory(&self, folder: &RepoPath) -> Parameters {
        let (path, name) = (folder.as_str().to_owned(), folder.file_name().to_owned());
        let parts = folder.parts().enumerate();
        if self.is_go {
            let parts = parts.map(|(i, part)| (format!("index .path.segments {i}"), part.to_owned()));
            parts.chain([(".path.path".to_owned(), path), (".path.basename".to_owned(), name)]).collect()
        } else {
            let parts = parts.map(|(i, part)| (format!("path[{i}]"), part.to_owned()));
            parts.chain([("path".to_owned(), path), ("path.basename".to_owned(), name)]).collect()
        }
    }

    /// An element of a list, by the dotted names of what it holds.
    fn element(&self, element: &Value) -> Parameters {
        let mut found = Parameters::new();
        let mut rest = vec![(String::new(), element)];
        while let Some((name, value)) = rest.pop() {
            match value {
                Value::Object(map) => rest.extend(map.iter().map(|(key, value)| (format!("{name}.{key}"), value))),
                Value::String(text) => drop(found.insert(name, text.clone())),
                Value::Null | Value::Array(_) => {}
                scalar => drop(found.insert(name, scalar.to_string())),
            }
        }
        if self.is_go { found } else { found.into_iter().map(|(name, value)| (name.trim_start_matches('.').to_owned(), value)).collect() }
    }
}

/// A template with the parameters that are known in their places; the others stay.
fn filled(template: &Value, parameters: &Parameters) -> Value {
    match template {
        Value::String(text) => Value::String(filled_text(text, parameters)),
        Value::Array(list) => list.iter().map(|item| filled(item, parameters)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (filled_text(key, parameters), filled(value, parameters))).collect(),
        other => other.clone(),
    }
}

fn filled_text(text: &str, parameters: &Parameters) -> String {
    let mut pieces = text.split("{{");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let known = piece.split_once("}}").and_then(|(name, rest)| Some((parameters.get(name.trim())?, rest)));
        match known {
            Some((value, rest)) => filled.extend([value.as_str(), rest]),
            None => filled.extend(["{{", piece]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a set of these generators and this path makes: names and paths.
    fn made(generators: &Value, name: &str, path: &str, is_go: bool) -> Option<Vec<(String, String)>> {
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {
                "goTemplate": is_go, "generators": generators,
                "template": {"metadata": {"name": name}, "spec": {"source": {"repoURL": "https://host/r", "path": path, "targetRevision": "main"}}},
            },
        });
        let folders = ["apps", "apps/web", "apps/web/prod", "apps/api", "apps/.hidden", "base"].map(|path| RepoPath::parse(path).unwrap());
        let set = ApplicationSet::read(&document, Seen::Cluster).unwrap();
        let applications = set.applications("git@host:r.git", "main", &folders.into())?;
        assert!(applications.iter().all(|one| one.owner.as_deref() == Some("shop") && one.namespace == "argocd"));
        Some(applications.into_iter().map(|one| (one.name, one.sources[0].path.clone().unwrap_or_default())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_set_of_folders_makes_an_application_of_each() {
        let git = |directories: &Value| json!([{"git": {"repoURL": "https://host/r.git", "revision": "HEAD", "directories": directories}}]);
        let all = git(&json!([{"path": "apps/*"}, {"path": "apps/api", "exclude": true}]));
        assert_eq!(made(&all, "shop-{{.path.basename}}", "{{ .path.path }}", true), Some(pairs(&[("shop-web", "apps/web")])));
        let deep = git(&json!([{"path": "apps/*/*"}]));
        assert_eq!(made(&deep, "{{path[1]}}-{{path.basename}}", "{{path}}", false), Some(pairs(&[("web-prod", "apps/web/prod")])));
        assert_eq!(made(&deep, "{{index .path.segments 1}}", "{{.path.path}}", true), Some(pairs(&[("web", "apps/web/prod")])));
        let elsewhere = json!([{"git": {"repoURL": "https://host/other", "directories": [{"path": "*"}]}}]);
        assert_eq!(made(&elsewhere, "x", "{{path}}", false), None, "what another repository holds is not known");
    }

    #[test]
    fn what_git_does_not_tell_matters_only_where_it_says_what_to_deploy() {
        let list = json!([{"list": {"elements": [{"env": "prod", "at": {"path": "a"}}, {"env": "dev", "at": {"path": "b"}}]}}]);
        assert_eq!(made(&list, "{{.env}}", "{{.at.path}}", true), Some(pairs(&[("prod", "a"), ("dev", "b")])));
        assert_eq!(made(&list, "{{env}}", "{{at.path}}", false), Some(pairs(&[("prod", "a"), ("dev", "b")])));
        let clusters = json!([{"matrix": {"generators": [{"clusters": {}}, {"list": {"elements": [{"env": "prod"}]}}]}}]);
        assert_eq!(made(&clusters, "{{name}}-{{env}}", "apps/{{env}}", false), Some(pairs(&[("{{name}}-prod", "apps/prod")])));
        assert_eq!(made(&clusters, "x", "apps/{{name}}", false), None);
        let selected = json!([{"list": {"elements": [{"env": "prod"}]}, "selector": {"matchLabels": {"env": "dev"}}}]);
        assert_eq!(made(&selected, "x", "apps/{{env}}", false), None);
        assert_eq!(made(&json!([{"list": {"elements": []}}]), "x", "y", false), Some(pairs(&[])));
        for odd in [json!(null), json!({}), json!([null, 3]), json!([{"git": null}, {"matrix": {}}])] {
            let _ = made(&odd, "{{", "}}", true);
        }
    }
}
