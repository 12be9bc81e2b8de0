//! Bad input, by the built binary: each says what failed, on which thing, and what to do; and nothing is ever half written.

use std::process::Command;

use prescale::demo::START;

use crate::support::git::git;
use crate::support::git_http::{Fault, GitHttp, PASSWORD, USER};
use crate::support::prometheus::RealPrometheus;
use crate::support::shop::{Ran, Shop, now, prescale};

/// Runs, and fails if the branch moved.
fn run_without_effect(shop: &Shop, config: &str, code: i32, words: &[&str]) {
    let before = shop.tip();
    shop.run("run", config, &[]).says(code, words);
    assert_eq!(shop.tip(), before, "nothing may be written");
    git(&shop.bare(), &["fsck", "--strict"]);
}

#[test]
fn prometheus_down_holds_every_workload() {
    let shop = Shop::new();
    assert_eq!(shop.run("run", &shop.local("gate: {}\n"), &[]).code, 0);
    let proposed = || git(&shop.bare(), &["rev-parse", "prescale/main/templates"]);
    let before = proposed();
    let config = shop.local("gate: {}\nmetrics: {prometheus: {url: 'http://127.0.0.1:9', retries: 0}}\n");
    run_without_effect(&shop, &config, 0, &["sourceFailed", "127.0.0.1:9"]);
    assert_eq!(proposed(), before, "what stands proposed is neither wanted nor unwanted");
    assert_eq!(shop.run("run", &config, &["--strict"]).code, 3);
    Ran::of(&mut prescale(&["doctor", "--config", &config])).says(1, &["fail metrics", "127.0.0.1:9", "ok repository"]);
}

#[test]
fn a_clock_that_is_an_hour_off_decides_nothing_and_is_named() {
    let shop = Shop::new();
    let prometheus = RealPrometheus::with("# TYPE any gauge\nany 1 1763276400\n# EOF\n");
    let config = shop.local(&format!("metrics: {{prometheus: {{url: '{}'}}}}\n", prometheus.url));
    let before = shop.tip();
    for (off, side) in [("-1h", "behind"), ("+1h", "ahead of")] {
        let mut command = Command::new("faketime");
        command.args(["--exclude-monotonic", "-f", off, env!("CARGO_BIN_EXE_prescale"), "run", "--config", &config]);
        let ran = Ran::of(&mut command);
        ran.says(0, &["tells another time", &format!("this machine's clock is 60 minutes {side} its own"), "NTP"]);
        assert_eq!(shop.tip(), before);
    }
}

#[test]
fn what_renders_is_told_no_secret() {
    let shop = Shop::new();
    let (program, told) = (shop.path().join("kustomize"), shop.path().join("told"));
    let script =
        format!("#!/bin/sh\nenv >> {}\ncase $1 in version) echo v5.8.1;; *) exec kubectl kustomize \"$2\";; esac\n", told.display());
    std::fs::write(&program, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
    let config = shop.local(&format!("render: {{program: {}}}\n", program.display()));
    let mut command = prescale(&["run", "--config", &config, "--at", &now()]);
    for name in ["PRESCALE__REPOSITORY__PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env(name, "canary-a9e1");
    }
    Ran::of(&mut command).says(0, &["proven by render"]);
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains("PATH="), "{told}");
    assert!(!told.contains("canary") && !told.contains("PRESCALE__") && !told.contains("AWS_S"), "{told}");
}

