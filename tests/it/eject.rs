//! `prescale eject`: Prescale leaves, and its values stay.

use crate::support::git::git;
use crate::support::shop::{Shop, prescale};

/// A shop in which Prescale wrote a component, and its configuration.
fn written() -> (Shop, String) {
    let shop = Shop::new();
    let config = shop.local("");
    assert_eq!(shop.run("run", &config, &[]).code, 0);
    assert!(shop.file("overlays/prod/kustomization.yaml").contains("- prescale\n"));
    (shop, config)
}

fn render(shop: &Shop, overlay: &str) -> String {
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["clone", "-q", shop.bare().to_str().unwrap(), "."]);
    let output = std::process::Command::new("kubectl").args(["kustomize", overlay]).current_dir(work.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_component_goes_and_its_values_stay() {
    let (shop, config) = written();
    let (tip, before) = (shop.tip(), render(&shop, "overlays/prod"));
    let shown = shop.run("eject", &config, &[]).json();
    assert_eq!((shop.tip(), &shown["commit"]), (tip.clone(), &serde_json::Value::Null), "nothing is written unasked");
    assert!(shown["diff"].as_str().unwrap().contains("-  - prescale"), "{shown}");

    let report = shop.run("eject", &config, &["--write"]).json();
    assert_eq!(report["commit"], shop.tip().as_str());
    assert_eq!(report["overlays"][0]["overlay"], "overlays/prod");
    assert_eq!(report["overlays"][0]["proof"]["proof"], "rendered");
    assert_eq!(render(&shop, "overlays/prod"), before);
    let files = git(&shop.bare(), &["ls-tree", "-r", "--name-only", "main"]);
    assert!(!files.contains("/prescale/"), "{files}");
    let patch = shop.file("overlays/prod/statefulset-redis.yaml");
    assert!(patch.starts_with("apiVersion: apps/v1\n") && !patch.contains("Prescale"), "{patch}");
    let kustomization = shop.file("overlays/prod/kustomization.yaml");
    assert!(!kustomization.contains("prescale") && kustomization.contains("path: statefulset-redis.yaml"), "{kustomization}");
    assert!(kustomization.contains("# Sized by hand once"), "what people wrote stays: {kustomization}");
    assert_eq!(git(&shop.bare(), &["rev-parse", "main^"]), tip, "one commit");

    shop.run("eject", &config, &["--write", "--output", "table"]).says(0, &["No overlay has a component of Prescale's"]);
}

#[test]
fn people_read_what_would_happen_and_how_to_have_it() {
    let (shop, config) = written();
    shop.run("eject", &config, &["--output", "table"]).says(
        0,
        &["overlays/prod: its component becomes patches of its own (proven by render)", "Nothing is written", "prescale eject --write"],
    );
    let paused = crate::support::shop::Ran::of(prescale(&["eject", "--config", &config, "--write"]).env("PRESCALE__PAUSED", "true"));
    paused.says(1, &["`paused` is set", "PRESCALE__PAUSED=false"]);
}

#[test]
fn what_cannot_be_taken_out_stays_and_says_why() {
    let (shop, config) = written();
    let before = shop.tip();
    // Someone took the first line away, so that it is nobody's any more.
    let component = shop.file("overlays/prod/prescale/kustomization.yaml");
    let headless = component.split_once('\n').unwrap().1;
    shop.commit(&[("overlays/prod/prescale/kustomization.yaml", Some(headless))]);
    shop.run("eject", &config, &["--write", "--output", "table"])
        .says(1, &["overlays/prod stays as it is", "`overlays/prod/prescale/kustomization.yaml` was not written by Prescale"]);
    assert_eq!(git(&shop.bare(), &["rev-parse", "main^"]), before);

    // A field that the overlay sets itself after the component would get the component's value.
    let (shop, config) = written();
    let kustomization = shop.file("overlays/prod/kustomization.yaml").replace(
        "patches:\n",
        "patches:\n  - patch: |\n      apiVersion: apps/v1\n      kind: StatefulSet\n      metadata: {name: redis}\n      spec: {template: {spec: \
         {containers: [{name: redis, resources: {requests: {memory: 1Gi}}}]}}}\n",
    );
    shop.commit(&[("overlays/prod/kustomization.yaml", Some(&kustomization))]);
    shop.run("eject", &config, &["--write", "--output", "table"])
        .says(1, &["overlays/prod stays as it is", "would not be what it is: the overlay sets some of them itself"]);
}

#[test]
fn overlays_of_any_shape_render_as_before() {
    type Shape = (&'static str, fn(&str) -> String);
    let shapes: [Shape; 6] = [
        ("a name that is taken", |text| text.to_owned()),
        ("patches in flow style", |text| {
            text.replace("patches:\n  - path: frontend-floor.yaml\n", "patches: [{path: frontend-floor.yaml}]\n")
        }),
        ("no patches", |text| text.replace("\npatches:\n  - path: frontend-floor.yaml\n", "\n")),
        ("empty patches", |text| text.replace("patches:\n  - path: frontend-floor.yaml\n", "patches: []\n")),
        ("a prefix", |text| text.replace("namespace: shop-prod\n", "namespace: shop-prod\nnamePrefix: eu-\n")),
        ("lines that end as on Windows", |text| text.replace('\n', "\r\n")),
    ];
    for (name, shape) in shapes {
        let (shop, config) = written();
        let path = "overlays/prod/kustomization.yaml";
        let taken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\n";
        let more = if name == "a name that is taken" { Some(taken) } else { None };
        let text = shape(&shop.file(path));
        let mut files = vec![(path, Some(text.as_str()))];
        files.extend(more.map(|more| ("overlays/prod/statefulset-redis.yaml", Some(more))));
        shop.commit(&files);
        let before = render(&shop, "overlays/prod");
        let report = shop.run("eject", &config, &["--write"]);
        assert_eq!(report.code, 0, "{name}: {report:?}");
        assert_eq!(render(&shop, "overlays/prod"), before, "{name}");
        assert!(!git(&shop.bare(), &["ls-tree", "-r", "--name-only", "main"]).contains("/prescale/"), "{name}");
        assert_eq!(shop.file("overlays/prod/statefulset-redis.yaml") == taken, more.is_some(), "{name}");
    }
}

#[test]
fn whoever_leaves_needs_git_alone() {
    let (shop, _) = written();
    // Nothing of what a run reads is at hand where people leave: no metrics, no App's key.
    let config = shop.local(
        "metrics: {prometheus: {url: 'http://127.0.0.1:9', bearerTokenFile: /nowhere}}\n\
         github: {repository: platform/config, app: {id: 1, privateKeyFile: /nowhere/private-key.pem}}\ncluster: {from: kubeconfig, kubeconfig: /nowhere}\n",
    );
    let eject = |environment: &[(&str, &str)]| {
        let mut command = prescale(&["eject", "--config", &config]);
        crate::support::shop::Ran::of(command.envs(environment.iter().copied()))
    };
    eject(&[("PRESCALE__REPOSITORY__PASSWORD", "x")]).says(0, &["its component becomes patches of its own (proven by render)"]);
    eject(&[]).says(2, &["the key of the GitHub App", "/nowhere/private-key.pem", "`prescale-github-app`"]);
}

#[test]
fn nothing_is_written_that_is_not_proven() {
    let (shop, _) = written();
    let config = shop.local("render: {program: none}\n");
    let before = shop.tip();
    shop.run("eject", &config, &["--write"]).says(1, &["nothing is written that is not proven"]);
    assert_eq!(shop.tip(), before);
}

#[test]
fn another_writer_is_not_overwritten() {
    let (shop, config) = written();
    shop.commit(&[("overlays/prod/NOTES", Some("by a person\n"))]);
    let tip = shop.tip();
    assert_eq!(shop.run("eject", &config, &["--write"]).code, 0);
    assert_eq!(git(&shop.bare(), &["rev-parse", "main^"]), tip);
    assert_eq!(shop.file("overlays/prod/NOTES"), "by a person\n");
}
