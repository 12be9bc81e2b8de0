//! 1,000 edits in a repository of 5,000 overlays: the promise is less than two seconds on two cores.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::time::Instant;

use prescale::model::{Change, Entry, Field, FileMode, ObjectRef, RepoPath, Resource, Route, Tree, Value, WorkloadId, WorkloadKind};
use prescale::overlay::{self, Scope};

const APPS: usize = 1000;
const OVERLAYS: [&str; 5] = ["dev", "stage", "prod", "prod-eu", "prod-us"];

fn main() {
    let tree = repository();
    let changes: Vec<Change> = (0..APPS).map(change).collect();
    let scope = Scope { allowed: vec![RepoPath::root()] };
    let start = Instant::now();
    let edited = overlay::edit(&changes, &tree, &scope);
    let took = start.elapsed();
    let made: usize = edited.overlays.iter().map(|overlay| overlay.changes.len()).sum();
    println!("{made} of {} edits in {} overlays and {} files: {took:.2?}", changes.len(), APPS * OVERLAYS.len(), tree.iter().count());
    assert!(edited.held.is_empty(), "{:?}", edited.held.first());
}

/// Bases of three objects; half of the overlays patch in a file, the others not at all. A folder a stage lists all overlays of it.
fn repository() -> Tree {
    let mut tree = Tree::default();
    let mut add = |path: String, text: String| {
        let path = RepoPath::parse(&path).expect("a path");
        tree.insert(path, Entry::File { mode: FileMode::Plain, bytes: text.into_bytes().into() });
    };
    for app in 0..APPS {
        let base = format!("apps/app{app}/base");
        add(format!("{base}/kustomization.yaml"), "resources:\n  - deployment.yaml\n  - service.yaml\n  - hpa.yaml\n".to_owned());
        add(format!("{base}/deployment.yaml"), deployment());
        add(
            format!("{base}/service.yaml"),
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 80\n".to_owned(),
        );
        add(
            format!("{base}/hpa.yaml"),
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\nspec:\n  scaleTargetRef:\n    apiVersion: apps/v1\n    \
             kind: Deployment\n    name: web\n  minReplicas: 2\n  maxReplicas: 10\n"
                .to_owned(),
        );
        for (index, name) in OVERLAYS.iter().enumerate() {
            let overlay = format!("apps/app{app}/overlays/{name}");
            let mut text = format!(
                "# The {name} overlay.\nnamespace: app{app}-{name}\nresources:\n  - ../../base\nimages:\n  - name: app\n    newTag: v{app}\n"
            );
            if (app + index).is_multiple_of(2) {
                text.push_str("patches:\n  - path: size.yaml\n");
                add(
                    format!("{overlay}/size.yaml"),
                    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          \
                     resources:\n            requests:\n              cpu: 250m # measured\n"
                        .to_owned(),
                );
            }
            add(format!("{overlay}/kustomization.yaml"), text);
        }
    }
    for name in OVERLAYS {
        let listed: Vec<String> = (0..APPS).map(|app| format!("  - ../../apps/app{app}/overlays/{name}\n")).collect();
        add(format!("clusters/{name}/kustomization.yaml"), format!("resources:\n{}", listed.concat()));
    }
    tree
}

fn deployment() -> String {
    let mut text = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n  template:\n    spec:\n      containers:\n        \
                    - name: app\n          image: app\n          resources:\n            requests:\n              cpu: 100m\n              memory: 128Mi\n          env:\n"
        .to_owned();
    for variable in 0..20 {
        let _ = write!(text, "            - name: VARIABLE_{variable}\n              value: value-{variable}\n");
    }
    text
}

fn change(app: usize) -> Change {
    let namespace = format!("app{app}-prod");
    let workload = WorkloadId { namespace: namespace.clone(), kind: WorkloadKind::Deployment, name: "web".to_owned() };
    let object = ObjectRef { group: "apps".to_owned(), kind: "Deployment".to_owned(), namespace, name: "web".to_owned() };
    let field = Field::Request { container: "app".to_owned(), resource: Resource::Cpu };
    let overlay = RepoPath::parse(&format!("apps/app{app}/overlays/prod")).expect("a path");
    let to = Value::Cpu(prescale::model::Millicores(400));
    Change { workload, object, overlay, field, from: None, to, reasons: Vec::new(), route: Route::Commit }
}
