//! What people do, and that it stands.

use chrono::TimeDelta;

use super::{FLOORS, Hub};
use crate::support::forge::{Fault, People};
use crate::support::git::{commit_at, git, git_command};
use crate::support::shop::{Ran, Shop, now, prescale};
use crate::support::small::{Small, held, start};

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
    for days in [0, 8] {
        let hub = Hub::new();
        hub.run();
        hub.forge.at(prescale::demo::START - TimeDelta::days(days));
        hub.forge.close(1);
        std::fs::rename(hub.shop.path().join("history"), hub.shop.path().join("gone")).unwrap();
        hub.try_run();
        assert_eq!(hub.forge.pulls().len(), 1, "{days} days ago");
    }
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

#[test]
fn what_people_take_back_weeks_later_stays_taken_back() {
    let small = Small::by("commit", 2, "signal: requests, capacityPerReplica: 10");
    small.configure("decision: {studiesPerRun: 0}\n");
    let run = |minutes| {
        small.history_around(minutes, "requests", |_| 60.0);
        held(&small.run(minutes))
    };
    run(0);
    let written = small.replicas();
    assert!(written > 2, "{written}");
    // The records of it are long read no more.
    let day = 1440;
    small.set(20 * day, 2);
    assert_eq!((run(20 * day + 5), small.replicas()), (vec!["vetoed".to_owned()], 2));
    // Bots commit beside it every day: that makes the veto no longer.
    for n in 21..27 {
        let at = start() + TimeDelta::minutes(n * day);
        commit_at(&small.bare(), "main", "overlays/prod/image.txt", &format!("{n}\n"), at);
    }
    assert_eq!((run(26 * day), small.replicas()), (vec!["vetoed".to_owned()], 2));
    assert_eq!((run(27 * day + 1), small.replicas()), (vec![], written), "a week later it is written again");
}

#[test]
fn what_was_squashed_or_rebased_can_be_taken_back() {
    for squash in [true, false] {
        let hub = Hub::new();
        hub.run();
        let path = "overlays/prod/frontend-floor.yaml";
        let before = hub.shop.file(path);
        if squash {
            hub.forge.squash(1);
        } else {
            // As GitHub rebases: our commit, made by who merged it.
            hub.forge.rebase(1);
        }
        hub.forge.delete_branch(FLOORS);
        hub.run();
        assert_ne!(hub.shop.file(path), before);
        // By GitHub's button: a commit that merges the revert.
        hub.shop.commit_at("2026-11-16T06:59:00Z", &[(path, Some(&before))]);
        hub.try_run().says(0, &["vetoed"]);
        assert_eq!(hub.forge.pulls().len(), 1, "squashed: {squash}");
    }
}

#[test]
fn a_branch_without_a_forge_is_declined_by_deleting_it() {
    let mut hub = Hub::new();
    hub.config = hub.shop.local("");
    assert_eq!(hub.run()["did"], "opened");
    let delete = || drop(git(&hub.shop.bare(), &["update-ref", "-d", &format!("refs/heads/{FLOORS}")]));
    delete();
    let plan = hub.shop.run("plan", &hub.config, &[]);
    plan.says(0, &["vetoed", "deleted"]);
    for _ in 0..2 {
        hub.try_run().says(0, &["vetoed"]);
        assert_eq!(hub.branches(), "");
    }
    hub.demand_times(1.5);
    assert_eq!(hub.run()["did"], "opened", "what it is made from has moved");
    // Merged and deleted is no veto.
    git(&hub.shop.bare(), &["update-ref", "refs/heads/main", &hub.branch().unwrap()]);
    delete();
    hub.demand_times(1.15);
    let ran = hub.try_run();
    assert!(ran.code == 0 && !ran.out.contains("vetoed"), "{ran:?}");
}

#[test]
fn a_commit_at_the_last_moment_is_not_withdrawn() {
    let hub = Hub::new();
    hub.run();
    // Nothing is left to change, and someone goes on from our branch while the run is at work.
    let scaling = hub.shop.file("overlays/prod/scaling.yaml");
    hub.shop.commit(&[("overlays/prod/scaling.yaml", Some(&scaling.replace("pullRequest", "observe")))]);
    hub.forge.forget();
    for call in ["floors", "templates"] {
        hub.forge.fault_times(call, 1, Fault::First(Box::new(|_| ())));
    }
    let theirs = |people: &People| drop(people.commit_on(FLOORS, "overlays/prod/note.txt", "mine\n"));
    hub.forge.fault("floors", Fault::First(Box::new(theirs)));
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations()), ("foreign".into(), vec![]));
    assert!(hub.forge.pull(1).open && git(&hub.shop.bare(), &["show", &format!("{FLOORS}:overlays/prod/note.txt")]) == "mine");
}

