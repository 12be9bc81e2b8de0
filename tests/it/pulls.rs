//! Pull requests by the built binary, on a GitHub that is played by [`Forge`] over the same repository.

use std::collections::BTreeSet;
use std::process::Command;

use prescale::deliver::body;
use prescale::model::RepoPath;
use prescale::overlay;
use serde_json::Value as Json;

use crate::support::forge::{Fault, Forge, People, TOKEN};
use crate::support::git::git;
use crate::support::git_http::{GitHttp, PASSWORD, USER};
use crate::support::git_ssh::GitSsh;
use crate::support::repository;
use crate::support::shop::{Ran, Shop, now, prescale};

/// Our branch for floors.
const FLOORS: &str = "prescale/main/floors";

/// A shop whose floors travel by pull request, and the GitHub that it is on.
struct Hub {
    shop: Shop,
    forge: Forge,
    config: String,
}

impl Hub {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        Self::at(more, |shop| format!("  url: file://{}\n", shop.bare().display()))
    }

    /// Where the repository is reached by what `repository` says.
    fn at(more: &str, repository: impl FnOnce(&Shop) -> String) -> Self {
        let shop = Shop::new();
        let scaling = shop.file("overlays/prod/scaling.yaml");
        let by_pull =
            scaling.replace("delivery: commit", "delivery: {floors: pullRequest}").replace("floors: commit", "floors: pullRequest");
        shop.commit(&[("overlays/prod/scaling.yaml", Some(&by_pull))]);
        let forge = Forge::start(&shop.bare());
        let token = shop.path().join("token");
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let github = format!("github: {{url: '{}', repository: shop/config, tokenFile: {}, pause: 10ms}}\n", forge.api(), token.display());
        let repository = repository(&shop);
        let config = shop.configure(&repository, &(github + more));
        Self { shop, forge, config }
    }

    /// Runs; fails unless it ended well, and returns what became of the floors' pull request.
    fn run(&self) -> Json {
        let ran = self.try_run();
        assert_eq!(ran.code, 0, "{ran:?}");
        let report = ran.json();
        let pulls = report["pulls"].as_array().unwrap();
        pulls.iter().find(|pull| pull["branch"] == FLOORS).unwrap_or_else(|| panic!("{report}")).clone()
    }

    fn try_run(&self) -> Ran {
        self.shop.run("run", &self.config, &[])
    }

    /// The tip of our branch, where it is there.
    fn branch(&self) -> Option<String> {
        let tip = git(&self.shop.bare(), &["for-each-ref", "--format=%(objectname)", &format!("refs/heads/{FLOORS}")]);
        (!tip.is_empty()).then_some(tip)
    }

    /// Which of our branches are there.
    fn branches(&self) -> String {
        git(&self.shop.bare(), &["for-each-ref", "--format=%(refname:short)", "refs/heads/prescale"])
    }

    /// The calls that changed something since the last look.
    fn mutations(&self) -> Vec<String> {
        let calls = self.forge.mutations().iter().map(|call| format!("{} {}", call.method, call.path)).collect();
        self.forge.forget();
        calls
    }

    /// Fails unless what a text says for machines makes the branch's tree anew, bit for bit.
    fn is_rebuilt_from(&self, body: &str) {
        let proposal = body::proposal(body).unwrap();
        let (folder, branch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        self.shop.checkout(&proposal.base, folder.path());
        let changes: Vec<_> = proposal.changes().collect();
        let edited = overlay::edit(&changes, &repository::read(folder.path()), &overlay::Scope { allowed: vec![RepoPath::root()] });
        assert!(edited.held.is_empty() && !edited.overlays.is_empty(), "{edited:?}");
        edited.overlays.iter().for_each(|overlay| repository::write(folder.path(), &overlay.files));
        self.shop.checkout(FLOORS, branch.path());
        let same = Command::new("diff").arg("-r").args([folder.path(), branch.path()]).output().unwrap();
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }

    /// Makes the forecast another: a busier or a quieter shop.
    fn demand_times(&self, factor: f64) {
        for workload in ["frontend", "backend"] {
            let file = self.shop.path().join(format!("history/shop-prod/{workload}/requests.csv"));
            let text = std::fs::read_to_string(&file).unwrap();
            let line = |line: &str| match line.split_once(',') {
                Some((at, value)) if at != "timestamp" => format!("{at},{:.4}\n", value.parse::<f64>().unwrap() * factor),
                _ => format!("{line}\n"),
            };
            std::fs::write(&file, text.lines().map(line).collect::<String>()).unwrap();
        }
    }
}

