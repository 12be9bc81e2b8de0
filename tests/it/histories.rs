//! Random histories of runs, merges, closes, reverts, commits of people, moves of the base and faults: whatever comes, no group has two open
//! pull requests, no commit of a person is lost, nothing that was vetoed is proposed again, and nothing is pushed without need.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::forge::{Fault, Forge, TOKEN};
use crate::support::git::{commit_on, git};
use crate::support::shop::Ran;
use crate::support::small::{Small, start};
use crate::support::{is_full, seed};

/// Our branch for floors.
const FLOORS: &str = "prescale/main/floors";

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A run, all being well.
    Run,
    /// A run while something goes wrong with the first call that fits.
    FaultyRun(&'static str, Wrong),
    /// Someone merges the open pull request.
    Merge,
    /// Someone closes it.
    Close,
    /// Someone takes back the last value that was merged.
    Revert,
    /// Someone commits on our branch.
    CommitOnOurs,
    /// Someone deletes our branch.
    DeleteOurs,
    /// Someone commits elsewhere on the tracked branch.
    CommitElsewhere,
    /// Someone sets the replicas by hand.
    SetByHand(u32),
    /// Someone ticks or unticks a box.
    Tick(&'static str),
    /// Demand becomes this many times what it was first.
    Demand(u32),
    /// Time passes.
    Wait(i64),
    /// A run that finds no metrics.
    BlindRun,
    /// The state is lost.
    LoseState,
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Refused,
    Before,
    After,
}

fn step() -> impl Strategy<Value = Step> {
    let calls = prop::sample::select(vec!["GET /repos/shop/config/pulls", "POST /repos", "PATCH /repos", "graphql"]);
    let wrong = prop::sample::select(vec![Wrong::Refused, Wrong::Before, Wrong::After]);
    prop_oneof![
        8 => Just(Step::Run),
        3 => (calls, wrong).prop_map(|(call, wrong)| Step::FaultyRun(call, wrong)),
        2 => Just(Step::Merge),
        2 => Just(Step::Close),
        1 => Just(Step::Revert),
        1 => Just(Step::CommitOnOurs),
        1 => Just(Step::DeleteOurs),
        1 => Just(Step::CommitElsewhere),
        1 => (1..30_u32).prop_map(Step::SetByHand),
        1 => prop::sample::select(vec!["rebase", "hold", "explain"]).prop_map(Step::Tick),
        2 => (1..5_u32).prop_map(Step::Demand),
        2 => prop::sample::select(vec![10, 60, 3 * 1440, 8 * 1440]).prop_map(Step::Wait),
        1 => Just(Step::BlindRun),
        1 => Just(Step::LoseState),
    ]
}

/// Changes that people declined: nothing like it may be proposed meanwhile.
struct Declined {
    /// In minutes from the start.
    at: i64,
    demand: u32,
}

struct World {
    small: Small,
    forge: Forge,
    /// Minutes from the start.
    now: i64,
    demand: u32,
    /// Commits that people made, on whichever branch.
    people: Vec<String>,
    declined: Option<Declined>,
    /// The demand that the open pull request was made from, and the one that was merged last.
    proposed: Option<u32>,
    merged: Option<u32>,
    number: u32,
}

/// For how long a veto holds, in minutes.
const VETO: i64 = 7 * 1440;

impl World {
    fn new() -> Self {
        let spec = "signal: requests, capacityPerReplica: 10";
        let small = Small::by("pullRequest", 2, spec);
        let forge = Forge::start(&small.bare());
        let github = format!("github: {{url: '{}', repository: shop/config, token: {TOKEN}, pause: 1ms}}\n", forge.api());
        small.configure(&(github + "decision: {studiesPerRun: 0}\n"));
        let world = Self { small, forge, now: 0, demand: 3, people: Vec::new(), declined: None, proposed: None, merged: None, number: 0 };
        world.measure();
        world
    }

    /// The demand of the last two days, the same in each minute.
    fn measure(&self) {
        let mut text = String::new();
        for minute in (self.now - 2 * 1440..self.now + 10).step_by(5) {
            writeln!(text, "{},{}", start().timestamp() + minute * 60, self.demand * 20).unwrap();
        }
        let folder = self.small.path().join("history/shop/web");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("requests.csv"), text).unwrap();
    }

    fn run(&self) -> Ran {
        Ran::of(&mut self.small.command("run", self.now))
    }

    fn refs(&self) -> String {
        git(&self.small.bare(), &["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    fn open(&self) -> Option<u64> {
        let open: Vec<u64> = self.forge.pulls().iter().filter(|pull| pull.open && pull.head == FLOORS).map(|pull| pull.number).collect();
        assert!(open.len() <= 1, "two open pull requests: {open:?}");
        open.first().copied()
    }

    fn has_branch(&self) -> bool {
        self.refs().contains(&format!("refs/heads/{FLOORS} "))
    }

    fn replicas(&self) -> u32 {
        self.small.replicas()
    }

    /// A person's commit of the manifest on the tracked branch.
    fn set(&mut self, replicas: u32) {
        let file = git(&self.small.bare(), &["show", "main:overlays/prod/web.yaml"]) + "\n";
        let set = file.replace(&format!("replicas: {}\n", self.replicas()), &format!("replicas: {replicas}\n"));
        if set != file {
            let at = start() + TimeDelta::minutes(self.now);
            self.people.push(crate::support::git::commit_at(&self.small.bare(), "main", "overlays/prod/web.yaml", &set, at));
        }
    }

    fn take(&mut self, step: Step) {
        self.forge.at(start() + TimeDelta::minutes(self.now));
        match step {
            Step::Run => {
                let ran = self.run();
                assert_eq!(ran.code, 0, "{ran:?}");
                self.forge.forget();
                let before = self.refs();
                let again = self.run();
                assert_eq!(again.code, 0, "{again:?}");
                let (mutations, log) = (self.forge.mutations(), self.forge.log());
                assert!(mutations.is_empty() && self.refs() == before, "a second run changed something: {mutations:?}");
                assert!(log.iter().filter(|call| call.method == "GET").count() <= 2, "{log:?}");
                self.check_declined();
                self.proposed = self.open().map(|_| self.demand);
            }
            Step::FaultyRun(call, wrong) => {
                let fault = match wrong {
                    Wrong::Refused => Fault::Status(502, &[], "<html>"),
                    Wrong::Before => Fault::DropBefore,
                    Wrong::After => Fault::DropAfter,
                };
                self.forge.fault_times(call, 1, fault);
                let ran = self.run();
                assert!([0, 1].contains(&ran.code), "{ran:?}");
                self.forge.heal();
            }
            Step::Merge => {
                if let Some(open) = self.open().filter(|open| self.has_branch() && !self.forge.conflicts(*open)) {
                    self.forge.merge(open);
                    (self.declined, self.merged) = (None, self.proposed);
                }
            }
            Step::Close => {
                if let Some(open) = self.open() {
                    self.forge.close(open);
                    self.declined = self.proposed.map(|demand| Declined { at: self.now, demand });
                }
            }
            Step::Revert => {
                if let Some(demand) = self.merged.take().filter(|_| self.replicas() != 2) {
                    self.set(2);
                    self.declined = Some(Declined { at: self.now, demand });
                }
            }
            Step::CommitOnOurs => {
                if self.has_branch() {
                    self.number += 1;
                    let (name, text) = (format!("overlays/prod/note-{}.txt", self.number), format!("{}\n", self.number));
                    self.people.push(commit_on(&self.small.bare(), FLOORS, &name, &text));
                }
            }
            Step::DeleteOurs => {
                // What people delete of theirs is theirs to delete.
                let theirs: Vec<String> = self.people.iter().filter(|commit| !self.is_on(commit, "main")).cloned().collect();
                if self.has_branch() && theirs.is_empty() {
                    let open = self.open();
                    self.forge.delete_branch(FLOORS); // which closes its pull request
                    self.declined = open.and(self.proposed).map(|demand| Declined { at: self.now, demand });
                }
            }
            Step::CommitElsewhere => {
                self.number += 1;
                let (name, text) = (format!("docs/{}.txt", self.number), format!("{}\n", self.number));
                self.people.push(commit_on(&self.small.bare(), "main", &name, &text));
            }
            Step::SetByHand(replicas) => {
                self.set(replicas);
                (self.declined, self.merged) = (None, None);
            }
            Step::Tick(name) => {
                if let Some(open) = self.open() {
                    let (off, on) = (format!("- [ ] <!-- prescale:box {name} -->"), format!("- [x] <!-- prescale:box {name} -->"));
                    self.forge.edit_body(open, |body| if body.contains(&off) { body.replace(&off, &on) } else { body.replace(&on, &off) });
                }
            }
            Step::Demand(demand) => {
                self.demand = demand;
                self.measure();
            }
            Step::Wait(minutes) => {
                self.now += minutes;
                self.measure();
            }
            Step::BlindRun => {
                let before = self.open();
                let file = self.small.path().join("history/shop/web/requests.csv");
                std::fs::remove_file(&file).unwrap();
                let ran = self.run();
                assert_eq!(ran.code, 0, "{ran:?}");
                assert!(self.open().is_none() || self.open() == before, "what is not known is not proposed anew");
                self.measure();
            }
            Step::LoseState => {
                let state = self.small.path().join("state");
                if state.exists() {
                    std::fs::remove_dir_all(state).unwrap();
                }
            }
        }
        self.check();
    }

    fn is_on(&self, commit: &str, branch: &str) -> bool {
        git(&self.small.bare(), &["branch", "--format=%(refname:short)", "--contains", commit]).lines().any(|line| line == branch)
    }

    /// After a run: what people declined is not proposed, unless they kept it open themselves.
    fn check_declined(&self) {
        let Some(Declined { at, demand }) = self.declined else { return };
        let is_theirs = |pull: u64| {
            let is_held = self.forge.pull(pull).body.unwrap_or_default().contains("[x] <!-- prescale:box hold -->");
            is_held || self.people.iter().any(|commit| self.has_branch() && self.is_on(commit, FLOORS) && !self.is_on(commit, "main"))
        };
        if self.now - at < VETO && demand == self.demand {
            assert_eq!(self.open().filter(|open| !is_theirs(*open)), None, "what was declined is proposed again");
        }
    }

    fn check(&self) {
        self.open();
        for commit in &self.people {
            let on = git(&self.small.bare(), &["branch", "--format=%(refname:short)", "--contains", commit]);
            assert!(!on.is_empty(), "a person's commit is lost: {commit}");
        }
        let branches: BTreeSet<String> =
            git(&self.small.bare(), &["for-each-ref", "--format=%(refname:short)", "refs/heads"]).lines().map(str::to_owned).collect();
        assert!(branches.iter().all(|branch| branch == "main" || branch == FLOORS), "{branches:?}");
    }
}

#[test]
fn whatever_comes_nothing_is_lost_and_nothing_is_pushed_in_vain() {
    let cases = if is_full() { 1000 } else { 50 };
    let seed = seed();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let history = prop::collection::vec(step(), 4..14);
    let counts = RefCell::new(BTreeMap::<&str, usize>::new());
    let outcome = runner.run(&history, |steps| {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.take(Step::Run);
        let pulls = world.forge.pulls();
        let counted = [
            ("opened", pulls.len()),
            ("open", pulls.iter().filter(|pull| pull.open).count()),
            ("merged", pulls.iter().filter(|pull| pull.merged.is_some()).count()),
            ("commits of people", world.people.len()),
            ("declined to the end", usize::from(world.declined.is_some())),
        ];
        for (what, n) in counted {
            *counts.borrow_mut().entry(what).or_default() += n;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed}: {failure}");
    }
    eprintln!("{cases} histories: {:?}", counts.borrow());
    assert!(counts.borrow().values().all(|n| *n >= 5), "all of it happened");
}
