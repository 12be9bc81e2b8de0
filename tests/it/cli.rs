//! The command line as a person or a script meets it.

use crate::support::git::git;
use crate::support::shop::{Ran, Shop, now, prescale};

#[test]
fn help_names_every_command_and_exit_code() {
    let help = Ran::of(&mut prescale(&["--help"]));
    help.says(0, &["plan", "run", "eject", "backtest", "demo", "doctor", "completions", "Exit codes: 0", "PRESCALE__SECTION__KEY"]);
    for command in ["plan", "run", "eject", "backtest", "demo", "doctor"] {
        assert_eq!(Ran::of(&mut prescale(&[command, "--help"])).code, 0);
    }
    Ran::of(&mut prescale(&["--version"])).says(0, &[env!("CARGO_PKG_VERSION")]);
    Ran::of(&mut prescale(&["completions", "bash"])).says(0, &["_prescale()"]);
    Ran::of(&mut prescale(&["plann"])).says(2, &["plan"]);
}

#[test]
fn configuration_errors_name_the_nearest_key_and_exit_with_2() {
    let shop = Shop::new();
    shop.run("plan", &shop.local("desicion: {every: 5m}\n"), &[]).says(2, &["desicion", "did you mean `decision`?"]);
    shop.run("plan", &shop.local("decision: {leadtime: 5m}\n"), &[]).says(2, &["did you mean `leadTime`?"]);
    shop.run("plan", &shop.local("decision: {every: soon}\n"), &[]).says(2, &["`soon` is not a duration", "`10m`"]);
    shop.run("plan", &shop.local("decision: {every: 1s}\n"), &[]).says(2, &["between 1m and 7d"]);
    shop.run("plan", "/nowhere/prescale.yaml", &[]).says(2, &["/nowhere/prescale.yaml"]);
    shop.run("plan", &shop.local("  - broken: [\n"), &[]).says(2, &["prescale.yaml"]);
    let both = "metrics: {files: /tmp, prometheus: {url: 'http://localhost:1'}}\n";
    shop.run("plan", &shop.local(both), &[]).says(2, &["both set"]);
    let none = Ran::of(prescale(&["plan"]).current_dir(shop.path().join("history")));
    none.says(2, &["repository.url"]);
}

#[test]
fn layers_win_in_order() {
    let shop = Shop::new();
    // The file names a branch that is not there; the environment another; the flag the right one.
    let config = shop.configure(&format!("  url: file://{}\n  branch: from-file\n", shop.bare().display()), "");
    let with = |env: Option<&str>, flag: Option<&str>| {
        let mut command = prescale(&["plan", "--config", &config, "--at", &now()]);
        env.map(|branch| command.env("PRESCALE__REPOSITORY__BRANCH", branch));
        flag.map(|branch| command.args(["--branch", branch]));
        Ran::of(&mut command)
    };
    with(None, None).says(1, &["`from-file`", "it has `main`"]);
    with(Some("from-env"), None).says(1, &["`from-env`"]);
    with(Some("from-env"), Some("main")).says(0, &[]);
    let words =
        Ran::of(prescale(&["plan", "--config", &config, "--branch", "main", "--at", &now()]).env("PRESCALE__DECISION__LEAD_TIME", "1h"));
    words.says(0, &["for 08:00 to 08:10"]);
    Ran::of(prescale(&["plan", "--config", &config]).env("PRESCALE__DECISION__LED_TIME", "1h")).says(2, &["did you mean `leadTime`?"]);
}

#[test]
fn every_output_holds_the_same_plan() {
    let shop = Shop::new();
    let config = shop.local("");
    let json = shop.run("plan", &config, &[]).json();
    let output = |format: &str| Ran::of(&mut prescale(&["plan", "--config", &config, "--at", &now(), "--output", format]));
    let yaml: serde_json::Value = serde_yaml::from_str(&output("yaml").out).unwrap();
    assert_eq!(yaml, json);
    let n = json["changes"].as_array().unwrap().len();
    output("table").says(0, &["CHANGE", "backend", &format!("{n} changes, proven by render")]);
    output("markdown").says(0, &["| change | field | now | plan |", &format!("{n} changes, proven by render")]);
    // No terminal: no escapes, no progress.
    assert!(!output("table").out.contains('\u{1b}') && output("table").err.is_empty());
    let coloured = Ran::of(&mut prescale(&["plan", "--config", &config, "--at", &now(), "--color", "always"]));
    assert!(coloured.out.contains('\u{1b}'));
}

#[test]
fn strict_tells_where_something_is_held_because_of_an_error() {
    let shop = Shop::new();
    let config = shop.local("");
    assert_eq!(shop.run("plan", &config, &["--strict"]).code, 0);
    let policy = shop.file("overlays/prod/scaling.yaml").replace("capacityPerReplica: 40", "capacityPerReplica: -40");
    shop.commit(&[("overlays/prod/scaling.yaml", Some(&policy))]);
    assert_eq!(shop.run("plan", &config, &["--strict"]).code, 3);
    assert_eq!(shop.run("plan", &config, &[]).code, 0);
}

#[test]
fn logs_are_text_or_json_on_standard_error() {
    let shop = Shop::new();
    let config = shop.local("");
    let ran = shop.run("plan", &config, &["-v", "--log-format", "json"]);
    assert!(ran.err.lines().count() > 0 && ran.err.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{ran:?}");
    assert!(ran.json().is_object());
}

#[test]
fn the_demo_prints_plan_commit_and_diff_and_is_the_same_each_time() {
    let root = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| Ran::of(prescale(&["demo", "--dir", "shop"]).args(more).current_dir(root.path()));
    let first = run(&[]);
    first.says(0, &["Plan of 2026-11-16", "Pushed commit", "Set backend replicas from 3 to", "- count: 3 # per zone: one", "Try next"]);
    let tip = || git(&root.path().join("shop/config.git"), &["rev-parse", "main"]);
    let (before, second) = (tip(), run(&["--seed", "1"]));
    assert_eq!((first.out, before), (second.out, tip()), "same seed, same bytes");

    let history = || std::fs::read(root.path().join("shop/history/shop-prod/backend/requests.csv")).unwrap()[..10_000].to_vec();
    let before = history();
    let day = run(&["--hours", "3", "--seed", "2"]);
    assert_ne!(history(), before, "another seed, another history");
    day.says(0, &["HOUR DEMAND EXPECTED PREPARED FOR", "MAE", "R²", "commits in 3 hours"]);

    std::fs::create_dir(root.path().join("mine")).unwrap();
    std::fs::write(root.path().join("mine/precious"), "").unwrap();
    Ran::of(prescale(&["demo", "--dir", "mine"]).current_dir(root.path())).says(1, &["is not a folder of the demo", "--dir"]);
    assert!(root.path().join("mine/precious").exists());
}
