//! What goes wrong, and what is not given away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::Hub;
use crate::support::forge::{Fault, TOKEN};
use crate::support::git::git;
use crate::support::git_http::{GitHttp, PASSWORD, USER};
use crate::support::shop::{Ran, now, prescale};

#[test]
fn a_forge_that_fails_is_told_and_the_next_run_goes_on() {
    let hub = Hub::new();
    hub.forge.fault("GET /repos/shop/config/pulls", Fault::Status(502, &[], "<html>"));
    hub.try_run().says(1, &["GitHub: cannot list the pull requests", "502"]);
    assert_eq!((hub.branches().as_str(), hub.forge.pulls().len()), ("", 0), "without knowing what people closed, nothing is proposed");
    hub.forge.heal();
    // It dies after the push: the next run opens what is missing, and no more.
    hub.forge.fault("POST /repos/shop/config/pulls", Fault::DropBefore);
    hub.try_run().says(1, &["GitHub: cannot open a pull request", "the next run will look"]);
    let tip = hub.branch();
    assert!(tip.is_some());
    assert_eq!((hub.run()["did"].clone(), hub.branch()), ("opened".into(), tip));
    // It was opened, and the answer was lost.
    let hub = Hub::new();
    hub.forge.fault("POST /repos/shop/config/pulls", Fault::DropAfter);
    assert_eq!(hub.try_run().code, 1);
    assert_eq!(hub.run()["number"], 1);
    let pull = hub.forge.pull(1);
    assert!(hub.forge.pulls().len() == 1 && pull.labels == ["prescale"] && !pull.body.unwrap().contains("prescale:new"));
}

#[test]
fn an_app_is_lent_a_token_and_no_secret_travels() {
    let hub = Hub::new();
    let key = hub.shop.path().join("app.pem");
    let made = Command::new("openssl").args(["genrsa", "-traditional", "-out"]).arg(&key).arg("2048").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let with_token = hub.run();
    hub.demand_times(1.7);
    let github = format!("{{url: '{}', repository: shop/config, app: {{id: 7, privateKeyFile: {}}}}}", hub.forge.api(), key.display());
    let config = hub.shop.local(&format!("github: {github}\n"));
    let ran = Ran::of(prescale(&["run", "--config", &config, "--at", &now()]).env("PRESCALE_LOG", "trace"));
    ran.says(0, &["Updated pull request #1"]);
    assert_eq!(with_token["number"], 1);
    let asked = hub.forge.log().into_iter().find(|call| call.path.ends_with("/access_tokens")).and_then(|call| call.body).unwrap();
    assert_eq!(asked["permissions"]["members"], "read", "teams are asked to review: {asked}");
    let lent = hub.forge.log().iter().filter_map(|call| call.token().map(str::to_owned)).collect::<BTreeSet<_>>();
    let pem = std::fs::read_to_string(&key).unwrap();
    let secrets: Vec<&str> = pem.lines().skip(1).take(2).chain(lent.iter().map(String::as_str)).collect();
    assert!(secrets.len() >= 4, "the key, the token, what the App signed and what it was lent: {secrets:?}");
    let mut told = vec![("the output".to_owned(), format!("{}{}", ran.out, ran.err).into_bytes())];
    told.push(("the pull request".to_owned(), hub.forge.pull(1).body.unwrap().into_bytes()));
    told.push(("the commits".to_owned(), git(&hub.shop.bare(), &["log", "--all", "-p"]).into_bytes()));
    let mut folders = vec![hub.shop.path().join("state"), hub.shop.bare()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                told.push((entry.display().to_string(), std::fs::read(&entry).unwrap()));
            }
        }
    }
    for (place, bytes) in told {
        let text = String::from_utf8_lossy(&bytes);
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "a secret is in {place}");
    }
}

