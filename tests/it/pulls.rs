//! Pull requests by the built binary, on a GitHub that is played by [`Forge`] over the same repository.

use std::process::Command;

use prescale::deliver::body;
use prescale::model::RepoPath;
use prescale::overlay;
use serde_json::Value as Json;

use crate::support::forge::{Fault, Forge, TOKEN};
use crate::support::git::git;
use crate::support::git_http::{GitHttp, PASSWORD, USER};
use crate::support::git_ssh::GitSsh;
use crate::support::repository;
use crate::support::shop::{Ran, Shop, now, prescale};

mod people;
mod troubles;

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
    assert_eq!(
        (&pull.reviewers, &pull.team_reviewers),
        (&vec!["ben".to_owned()], &vec![]),
        "one who may not is no reason not to ask others"
    );
    assert_eq!(hub.mutations().len(), 5, "opened, reviewers asked, then one by one, dressed");

    assert_eq!(hub.run()["did"], "nothing");
    let log = hub.forge.log();
    assert!(hub.mutations().is_empty() && log.len() <= 2 && log.iter().all(|call| call.method == "GET"), "{log:?}");

    // The tracked branch moves on in other files: that is no reason to push.
    hub.shop.commit(&[("README.md", Some("# The shop\n"))]);
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));

    // Nor is it, that its files move on, where merging it gives just what is wanted.
    let old = hub.branch().unwrap();
    let file = hub.shop.file("overlays/prod/kustomization.yaml");
    hub.shop.commit(&[("overlays/prod/kustomization.yaml", Some(&format!("# Ours.\n{file}")))]);
    assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));

    // It no longer merges: the commit is made anew on the newest base, from exactly the tip that was there.
    let moved = format!("# Ours.\n{file}").replace("# per zone: one", "# one a zone");
    hub.shop.commit(&[("overlays/prod/kustomization.yaml", Some(&moved))]);
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
