//! Several Prescales on one repository, each with its share of the workloads: together they do what one does.

use std::fmt::Write as _;
use std::thread;

use serde_json::Value as Json;

use crate::support::git::git;
use crate::support::git_http::{GitHttp, PASSWORD, USER};
use crate::support::shop::Shop;

const COUNT: usize = 4;

/// A shop in which everything may be committed.
fn shop() -> Shop {
    let shop = Shop::new();
    let policies =
        ["overlays/prod/scaling.yaml", "overlays/staging/scaling.yaml"].map(|path| (path, shop.file(path).replace("observe", "commit")));
    shop.commit(&policies.each_ref().map(|(path, text)| (*path, Some(text.as_str()))));
    shop
}

fn changed(report: &Json) -> Vec<String> {
    let text = |change: &Json| format!("{} {} {} {}", change["workload"], change["field"], change["from"], change["to"]);
    report["changes"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn four_shards_at_once_come_to_what_one_run_comes_to() {
    let whole = shop();
    let report = whole.run("run", &whole.local(""), &[]).json();
    let mut expected = changed(&report);

    let parts = shop();
    let server = GitHttp::start(&parts.path());
    let repository = format!("  url: {}\n  username: {USER}\n  password: {PASSWORD}\n", server.url());
    // Written once: four at a time would read it half written.
    let config = parts.configure(&repository, "");
    let run = |index: usize| {
        let ran = parts.run_with("run", &config, &[("PRESCALE__SHARD__INDEX", index), ("PRESCALE__SHARD__COUNT", COUNT)]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    };
    let reports: Vec<Json> = thread::scope(|scope| {
        let runs: Vec<_> = (0..COUNT).map(|index| scope.spawn(move || run(index))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut found: Vec<String> = reports.iter().flat_map(changed).collect();
    let taken: usize = reports.iter().filter(|report| !changed(report).is_empty()).count();
    assert!(taken > 1, "the shop's workloads are of several shards");
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let tree = |shop: &Shop| git(&shop.bare(), &["rev-parse", "main^{tree}"]);
    assert_eq!(tree(&parts), tree(&whole), "{}", git(&parts.bare(), &["diff", "main", "--stat"]));

    let tip = parts.tip();
    for index in 0..COUNT {
        let report = run(index);
        assert_eq!(report["commits"], Json::Array(vec![]), "{report}");
    }
    assert_eq!(parts.tip(), tip, "nothing new, nothing written");
}

#[test]
fn the_gate_s_limits_hold_for_all_shards_together() {
    // Eight workloads that must all double: more than a run may change without a look.
    let shop = || {
        let shop = Shop::new();
        let (mut manifests, mut policies) = (String::new(), String::new());
        for name in (0..8).map(|number| format!("app{number}")) {
            let manifest = shop.file("base/backend.yaml").split("---\n").next().unwrap().replace("backend", &name);
            writeln!(manifests, "---\n{manifest}").unwrap();
            writeln!(
                policies,
                "---\napiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: {name}}}\nspec: {{target: {{name: {name}}}, signal: requests, \
                 capacityPerReplica: 20, requests: {{enabled: false}}, delivery: commit}}"
            )
            .unwrap();
            let history = shop.path().join("history/shop-many").join(&name);
            std::fs::create_dir_all(&history).unwrap();
            std::fs::copy(shop.path().join("history/shop-prod/backend/requests.csv"), history.join("requests.csv")).unwrap();
        }
        let kustomization =
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: shop-many\nresources: [apps.yaml]\n";
        shop.commit(&[
            ("overlays/many/kustomization.yaml", Some(kustomization)),
            ("overlays/many/apps.yaml", Some(&manifests)),
            ("overlays/many/scaling.yaml", Some(&policies)),
            ("overlays/prod/scaling.yaml", None),
            ("overlays/staging/scaling.yaml", None),
        ]);
        shop
    };
    let routes = |report: &Json| {
        let changes = report["changes"].as_array().unwrap().iter();
        changes
            .map(|change| (change["workload"]["name"].as_str().unwrap().to_owned(), change["route"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let gated = "gate: {shipped: true}\n";
    let whole = shop();
    let mut expected = routes(&whole.run("plan", &whole.local(gated), &[]).json());
    assert_eq!(expected.len(), 8);
    assert!(expected.iter().all(|(_, route)| route == "pullRequest"), "{expected:?}");
    let mut found = Vec::new();
    for index in 0..COUNT {
        let ran = whole.run_with("plan", &whole.local(gated), &[("PRESCALE__SHARD__INDEX", index), ("PRESCALE__SHARD__COUNT", COUNT)]);
        found.extend(routes(&ran.json()));
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn each_shard_has_branches_of_its_own() {
    let shop = Shop::new();
    let policy = shop.file("overlays/prod/scaling.yaml").replace("commit", "pullRequest").replace("observe", "pullRequest");
    shop.commit(&[("overlays/prod/scaling.yaml", Some(&policy))]);
    for index in 0..COUNT {
        let ran = shop.run_with("run", &shop.local(""), &[("PRESCALE__SHARD__INDEX", index), ("PRESCALE__SHARD__COUNT", COUNT)]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let branches = git(&shop.bare(), &["for-each-ref", "--format=%(refname:short)", "refs/heads/prescale"]);
    assert!(branches.lines().count() > 1, "{branches}");
    assert!(branches.lines().all(|branch| branch.contains("-of-4/main/")), "{branches}");
}

#[test]
fn a_shard_that_is_not_there_is_refused() {
    let shop = Shop::new();
    let wrong =
        |index, count| shop.run_with("run", &shop.local(""), &[("PRESCALE__SHARD__INDEX", index), ("PRESCALE__SHARD__COUNT", count)]);
    wrong(4, 4).says(2, &["`shard.index` is 4 and `shard.count` 4", "counted from 0"]);
    wrong(0, 0).says(2, &["`shard.count` 0"]);
}
