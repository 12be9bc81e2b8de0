//! Random histories of runs, merges, closes, reverts, commits of people, moves of the base and faults: whatever comes, no group has two open
//! pull requests, no commit of a person is lost, nothing that was vetoed is proposed again, and nothing is pushed without need.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Stdio;
use std::thread;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::forge::{Fault, Forge, TOKEN};
use crate::support::git::{commit_at, commit_on, git};
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
    /// Two runs at once.
    TwoRuns,
    /// Someone merges the open pull request.
    Merge(How),
    /// Someone closes it.
    Close,
    /// Someone opens the last one again.
    Reopen,
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
    /// Someone has changes travel in another way.
    Route(&'static str),
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
enum How {
    Merge,
    Squash,
    Rebase,
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
        1 => Just(Step::TwoRuns),
        2 => prop::sample::select(vec![How::Merge, How::Squash, How::Rebase]).prop_map(Step::Merge),
        2 => Just(Step::Close),
        1 => Just(Step::Reopen),
        1 => Just(Step::Revert),
        1 => Just(Step::CommitOnOurs),
        1 => Just(Step::DeleteOurs),
        1 => Just(Step::CommitElsewhere),
        1 => (1..30_u32).prop_map(Step::SetByHand),
        2 => prop::sample::select(vec!["commit", "pullRequest", "pullRequest", "observe"]).prop_map(Step::Route),
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
    /// The demand that the open pull request was made from.
    proposed: Option<u32>,
    written: Option<Written>,
    /// The value before that.
    before: u32,
    /// Whether the state was lost since.
    forgot: bool,
    number: u32,
}

/// The last value that reached the tracked branch.
#[derive(Clone, Copy)]
struct Written {
    demand: u32,
    /// Whether a pull request brought it: GitHub remembers that.
    by_pull: bool,
    at: i64,
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
        let world = Self {
            small,
            forge,
            now: 0,
            demand: 3,
            people: Vec::new(),
            declined: None,
            proposed: None,
            written: None,
            before: 2,
            forgot: false,
            number: 0,
        };
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

    /// A person's commit of the manifest on the tracked branch. Where they change what was last written, they decline that.
    fn set(&mut self, replicas: u32) {
        if replicas == self.replicas() {
            return;
        }
        self.people.push(self.small.set(self.now, replicas));
        // What a commit brought is known from the state or, for a week, from the commit.
        let is_known = |written: &Written| written.by_pull || !self.forgot || self.now - written.at < VETO - 1440;
        self.declined = self.written.take().filter(is_known).map(|written| Declined { at: self.now, demand: written.demand });
    }

    /// What a run wrote to the tracked branch, if it did.
    fn see_commit(&mut self, before: u32) {
        if self.replicas() != before {
            self.before = before;
            self.written = Some(Written { demand: self.demand, by_pull: false, at: self.now });
            (self.declined, self.forgot) = (None, false);
        }
    }

    fn take(&mut self, step: Step) {
        self.forge.at(start() + TimeDelta::minutes(self.now));
        match step {
            Step::Run => self.run_to_rest(),
            Step::TwoRuns => self.run_twice(),
            Step::FaultyRun(call, wrong) => self.run_faulty(call, wrong),
            Step::Merge(how) => self.merge(how),
            Step::Close => {
                if let Some(open) = self.open() {
                    self.forge.close(open);
                    self.declined = self.proposed.map(|demand| Declined { at: self.now, demand });
                }
            }
            Step::Reopen => {
                let last = self.forge.pulls().into_iter().rfind(|pull| pull.head == FLOORS);
                if last.is_some_and(|last| !last.open && last.merged.is_none() && self.forge.try_reopen(last.number)) {
                    self.declined = None;
                }
            }
            Step::Revert => self.set(self.before),
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
            Step::SetByHand(replicas) => self.set(replicas),
            Step::Route(route) => {
                let file = git(&self.small.bare(), &["show", "main:overlays/prod/scaling.yaml"]) + "\n";
                let (head, rest) = file.split_once("delivery: ").unwrap();
                let (_, tail) = rest.split_once(',').unwrap();
                let text = format!("{head}delivery: {route},{tail}");
                if text != file {
                    let at = start() + TimeDelta::minutes(self.now);
                    self.people.push(commit_at(&self.small.bare(), "main", "overlays/prod/scaling.yaml", &text, at));
                }
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
            Step::BlindRun => self.run_blind(),
            Step::LoseState => {
                let state = self.small.path().join("state");
                if state.exists() {
                    std::fs::remove_dir_all(state).unwrap();
                }
                self.forgot = true;
            }
        }
        self.check();
    }

    /// Runs until nothing is left to do; the run after that changes nothing.
    fn run_to_rest(&mut self) {
        // A large rise is taken in steps.
        for _ in 0..5 {
            let had = self.replicas();
            let ran = self.run();
            assert_eq!(ran.code, 0, "{ran:?}");
            self.check_declined(had);
            self.see_commit(had);
            if self.replicas() == had {
                break;
            }
        }
        self.forge.forget();
        let before = self.refs();
        let again = self.run();
        assert_eq!(again.code, 0, "{again:?}");
        let (mutations, log) = (self.forge.mutations(), self.forge.log());
        assert!(mutations.is_empty() && self.refs() == before, "a second run changed something: {mutations:?}");
        assert!(log.iter().filter(|call| call.method == "GET").count() <= 2, "{log:?}");
        self.see_open();
    }

    fn run_twice(&mut self) {
        let had = self.replicas();
        let runs = [0, 1].map(|_| self.small.command("run", self.now).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        for ran in runs.map(|run| run.wait_with_output().unwrap()) {
            assert!(matches!(ran.status.code(), Some(0 | 1)), "{ran:?}");
        }
        self.check_declined(had);
        self.see_commit(had);
        self.see_open();
    }

    fn run_faulty(&mut self, call: &'static str, wrong: Wrong) {
        let fault = match wrong {
            Wrong::Refused => Fault::Status(502, &[], "<html>"),
            Wrong::Before => Fault::DropBefore,
            Wrong::After => Fault::DropAfter,
        };
        self.forge.fault_times(call, 1, fault);
        let had = self.replicas();
        let ran = self.run();
        assert!([0, 1].contains(&ran.code), "{ran:?}");
        self.forge.heal();
        self.check_declined(had);
        self.see_commit(had);
    }

    fn run_blind(&mut self) {
        let before = self.open();
        let file = self.small.path().join("history/shop/web/requests.csv");
        std::fs::remove_file(&file).unwrap();
        let ran = self.run();
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(self.open().is_none() || self.open() == before, "what is not known is not proposed anew");
        self.measure();
    }

    fn merge(&mut self, how: How) {
        if let Some(open) = self.open().filter(|open| self.has_branch() && !self.forge.conflicts(*open)) {
            let (before, demand) = (self.replicas(), self.proposed);
            match how {
                How::Merge => self.forge.merge(open),
                // Of people's commits there would be others.
                _ if self.people.iter().any(|commit| self.is_on(commit, FLOORS) && !self.is_on(commit, "main")) => self.forge.merge(open),
                How::Squash => self.forge.squash(open),
                How::Rebase => self.forge.rebase(open),
            };
            self.before = before;
            self.written = demand.map(|demand| Written { demand, by_pull: true, at: self.now });
            self.declined = None;
        }
    }

    fn is_on(&self, commit: &str, branch: &str) -> bool {
        git(&self.small.bare(), &["branch", "--format=%(refname:short)", "--contains", commit]).lines().any(|line| line == branch)
    }

    /// Whether people keep it as it is.
    fn is_theirs(&self, pull: u64) -> bool {
        let is_held = self.forge.pull(pull).body.unwrap_or_default().contains("[x] <!-- prescale:box hold -->");
        is_held || self.people.iter().any(|commit| self.has_branch() && self.is_on(commit, FLOORS) && !self.is_on(commit, "main"))
    }

    /// What a run made the open pull request from.
    fn see_open(&mut self) {
        match self.open() {
            Some(open) if self.is_theirs(open) => {}
            open => self.proposed = open.map(|_| self.demand),
        }
    }

    /// After a run: what people declined is not proposed, unless they kept it open themselves.
    fn check_declined(&self, had: u32) {
        let Some(Declined { at, demand }) = self.declined else { return };
        if self.now - at < VETO && demand == self.demand {
            assert_eq!(self.open().filter(|open| !self.is_theirs(*open)), None, "what was declined is proposed again");
            assert_eq!(self.replicas(), had, "what was declined is written");
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
    let (cases, threads) = if is_full() { (1000, 2) } else { (50, 1) };
    let counted: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || tell(cases / u32::from(threads), [seed(), n]))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    let mut counts = BTreeMap::<&str, usize>::new();
    counted.into_iter().flatten().for_each(|(what, n)| *counts.entry(what).or_default() += n);
    eprintln!("{cases} histories: {counts:?}");
    assert!(counts.values().all(|n| *n >= 5), "all of it happened");
}

/// So many histories; what happened in them.
fn tell(cases: u32, seed: [u8; 2]) -> BTreeMap<&'static str, usize> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 16].concat()));
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
            ("written to the tracked branch", usize::from(world.replicas() != 2)),
            ("commits of people", world.people.len()),
            ("declined to the end", usize::from(world.declined.is_some())),
        ];
        for (what, n) in counted {
            *counts.borrow_mut().entry(what).or_default() += n;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed:?}: {failure}");
    }
    counts.into_inner()
}
