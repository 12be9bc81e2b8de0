//! An object on its way through a render: its tree, the names that it has had, and who set each field.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::fields::{self, Shape};
use super::node::Node;
use crate::model::{Field, ObjectRef, Place, Refusal};

/// What Kustomize knows an object by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Id {
    pub(super) fn of(tree: &Node) -> Self {
        let text = |keys: &[&str]| tree.at(keys).and_then(|node| node.shown()).unwrap_or_default();
        Self {
            api_version: text(&["apiVersion"]),
            kind: text(&["kind"]),
            namespace: text(&["metadata", "namespace"]),
            name: text(&["metadata", "name"]),
        }
    }

    pub(super) fn group(&self) -> &str {
        ObjectRef::group_of(&self.api_version)
    }

    pub(super) fn version(&self) -> &str {
        self.api_version.rsplit_once('/').map_or(&self.api_version, |(_, version)| version)
    }

    /// The namespace that counts when names are compared.
    pub(super) fn effective_namespace(&self) -> &str {
        if is_cluster_scoped(&self.kind) {
            "_cluster_"
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    /// Whether both name the same object.
    pub(super) fn is(&self, other: &Id) -> bool {
        self.name == other.name
            && self.kind == other.kind
            && self.api_version == other.api_version
            && self.effective_namespace() == other.effective_namespace()
    }

    pub(super) fn object_ref(&self) -> ObjectRef {
        ObjectRef { group: self.group().to_owned(), kind: self.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Kinds that are certainly not in a namespace.
pub(super) fn is_cluster_scoped(kind: &str) -> bool {
    matches!(
        kind,
        "APIService"
            | "CSIDriver"
            | "CSINode"
            | "CertificateSigningRequest"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "ComponentStatus"
            | "CustomResourceDefinition"
            | "FlowSchema"
            | "IngressClass"
            | "MutatingWebhookConfiguration"
            | "Namespace"
            | "Node"
            | "PersistentVolume"
            | "PodSecurityPolicy"
            | "PriorityClass"
            | "PriorityLevelConfiguration"
            | "RuntimeClass"
            | "SelfSubjectAccessReview"
            | "StorageClass"
            | "TokenReview"
            | "ValidatingWebhookConfiguration"
            | "VolumeAttachment"
    )
}

/// How a step of the render sets a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum By {
    /// The object's own manifest.
    Manifest,
    /// A strategic-merge patch.
    Merge,
    /// A JSON patch.
    Json,
    /// A `replicas:` entry, and how many kinds it hits.
    Replicas(Vec<String>),
    /// `commonAnnotations:`, which every object gets.
    CommonAnnotations,
    /// Something that cannot be edited.
    Fixed(Refusal),
}

/// One step that set a field, or took it away.
#[derive(Clone, Debug)]
pub(super) struct Setter {
    pub(super) by: By,
    /// What it left there.
    pub(super) node: Option<Rc<Node>>,
    /// The statement that did it, where the value itself has no place.
    pub(super) place: Option<Place>,
}

impl Setter {
    /// The file and line that speak.
    pub(super) fn place(&self) -> Option<Place> {
        let node = self.node.as_ref().and_then(|node| node.place());
        match &self.by {
            By::Fixed(refusal) => refusal.place.clone().or(node),
            _ => node.or_else(|| self.place.clone()),
        }
    }
}

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Its number in the build.
    pub(super) serial: usize,
    pub(super) tree: Rc<Node>,
    pub(super) id: Id,
    /// Every identity that it had before, the oldest first.
    pub(super) previous: Vec<Id>,
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    pub(super) shape: Option<Shape>,
    /// Who set each field, in order; the last wins.
    pub(super) setters: BTreeMap<Field, Vec<Setter>>,
    /// Why any field, even one that is not there, may have been set by something that Prescale does not follow.
    pub(super) veiled: Option<Refusal>,
}

impl Object {
    pub(super) fn new(serial: usize, tree: Rc<Node>, by: &By) -> Self {
        let id = Id::of(&tree);
        let shape = Shape::of(&id.api_version, &id.kind);
        let (prefixes, suffixes) = (Vec::new(), Vec::new());
        let mut object = Self { serial, tree, id, previous: Vec::new(), prefixes, suffixes, shape, setters: BTreeMap::new(), veiled: None };
        object.note(by, None);
        object
    }

    /// The identity under which the object was read.
    pub(super) fn original(&self) -> &Id {
        self.previous.first().unwrap_or(&self.id)
    }

    /// Every identity, old and new.
    pub(super) fn any_id(&self, mut test: impl FnMut(&Id) -> bool) -> bool {
        self.previous.iter().chain([&self.id]).any(&mut test)
    }

    /// Puts a changed tree in place and notes which fields the step set.
    pub(super) fn replace(&mut self, tree: Rc<Node>, by: &By, place: Option<&Place>) {
        self.tree = tree;
        self.id = Id::of(&self.tree);
        self.note(by, place);
    }

    /// Keeps the present identity among the previous ones.
    pub(super) fn remember(&mut self) {
        let mut id = self.id.clone();
        if !is_cluster_scoped(&id.kind) && id.namespace.is_empty() {
            "default".clone_into(&mut id.namespace);
        }
        self.previous.push(id);
    }

    fn note(&mut self, by: &By, place: Option<&Place>) {
        let Some(shape) = self.shape else { return };
        let mut fields = fields::all(shape, &self.tree);
        fields.extend(self.setters.keys().cloned());
        fields.sort();
        fields.dedup();
        for field in fields {
            let found = fields::find(&field, &self.tree);
            let last = self.setters.get(&field).and_then(|setters| setters.last()).and_then(|setter| setter.node.as_ref());
            let same = match (&found, last) {
                (None, None) => true,
                (Some(found), Some(last)) => fields::is_same(found, last),
                // No trigger of Prescale's yet.
                (Some(found), None) => field == Field::Schedule && found.items().is_empty(),
                (None, Some(_)) => false,
            };
            if !same {
                let setter = Setter { by: by.clone(), node: found, place: place.cloned() };
                self.setters.entry(field).or_default().push(setter);
            }
        }
    }

    /// Says that every field may have been set by something that Prescale does not follow.
    pub(super) fn veil(&mut self, refusal: &Refusal) {
        let Some(shape) = self.shape else { return };
        self.veiled = Some(refusal.clone());
        for field in fields::all(shape, &self.tree) {
            let node = fields::find(&field, &self.tree);
            self.setters.entry(field).or_default().push(Setter { by: By::Fixed(refusal.clone()), node, place: None });
        }
    }
}