#[test]
fn rate_limits_hold_for_the_runs_to_come() {
    let mut hub = Hub::new();
    let patient = hub.config.clone();
    let text = std::fs::read_to_string(&patient).unwrap();
    let hasty = format!("{patient}.hasty.yaml");
    hub.config.clone_from(&hasty);
    std::fs::write(&hasty, text.replace("pause: 10ms", "pause: 10ms, patience: 0s")).unwrap();
    // GitHub puts it off: the branch is there, and its pull request waits.
    let said = r#"{"message": "You have exceeded a secondary rate limit."}"#;
    hub.forge.fault_times("POST /repos/shop/config/pulls", 1, Fault::Status(403, &[("retry-after", "900")], said));
    let limited = hub.run();
    assert!(limited["did"]["stayed"]["limited"]["until"].is_string(), "{limited}");
    let tip = hub.branch();
    assert!(tip.is_some() && hub.mutations().len() == 1);
    // The next run knows, and asks nothing at all.
    let told = hub.try_run();
    assert_eq!((told.code, hub.forge.log().len()), (0, 0), "{told:?}");
    Ran::of(&mut prescale(&["run", "--config", &hub.config, "--at", &now()])).says(0, &["waits for GitHub's rate limits"]);
    // When that time is over, one that may wait a moment does, and goes on from where the first one stopped.
    std::fs::remove_dir_all(hub.shop.path().join("state/github/rests")).unwrap();
    hub.forge.fault_times("POST /repos/shop/config/pulls", 1, Fault::Status(403, &[("retry-after", "1")], said));
    hub.config = patient;
    let opened = hub.run();
    assert_eq!((&opened["did"], hub.branch()), (&"opened".into(), tip));
    // The primary limit is used up.
    hub.config = hasty;
    hub.demand_times(1.7);
    hub.forge.forget();
    hub.forge.requests_left(1);
    assert!(hub.run()["did"]["stayed"]["limited"].is_object());
    hub.forge.requests_left(1000);
    hub.forge.forget();
    assert!(hub.run()["did"]["stayed"]["limited"].is_object());
    assert!(hub.forge.log().is_empty(), "{:?}", hub.forge.log());
    // Its own count is kept in the state too, and is less than GitHub's.
    std::fs::remove_dir_all(hub.shop.path().join("state/github/rests")).unwrap();
    let writes = hub.shop.path().join("state/github/writes");
    assert_eq!(std::fs::read_dir(&writes).unwrap().count(), 4, "opened, which was put off twice, and dressed");
    let noted = std::fs::metadata(&writes).unwrap().modified().unwrap();
    for second in 0..400 {
        let at = chrono::DateTime::<chrono::Utc>::from(noted) - chrono::TimeDelta::seconds(3000 - second);
        std::fs::write(writes.join(format!("{}-1", at.format("%Y%m%dT%H%M%S%.6fZ"))), "").unwrap();
    }
    assert!(hub.run()["did"]["stayed"]["limited"].is_object());
    assert!(hub.mutations().is_empty());
    std::fs::remove_dir_all(&writes).unwrap();
    assert_eq!(hub.run()["did"], "updated");
}

#[test]
fn doctor_tries_github() {
    let hub = Hub::new();
    let doctor = || Ran::of(&mut prescale(&["doctor", "--config", &hub.config, "--at", &now()]));
    doctor().says(0, &["ok github shop/config"]);
    std::fs::write(hub.shop.path().join("token"), "ghp_wrong").unwrap();
    doctor().says(1, &["fail github", "401", "github.tokenFile"]);
}

#[test]
fn graphql_says_that_it_is_limited_with_success() {
    let hub = Hub::new();
    hub.run();
    hub.demand_times(1.7);
    let said = r#"{"data": null, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}"#;
    let text = std::fs::read_to_string(&hub.config).unwrap();
    std::fs::write(&hub.config, text.replace("pause: 10ms", "pause: 10ms, patience: 0s")).unwrap();
    hub.forge.fault_times("graphql", 1, Fault::Status(200, &[], said));
    hub.forge.forget();
    assert!(hub.run()["did"]["stayed"]["limited"].is_object());
    hub.forge.forget();
    assert!(hub.run()["did"]["stayed"]["limited"].is_object());
    assert!(hub.forge.log().is_empty(), "{:?}", hub.forge.log());
}