#[test]
fn one_is_opened_and_a_second_run_changes_nothing() {
    let hub = Hub::with("pullRequest: {assignees: [ann], prices: {coreHour: 0.04, gibHour: 0.005}}\n");
    hub.shop.commit(&[(".github/CODEOWNERS", Some("* @shop/platform\noverlays/ @ben @ghost\n"))]);
    let base = hub.shop.tip();
    let opened = hub.run();
    assert_eq!((&opened["did"], &opened["number"]), (&"opened".into(), &1.into()), "{opened}");
    let pull = hub.forge.pull(1);
    assert_eq!((pull.head.as_str(), pull.base.as_str(), pull.labels.as_slice()), (FLOORS, "main", &["prescale".to_owned()][..]));
    assert_eq!(pull.assignees, ["ann"]);
    let body = pull.body.unwrap();
    for words in ["| workload | field | now | proposed |", "risk now", "USD", "```mermaid", "### Proof", "Held back", "revert the merge"] {
        assert!(body.contains(words), "`{words}` is not in: {body}");
    }
    assert!(!body.contains("prescale:new"), "it is dressed");
    hub.is_rebuilt_from(&body);
    assert_eq!(hub.shop.tip(), base, "the tracked branch is left alone");
    assert_eq!(git(&hub.shop.bare(), &["rev-list", "--count", &format!("main..{FLOORS}")]), "1");
    assert_eq!(hub.mutations().len(), 3, "opened, reviewers asked, dressed");

    assert_eq!(hub.run()["did"], "nothing");
    let log = hub.forge.log();
    assert!(hub.mutations().is_empty() && log.len() <= 2 && log.iter().all(|call| call.method == "GET"), "{log:?}");

    // The tracked branch moves on in other files: that is no reason to push.
    hub.shop.commit(&[("README.md", Some("# The shop\n"))]);
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));

    // Its files move on: the commit is made anew on the newest base, from exactly the tip that was there.
    let old = hub.branch().unwrap();
    let file = hub.shop.file("overlays/prod/kustomization.yaml");
    hub.shop.commit(&[("overlays/prod/kustomization.yaml", Some(&format!("# Ours.\n{file}")))]);
    assert_eq!(hub.run()["did"], "updated");
    assert_ne!(hub.branch().unwrap(), old);
    assert_eq!(git(&hub.shop.bare(), &["rev-parse", &format!("{FLOORS}^")]), hub.shop.tip());

    // Merged: nothing is left, and the branch goes.
    hub.forge.merge(1);
    assert_eq!(hub.run()["did"], "withdrawn");
    assert_eq!((hub.branches().as_str(), hub.forge.pulls().len()), ("", 1));
    hub.mutations();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
}

#[test]
fn it_follows_the_forecast_and_goes_with_it() {
    let hub = Hub::new();
    hub.run();
    hub.demand_times(1.7);
    let updated = hub.run();
    assert_eq!((&updated["did"], &updated["number"]), (&"updated".into(), &1.into()));
    let body = hub.forge.pull(1).body.unwrap();
    assert!(body.contains("No longer proposed:") && body.contains("~~"), "what is superseded is struck through: {body}");
    // The policies only observe from now on: nothing is left to change.
    let scaling = hub.shop.file("overlays/prod/scaling.yaml");
    hub.shop.commit(&[("overlays/prod/scaling.yaml", Some(&scaling.replace("pullRequest", "observe")))]);
    assert_eq!(hub.run()["did"], "withdrawn");
    let pull = hub.forge.pull(1);
    assert!(!pull.open && pull.body.unwrap().contains("nothing left to change"));
    assert_eq!(hub.branches(), "");
    // What was withdrawn is no veto.
    hub.shop.commit(&[("overlays/prod/scaling.yaml", Some(&scaling))]);
    assert_eq!(hub.run()["number"], 2);
}

#[test]
fn what_is_not_known_stays_as_it_was_proposed() {
    let hub = Hub::new();
    hub.run();
    hub.forge.forget();
    // Metrics are gone for one workload, then for all; then writing is stopped.
    let history = hub.shop.path().join("history/shop-prod");
    for workload in ["frontend", "backend"] {
        std::fs::rename(history.join(workload), history.join(format!("{workload}-gone"))).unwrap();
        assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]), "without {workload}");
    }
    std::fs::rename(history.join("backend-gone"), history.join("backend")).unwrap();
    let paused = Ran::of(prescale(&["run", "--config", &hub.config, "--at", &now()]).env("PRESCALE__PAUSED", "true"));
    assert_eq!((paused.code, hub.mutations(), hub.forge.pull(1).open), (0, vec![], true), "{paused:?}");
}