#[test]
fn two_hours_of_history_are_too_few() {
    let shop = Shop::new();
    let from = START.timestamp() - 2 * 3600;
    let file = shop.path().join("history/shop-prod/backend/requests.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let recent = |line: &&str| line.split(',').next().unwrap().parse::<i64>().is_ok_and(|at| at >= from);
    std::fs::write(&file, "timestamp,value\n".to_owned() + &text.lines().filter(recent).collect::<Vec<_>>().join("\n")).unwrap();
    shop.run("run", &shop.local(""), &["--output", "table"]).says(0, &["only 2 hours of history; 24 hours are needed"]);
    assert!(shop.file("overlays/prod/kustomization.yaml").contains("count: 3"), "backend is held");
    assert!(!shop.file("overlays/prod/frontend-floor.yaml").contains("minReplicas: 3"), "frontend is not");
}

#[test]
fn stale_history_is_never_scaled_on() {
    let shop = Shop::new();
    let later = (START + chrono::TimeDelta::days(2)).to_rfc3339();
    let before = shop.tip();
    let ran = Ran::of(&mut prescale(&["run", "--config", &shop.local(""), "--at", &later]));
    ran.says(0, &["the last sample is of 2026-11-16", "nothing is scaled on silence"]);
    assert_eq!(shop.tip(), before);
}

#[test]
fn nonsense_in_a_history_file_is_told_with_its_line() {
    let shop = Shop::new();
    let file = shop.path().join("history/shop-prod/backend/requests.csv");
    std::fs::write(&file, "timestamp,value\n1763276400,12\nyesterday,12\n").unwrap();
    shop.run("plan", &shop.local(""), &["--output", "table"]).says(0, &["requests.csv:3"]);
    std::fs::write(&file, "timestamp,value\n1763276400,NaN\n1763276460,+Inf\n").unwrap();
    let ran = shop.run("plan", &shop.local(""), &[]);
    assert!(ran.json()["changes"].as_array().unwrap().iter().all(|c| c["workload"]["name"] != "backend" || c["field"] != "replicas"));
    assert!(ran.out.contains("noData") || ran.out.contains("shortHistory"), "{}", ran.out);
}

#[test]
fn a_repository_that_is_not_what_it_should_be() {
    let shop = Shop::new();
    let at = |url: &str, more: &str| shop.configure(&format!("  url: {url}\n{more}"), "");
    let bare = format!("file://{}", shop.bare().display());
    run_without_effect(&shop, &at(&bare, "  branch: production\n"), 1, &["has no branch `production`", "it has `main`"]);
    run_without_effect(&shop, &at("file:///nowhere/config.git", ""), 1, &["/nowhere/config.git", "check the address"]);
    run_without_effect(&shop, &at("http://127.0.0.1:9/config.git", ""), 1, &["cannot reach", "127.0.0.1:9"]);
    run_without_effect(&shop, &at("ftp://example.com/x", ""), 2, &["ftp"]);
    let outside = shop.local("").replace("prescale.yaml", "elsewhere.yaml");
    std::fs::write(&outside, std::fs::read_to_string(shop.local("")).unwrap().replace("[overlays]", "[clusters/eu]")).unwrap();
    run_without_effect(&shop, &outside, 1, &["no folder `clusters/eu`", "correct `overlays`"]);
}

#[test]
fn broken_yaml_holds_its_overlay_alone() {
    let shop = Shop::new();
    shop.commit(&[("overlays/staging/kustomization.yaml", Some("namespace: shop-staging\nresources: [../../base\n"))]);
    let ran = shop.run("run", &shop.local(""), &[]);
    ran.says(0, &["invalid-yaml", "overlays/staging/kustomization.yaml"]);
    assert!(!shop.file("overlays/prod/frontend-floor.yaml").contains("minReplicas: 3"), "prod went on");
}

#[test]
fn policies_with_mistakes_hold_their_workload_and_tell_all() {
    let shop = Shop::new();
    let good = shop.file("overlays/prod/scaling.yaml");
    let with = |text: String, words: &[&str]| {
        shop.commit(&[("overlays/prod/scaling.yaml", Some(&text))]);
        shop.run("plan", &shop.local(""), &["--output", "markdown"]).says(0, words);
        shop.run("plan", &shop.local(""), &["--strict"]).says(3, &[]);
    };
    with(
        good.replace("    max: 20\n", "    maxx: 20\n"),
        &["overlays/prod/scaling.yaml:26", "unknown field `maxx`", "did you mean `max`?"],
    );
    with(
        good.replace("    min: 2\n    max: 20\n", "    min: 30\n    max: 20\n"),
        &["spec.replicas.min (30) is above spec.replicas.max (20)"],
    );
    with(good.replace("capacityPerReplica: 40", "capacityPerReplica: -40"), &["spec.capacityPerReplica is -40: it must be above zero"]);
    with(good.replace("    name: backend\n  signal", "    name: beckend\n  signal"), &["beckend", "the overlay renders no such workload"]);
    with(
        good.replace("delivery:\n    floors: commit", "delivery:\n    floors: comit"),
        &["`observe`, `commit`, or a mapping with `floors` and `templates`"],
    );
    // All that is wrong at once, though the parser stops at the first.
    let wrong = good.replacen(
        "    min: 2\n    max: 20\n",
        "    min: 30\n    max: 20\n  replica: {}\n  signals: [{signal: disk}]\n  staleAfter: soon\n",
        1,
    );
    with(wrong, &["unknown field `replica`", "spec.replicas.min (30) is above", "disk", "soon"]);
    with(format!("{good}---\n{}", good.split("---\n").nth(1).unwrap()), &["several policies name it", "keep one"]);
    with(format!("{good}---\nkind: ScalingPolicy\n  broken: [\n"), &["is no valid YAML"]);
}

#[test]
fn pushes_that_the_server_refuses() {
    let shop = Shop::new();
    let server = GitHttp::start(&shop.path());
    git(&shop.bare(), &["config", "http.receivepack", "true"]);
    let config = |password: &str| shop.configure(&format!("  url: {}\n  username: {USER}\n  password: {password}\n", server.url()), "");

    let hook = shop.bare().join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'only on Tuesdays' >&2\nexit 1\n").unwrap();
    Command::new("chmod").arg("+x").arg(&hook).status().unwrap();
    run_without_effect(&shop, &config(PASSWORD), 1, &["refused", "only on Tuesdays", "look at the server's rules"]);
    std::fs::remove_file(hook).unwrap();

    server.fault("git-receive-pack", Fault::Status(403));
    run_without_effect(&shop, &config(PASSWORD), 1, &["403", "let this user or token push"]);
    server.heal();
    let wrong = shop.run("run", &config("canary-wrong"), &[]);
    wrong.says(1, &["did not accept who we are"]);
    assert!(!wrong.err.contains("canary-wrong"), "{wrong:?}");
    shop.run("run", &config(PASSWORD), &[]).says(0, &[]);
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let shop = Shop::new();
    let config = shop.local("");
    // Files cannot grow beyond a few KiB: what a full disk looks like to a program. Each limit fails at another write.
    for kib in [0, 1, 4] {
        let before = shop.tip();
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" run --config \"$1\" --at {}", now());
        let _ = std::fs::remove_dir_all(shop.path().join("state"));
        let ran = Ran::of(Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_prescale"), &config]));
        let moved = shop.tip() != before;
        git(&shop.bare(), &["fsck", "--strict"]);
        assert!([0, 1].contains(&ran.code), "{kib} KiB: {ran:?}");
        assert_eq!(moved, ran.out.contains("Pushed commit"), "what was written is told, whatever failed then; {kib} KiB: {ran:?}");
        if ran.code == 1 {
            assert!(ran.err.contains("room") || ran.err.contains("space"), "{kib} KiB: {ran:?}");
        }
    }
    let _ = std::fs::remove_dir_all(shop.path().join("state"));
    shop.run("run", &config, &[]).says(0, &[]);
}

#[test]
fn a_failure_after_a_push_does_not_hide_the_push() {
    let shop = Shop::new();
    let config = shop.local("");
    let before = shop.tip();
    std::fs::create_dir_all(shop.path().join("state")).unwrap();
    std::fs::write(shop.path().join("state/records"), "a file where a folder should be").unwrap();
    let ran = shop.run("run", &config, &[]);
    assert_ne!(shop.tip(), before);
    assert_eq!(ran.json()["commits"].as_array().unwrap().len(), 2, "{ran:?}");
    ran.says(1, &["cannot write `records/2026-11-16", "is there space, and may this user write?"]);
}

#[test]
fn absurd_durations_and_instants_are_told() {
    let shop = Shop::new();
    let good = shop.file("overlays/prod/scaling.yaml");
    shop.commit(&[(
        "overlays/prod/scaling.yaml",
        Some(&good.replacen("  signal: requests\n", "  signal: requests\n  leadTime: 99999999d\n", 1)),
    )]);
    shop.run("plan", &shop.local(""), &["--output", "markdown"]).says(0, &["spec.leadTime is", "at most 1d"]);
    Ran::of(&mut prescale(&["plan", "--config", &shop.local(""), "--at", "+262142-12-31T00:00:00Z"])).says(2, &["1971"]);
}

#[test]
fn a_state_that_cannot_be_written_is_named() {
    let shop = Shop::new();
    let config = shop.local("");
    std::fs::write(shop.path().join("state"), "a file where a folder should be").unwrap();
    run_without_effect(&shop, &config, 1, &["state", "state.path"]);
}