#[test]
fn labels_that_are_refused_are_no_reason_to_say_nothing() {
    let hub = Hub::with("pullRequest: {labels: [scaling], milestone: 7}\n");
    let ran = hub.try_run();
    ran.says(0, &["pullRequest.labels"]);
    let body = hub.forge.pull(1).body.unwrap();
    assert!(body.contains("### Proof") && !body.contains("prescale:new"), "{body}");
    hub.mutations();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
}

#[test]
fn an_answer_that_breaks_is_not_given_twice() {
    let hub = Hub::new();
    hub.run();
    hub.forge.edit_body(1, |body| body.replace("- [ ] <!-- prescale:box explain -->", "- [x] <!-- prescale:box explain -->"));
    hub.forge.fault_times("/comments", 1, Fault::DropAfter);
    assert_eq!(hub.try_run().code, 1);
    hub.run();
    assert_eq!(hub.forge.pull(1).comments.len(), 1);
}

/// A `kubectl` that notes its environment, and fails while a file says so.
fn kubectl_of(hub: &Hub) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = hub.shop.path();
    let script = folder.join("kubectl");
    let text = format!(
        "#!/bin/sh\nenv >> '{0}/environment'\nif [ -e '{0}/broken' ] && [ \"$1\" = kustomize ]; then echo 'no such base' >&2; exit 1; fi\n\
         exec kubectl \"$@\"\n",
        folder.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = std::fs::read_to_string(&hub.config).unwrap();
    std::fs::write(&hub.config, format!("{text}render: {{program: {}}}\n", script.display())).unwrap();
    folder
}

#[test]
fn what_cannot_be_proven_just_now_stays_proposed() {
    let hub = Hub::new();
    let folder = kubectl_of(&hub);
    assert_eq!(hub.run()["did"], "opened");
    hub.forge.forget();
    std::fs::write(folder.join("broken"), "").unwrap();
    for _ in 0..2 {
        assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations()), ("unproven".into(), vec![]));
    }
    std::fs::remove_file(folder.join("broken")).unwrap();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
}

#[test]
fn kubectl_is_told_no_secret() {
    let hub = Hub::new();
    let folder = kubectl_of(&hub);
    let text = std::fs::read_to_string(&hub.config).unwrap();
    let without = text.replace(&format!("tokenFile: {}, ", folder.join("token").display()), "");
    assert_ne!(without, text);
    std::fs::write(&hub.config, without).unwrap();
    let mut command = prescale(&["run", "--config", &hub.config, "--at", &now()]);
    Ran::of(command.env("PRESCALE__GITHUB__TOKEN", TOKEN)).says(0, &["Opened pull request #1"]);
    let environment = std::fs::read_to_string(folder.join("environment")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains(TOKEN));
}

#[test]
fn a_refused_push_is_no_reason_to_leave_the_rest() {
    let mut server = None;
    let hub = Hub::at("", |shop| {
        let server = server.insert(GitHttp::start(&shop.path()));
        format!("  url: {}\n  username: {USER}\n  password: {PASSWORD}\n", server.url())
    });
    let scaling = hub.shop.file("overlays/prod/scaling.yaml");
    let both = scaling.replacen("{floors: pullRequest}", "{floors: pullRequest, templates: commit}", 1);
    hub.shop.commit(&[("overlays/prod/scaling.yaml", Some(&both))]);
    let hook = hub.shop.bare().join("hooks/update");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\n[ \"$1\" != refs/heads/main ] || { echo 'main is frozen' >&2; exit 1; }\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    hub.try_run().says(1, &["was refused"]);
    assert!(hub.forge.pull(1).open);
}