#[test]
fn what_people_close_is_not_proposed_again() {
    let hub = Hub::new();
    hub.run();
    let now = prescale::demo::START;
    hub.forge.at(now - chrono::TimeDelta::days(6));
    hub.forge.close(1);
    let ran = hub.try_run();
    ran.says(0, &["vetoed"]);
    assert_eq!((hub.branches().as_str(), hub.forge.pulls().len()), ("", 1), "nothing is proposed, and no branch is left over");
    hub.mutations();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
    // What it is made from leaves the band: it is another change.
    hub.demand_times(1.5);
    assert_eq!(hub.run()["number"], 2);
    hub.forge.at(now - chrono::TimeDelta::days(8));
    hub.forge.close(2);
    assert_eq!(hub.run()["number"], 3, "a veto ends after a week");
    // A text that cannot be read any more is a veto on everything.
    hub.forge.edit_body(3, |_| "No.".to_owned());
    hub.forge.at(now);
    hub.forge.close(3);
    hub.demand_times(1.5);
    hub.try_run().says(0, &["vetoed"]);
    assert_eq!(hub.forge.pulls().len(), 3);
}

#[test]
fn commits_of_people_stay() {
    let hub = Hub::new();
    hub.run();
    let theirs = hub.forge.commit_on(FLOORS, "overlays/prod/note.txt", "mine\n");
    hub.demand_times(1.7);
    hub.forge.forget();
    let stayed = hub.run();
    assert_eq!(stayed["did"]["stayed"], "foreign", "{stayed}");
    assert_eq!((hub.branch().as_deref(), hub.mutations()), (Some(theirs.as_str()), vec![]));
    // Even where it is closed, their commit is not deleted by us.
    hub.forge.close(1);
    hub.run();
    assert_eq!(hub.branch(), Some(theirs));
}

#[test]
fn boxes_are_answered() {
    let hub = Hub::new();
    hub.run();
    let tick = |name: &str| {
        hub.forge.edit_body(1, |body| {
            body.replace(&format!("- [ ] <!-- prescale:box {name} -->"), &format!("- [x] <!-- prescale:box {name} -->"))
        });
    };
    tick("hold");
    hub.demand_times(1.7);
    hub.forge.forget();
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations()), ("held".into(), vec![]));
    hub.demand_times(1.0 / 1.7);
    hub.forge.edit_body(1, |body| body.replace("[x]", "[ ]"));
    tick("explain");
    assert_eq!(hub.run()["did"], "updated");
    let pull = hub.forge.pull(1);
    assert!(pull.comments.len() == 1 && pull.comments[0].body.contains("one replica carries"), "{:?}", pull.comments);
    hub.mutations();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]), "it is answered once");
    hub.shop.commit(&[("README.md", Some("# The shop\n"))]);
    tick("rebase");
    assert_eq!(hub.run()["did"], "updated");
    assert_eq!(git(&hub.shop.bare(), &["rev-parse", &format!("{FLOORS}^")]), hub.shop.tip());
    assert!(!hub.forge.pull(1).body.unwrap().contains("[x]"));
}

#[test]
fn what_waits_in_a_merge_queue_is_left_alone() {
    let hub = Hub::new();
    hub.run();
    hub.forge.queue(1);
    let tip = hub.branch();
    hub.demand_times(1.7);
    hub.forge.forget();
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations(), hub.branch()), ("queued".into(), vec![], tip));
}

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
fn without_github_there_is_a_branch_and_a_report() {
    let mut hub = Hub::new();
    hub.config = hub.shop.local("");
    assert_eq!(hub.run()["did"], "opened");
    let report = hub.shop.path().join("state/reports/prescale-main-floors.md");
    assert!(std::fs::read_to_string(&report).unwrap().contains("| workload | field | now | proposed |"));
    let tip = hub.branch();
    hub.run();
    assert_eq!(hub.branch(), tip, "a second run pushes nothing");
    git(&hub.shop.bare(), &["update-ref", "refs/heads/main", &tip.unwrap()]);
    assert_eq!(hub.run()["did"], "withdrawn");
    assert!(hub.branches().is_empty() && !report.exists());
    assert!(hub.forge.log().is_empty());
}