#[test]
fn one_that_was_turned_to_another_branch_is_theirs() {
    let hub = Hub::new();
    hub.run();
    git(&hub.shop.bare(), &["branch", "release", "main"]);
    hub.forge.retarget(1, "release");
    hub.demand_times(1.7);
    hub.forge.forget();
    assert_eq!((hub.run()["did"]["stayed"].clone(), hub.mutations()), ("theirs".into(), vec![]));
    assert_eq!(hub.forge.pulls().len(), 1);
}

#[test]
fn what_it_was_given_meanwhile_stays() {
    let hub = Hub::new();
    hub.forge.fault("POST /repos/shop/config/pulls", Fault::DropAfter);
    assert_eq!(hub.try_run().code, 1);
    hub.forge.label(1, "urgent");
    hub.run();
    assert_eq!(hub.forge.pull(1).labels, ["prescale", "urgent"]);
}

#[test]
fn a_floor_that_rests_keeps_to_the_policy() {
    let hub = Hub::new();
    hub.run();
    let floor = || {
        let file = git(&hub.shop.bare(), &["show", &format!("{FLOORS}:overlays/prod/frontend-floor.yaml")]);
        let line = file.lines().find_map(|line| line.trim().strip_prefix("minReplicas: ")).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    let proposed = floor();
    let scaling = hub.shop.file("overlays/prod/scaling.yaml");
    let bounded = scaling.replacen("    min: 2\n", &format!("    min: 2\n    max: {}\n", proposed - 1), 1);
    assert_ne!(bounded, scaling, "{scaling}");
    hub.shop.commit(&[("overlays/prod/scaling.yaml", Some(&bounded))]);
    hub.run();
    assert!(floor() < proposed, "{} of at most {}", floor(), proposed - 1);
}

#[test]
fn another_prescale_on_the_same_branch_is_left_alone() {
    let hub = Hub::new();
    hub.run();
    let text = std::fs::read_to_string(&hub.config).unwrap();
    let other = format!("{}.other.yaml", hub.config);
    std::fs::write(&other, text.replace("overlays: [overlays]", "overlays: [overlays/staging]")).unwrap();
    hub.forge.forget();
    for _ in 0..2 {
        let ran = Ran::of(&mut prescale(&["run", "--config", &other, "--at", &now()]));
        ran.says(0, &["branchPrefix"]);
        assert_eq!((hub.run()["did"].clone(), hub.mutations()), ("nothing".into(), vec![]));
    }
}

#[test]
fn another_value_merged_from_our_branch_is_a_no_to_ours() {
    for squash in [true, false] {
        let hub = Hub::new();
        hub.run();
        let path = "overlays/prod/frontend-floor.yaml";
        let proposed = git(&hub.shop.bare(), &["show", &format!("{FLOORS}:{path}")]);
        let theirs = proposed.replace("minReplicas: 5", "minReplicas: 4") + "\n";
        assert_ne!(theirs.trim_end(), proposed);
        hub.forge.commit_on(FLOORS, path, &theirs);
        hub.forge.at(prescale::demo::START);
        if squash {
            hub.forge.squash(1);
        } else {
            hub.forge.merge(1);
        }
        hub.forge.delete_branch(FLOORS);
        hub.try_run().says(0, &["vetoed", "5"]);
        assert_eq!((hub.forge.pulls().len(), hub.shop.file(path)), (1, theirs), "squashed: {squash}");
    }
}

#[test]
fn what_was_squashed_by_hand_is_known_from_its_words() {
    let mut hub = Hub::new();
    hub.config = hub.shop.local("");
    hub.run();
    let (bare, path) = (hub.shop.bare(), "overlays/prod/frontend-floor.yaml");
    let before = hub.shop.file(path);
    let words = git(&bare, &["show", "-s", "--format=%B", FLOORS]);
    let mut squash = git_command(&bare);
    squash.env("GIT_COMMITTER_DATE", "2026-11-16T06:00:00Z").args([
        "commit-tree",
        &format!("{FLOORS}^{{tree}}"),
        "-p",
        "main",
        "-m",
        &words,
    ]);
    let squashed = String::from_utf8(squash.output().unwrap().stdout).unwrap().trim().to_owned();
    git(&bare, &["update-ref", "refs/heads/main", &squashed]);
    git(&bare, &["update-ref", "-d", &format!("refs/heads/{FLOORS}")]);
    std::fs::remove_dir_all(hub.shop.path().join("state")).unwrap();
    hub.shop.commit_at("2026-11-16T06:59:00Z", &[(path, Some(&before))]);
    hub.try_run().says(0, &["vetoed"]);
    assert_eq!(hub.shop.file(path), before);
}

#[test]
fn of_two_steps_at_one_instant_the_last_is_what_was_written() {
    let small = Small::by("commit", 2, "signal: requests, capacityPerReplica: 10");
    small.configure("decision: {studiesPerRun: 0}\n");
    small.history("requests", |_| 60.0);
    small.run(0);
    let first = small.replicas();
    small.run(0);
    assert!(small.replicas() > first && first > 2, "a large rise is taken in steps");
    small.set(0, first);
    assert_eq!((held(&small.run(0)), small.replicas()), (vec!["vetoed".to_owned()], first));
}