#[test]
fn what_people_take_back_stays_taken_back() {
    let shop = Shop::new();
    let config = shop.local("");
    assert_eq!(shop.run("run", &config, &[]).code, 0);
    let written = shop.tip();
    // Someone reverts the floors, a little later.
    let file = |at: &str, path: &str| git(&shop.bare(), &["show", &format!("{at}:{path}")]) + "\n";
    let path = "overlays/prod/frontend-floor.yaml";
    assert_ne!(file("main~2", path), file("main", path), "it was written");
    let reverted = file("main~2", path);
    shop.commit_at("2026-11-16T07:05:00Z", &[(path, Some(&reverted))]);
    let later = |minutes: i64| (prescale::demo::START + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
    let run = |minutes| Ran::of(&mut prescale(&["run", "--config", &config, "--at", &later(minutes), "--output", "json"]));
    let ran = run(10);
    ran.says(0, &["vetoed"]);
    assert_eq!(file("main", path), reverted, "it stays as they left it, since {written}");
    // The state is lost: what was written is known from the commits themselves.
    std::fs::remove_dir_all(shop.path().join("state")).unwrap();
    run(20).says(0, &["vetoed"]);
    assert_eq!(file("main", path), reverted);
}

#[test]
fn people_are_not_asked_again_for_a_replica_less() {
    let hub = Hub::new();
    hub.run();
    let floor = || git(&hub.shop.bare(), &["show", &format!("{FLOORS}:overlays/prod/frontend-floor.yaml")]);
    let proposed = floor();
    let quieter = |factor| {
        hub.demand_times(factor);
        // What was wanted a moment ago would put off the fall.
        std::fs::remove_dir_all(hub.shop.path().join("state/records")).unwrap();
        hub.run();
    };
    quieter(0.9); // four would be enough
    assert_eq!(floor(), proposed);
    quieter(0.6);
    assert_ne!(floor(), proposed);
}

#[test]
fn it_tells_how_the_last_forecasts_did() {
    let hub = Hub::new();
    let run = |minutes: i64| {
        let at = (prescale::demo::START + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
        Ran::of(&mut prescale(&["run", "--config", &hub.config, "--at", &at])).says(0, &[]);
    };
    (-6..=0).for_each(|i| run(i * 10));
    hub.forge.edit_body(1, |body| body.replace("- [ ] <!-- prescale:box rebase -->", "- [x] <!-- prescale:box rebase -->"));
    run(0);
    let body = hub.forge.pull(1).body.unwrap();
    assert!(body.contains("Of its last 4 forecasts") || body.contains("Of its last 5 forecasts"), "{body}");
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
fn a_race_with_a_person_is_lost_and_loses_nothing() {
    let hub = Hub::new();
    hub.run();
    hub.demand_times(1.7);
    // They commit after our branch was read, and before it is moved.
    hub.forge.fault(
        "GET /repos/shop/config/pulls",
        Fault::First(Box::new(|people| {
            people.commit_on(FLOORS, "overlays/prod/note.txt", "mine\n");
        })),
    );
    let before = hub.branch().unwrap();
    assert_eq!(hub.run()["did"]["stayed"], "foreign");
    let theirs = hub.branch().unwrap();
    assert_eq!(git(&hub.shop.bare(), &["rev-parse", &format!("{theirs}^")]), before);
    assert_eq!(git(&hub.shop.bare(), &["show", &format!("{theirs}:overlays/prod/note.txt")]), "mine");
}

#[test]
fn two_runs_at_once_open_one_pull_request() {
    let hub = Hub::new();
    // While the first run is about to open it, another one does all of its work.
    let (config, state) = (hub.config.clone(), hub.shop.path().join("other-state"));
    hub.forge.fault(
        "POST /repos/shop/config/pulls",
        Fault::First(Box::new(move |_| {
            let mut other = prescale(&["run", "--config", &config, "--at", &now()]);
            Ran::of(other.env("PRESCALE__STATE__PATH", &state)).says(0, &["Opened pull request #1"]);
        })),
    );
    assert_eq!(hub.run()["number"], 1);
    let pulls = hub.forge.pulls();
    assert!(pulls.len() == 1 && pulls[0].labels == ["prescale"] && !pulls[0].body.as_ref().unwrap().contains("prescale:new"), "{pulls:?}");
    assert_eq!((hub.run()["did"].clone(), hub.branches().as_str()), ("nothing".into(), FLOORS));
}

#[test]
fn what_people_do_while_a_run_is_at_work_is_respected() {
    let meanwhile = |act: fn(&People)| {
        let hub = Hub::new();
        hub.run();
        hub.demand_times(1.7);
        let before = (hub.branch(), hub.forge.pull(1).body);
        hub.forge.forget();
        // The first two calls are those of its look at the beginning.
        for call in ["floors", "templates"] {
            hub.forge.fault_times(call, 1, Fault::First(Box::new(|_| ())));
        }
        hub.forge.fault("floors", Fault::First(Box::new(act)));
        let did = hub.run()["did"].clone();
        (did, hub.mutations(), hub.branch() == before.0 && hub.forge.pull(1).body == before.1)
    };
    assert_eq!(meanwhile(|people| people.close(1)), (serde_json::json!({"stayed": "overtaken"}), vec![], true));
    assert_eq!(meanwhile(|people| drop(people.merge(1))).0, serde_json::json!({"stayed": "overtaken"}));
    let hold =
        |people: &People| people.edit_body(1, |body| body.replace("- [ ] <!-- prescale:box hold -->", "- [x] <!-- prescale:box hold -->"));
    let (did, mutations, _) = meanwhile(hold);
    assert_eq!((did, mutations), (serde_json::json!({"stayed": "held"}), vec![]));
}

#[test]
fn a_pull_request_of_someone_else_is_theirs() {
    let hub = Hub::new();
    hub.run();
    hub.forge.edit_body(1, |_| "I took this over.".to_owned());
    hub.demand_times(1.7);
    hub.forge.forget();
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations()), ("theirs".into(), vec![]));
}

#[test]
fn what_was_closed_stays_closed_when_metrics_go() {
    let hub = Hub::new();
    hub.run();
    hub.forge.at(prescale::demo::START);
    hub.forge.close(1);
    std::fs::rename(hub.shop.path().join("history"), hub.shop.path().join("gone")).unwrap();
    hub.try_run();
    assert_eq!(hub.forge.pulls().len(), 1);
}

#[test]
fn what_was_merged_is_nobodys_to_lose() {
    let hub = Hub::new();
    hub.run();
    hub.forge.commit_on(FLOORS, "overlays/prod/note.txt", "mine\n");
    hub.forge.merge(1);
    hub.demand_times(2.5);
    assert_eq!(hub.run()["number"], 2, "the branch is filled anew");
    assert_eq!(git(&hub.shop.bare(), &["show", "main:overlays/prod/note.txt"]), "mine");
}

/// From the first pull request to a merged one.
fn lives(hub: &Hub) {
    assert_eq!(hub.run()["did"], "opened");
    hub.forge.forget();
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
    hub.demand_times(1.7);
    assert_eq!(hub.run()["did"], "updated");
    let theirs = hub.forge.commit_on(FLOORS, "overlays/prod/note.txt", "mine\n");
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.branch()), ("foreign".into(), Some(theirs)));
    hub.forge.merge(1);
    hub.forge.delete_branch(FLOORS);
    hub.run();
    assert_eq!(git(&hub.shop.bare(), &["show", "main:overlays/prod/note.txt"]), "mine");
}

#[test]
fn it_lives_over_http() {
    let mut server = None;
    let hub = Hub::at("", |shop| {
        let server = server.insert(GitHttp::start(&shop.path()));
        format!("  url: {}\n  username: {USER}\n  password: {PASSWORD}\n", server.url())
    });
    lives(&hub);
    let server = server.unwrap();
    let before = server.log().len();
    hub.run();
    let listed = server.log().split_off(before).into_iter().filter(|asked| asked.authorization.is_some());
    assert_eq!(listed.count(), 1, "one look at the branches");
}

#[test]
fn it_lives_over_ssh() {
    let server = GitSsh::start();
    let hub = Hub::at("", |shop| {
        let (key, hosts) = (server.path("user_key"), server.path("known_hosts"));
        format!("  url: {}\n  sshKeyFile: {}\n  knownHostsFile: {}\n", server.url(&shop.bare()), key.display(), hosts.display())
    });
    lives(&hub);
}

#[test]
fn what_it_is_given_it_is_given_once() {
    let hub = Hub::with("pullRequest: {labels: [scaling, floors], assignees: [ann], milestone: 1, autoMerge: squash}\n");
    hub.run();
    let pull = hub.forge.pull(1);
    assert_eq!((pull.draft, pull.milestone, pull.auto_merge.as_deref()), (false, Some(1), Some("SQUASH")), "{pull:?}");
    assert_eq!(pull.labels, ["scaling", "floors"]);
    hub.forge.unlabel(1, "floors");
    hub.demand_times(1.7);
    assert_eq!(hub.run()["did"], "updated");
    assert_eq!(hub.forge.pull(1).labels, ["scaling"], "what people take off stays off");
    // A draft waits for people: nothing merges it by itself.
    let hub = Hub::with("pullRequest: {draft: true, autoMerge: merge}\n");
    hub.run();
    let pull = hub.forge.pull(1);
    assert_eq!((pull.draft, pull.auto_merge), (true, None));
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
