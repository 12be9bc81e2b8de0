//! Runs that are killed right before one of their writes, be it to a file, a folder or a socket: the next run ends where an undisturbed one
//! would have.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;

use crate::support::forge::{Forge, TOKEN};
use crate::support::git::git;
use crate::support::git_http::{GitHttp, PASSWORD, USER};
use crate::support::git_ssh::GitSsh;
use crate::support::shop::Ran;
use crate::support::small::Small;
use crate::support::{is_full, seed};

/// A library that kills the process it is preloaded into.
static KILLER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    let library = folder.join("kill_at.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kill_at.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    library
});

/// What the killed run was about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    Commit,
    CommitByHttp,
    CommitByPath,
    Open,
    Update,
    Withdraw,
}

const SCENES: [Scene; 6] = [Scene::Commit, Scene::CommitByHttp, Scene::CommitByPath, Scene::Open, Scene::Update, Scene::Withdraw];

/// What counts at the end.
#[derive(Debug, PartialEq)]
struct End {
    /// Each branch with its tree, and how many commits lead to it.
    branches: Vec<String>,
    /// Each pull request: whether it is open, its labels and its text.
    pulls: Vec<(bool, Vec<String>, Option<String>)>,
}

struct World {
    small: Small,
    forge: Forge,
    _server: Option<GitHttp>,
}

impl World {
    /// Ready for the run that will be killed.
    fn new(scene: Scene, ssh: &GitSsh) -> Self {
        let commits = matches!(scene, Scene::Commit | Scene::CommitByHttp | Scene::CommitByPath);
        let delivery = if commits { "commit" } else { "pullRequest" };
        let small = Small::by(delivery, 4, "signal: requests, capacityPerReplica: 10");
        small.history("requests", |_| 60.0);
        let forge = Forge::start(&small.bare());
        let github = format!("github: {{url: '{}', repository: shop/config, token: {TOKEN}, pause: 10ms}}\n", forge.api());
        small.configure(&(github + "decision: {studiesPerRun: 0}\n"));
        // Each route over http and over ssh, and once by path.
        let (url, server) = match scene {
            Scene::CommitByHttp | Scene::Open | Scene::Withdraw => {
                let server = GitHttp::start(small.path());
                (format!("url: {}, username: {USER}, password: {PASSWORD}", server.url()), Some(server))
            }
            Scene::Commit | Scene::Update => {
                let (key, hosts) = (ssh.path("user_key"), ssh.path("known_hosts"));
                (format!("url: {}, sshKeyFile: {}, knownHostsFile: {}", ssh.url(&small.bare()), key.display(), hosts.display()), None)
            }
            Scene::CommitByPath => (format!("url: 'file://{}'", small.bare().display()), None),
        };
        small.reached_by(&url);
        let world = Self { small, forge, _server: server };
        if matches!(scene, Scene::Update | Scene::Withdraw) {
            world.run();
        }
        match scene {
            Scene::Update => drop(world.small.history("requests", |_| 95.0)),
            Scene::Withdraw => drop(world.forge.merge(1)),
            Scene::Commit | Scene::CommitByHttp | Scene::CommitByPath | Scene::Open => {}
        }
        world
    }

    /// A run that is left alone.
    fn run(&self) {
        let ran = Ran::of(&mut self.small.command("run", 0));
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// How many writes a run makes.
    fn writes(&self) -> usize {
        let count = self.small.path().join("count");
        let ran = Ran::of(self.small.command("run", 0).env("LD_PRELOAD", &*KILLER).env("PRESCALE_KILL_COUNT", &count));
        assert_eq!(ran.code, 0, "{ran:?}");
        std::fs::read_to_string(count).unwrap().trim().parse().unwrap()
    }

    /// Kills a run right before its `n`-th write; whether it came to that.
    fn kill(&self, n: usize) -> bool {
        let mut command = self.small.command("run", 0);
        let output = command.env("LD_PRELOAD", &*KILLER).env("PRESCALE_KILL_AT", n.to_string()).output().unwrap();
        assert!(output.status.signal() == Some(9) || output.status.success(), "{output:?}");
        !output.status.success()
    }

    fn end(&self) -> End {
        let bare = self.small.bare();
        let names = git(&bare, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        let of = |name: &str| {
            format!("{name} {} {}", git(&bare, &["rev-parse", &format!("{name}^{{tree}}")]), git(&bare, &["rev-list", "--count", name]))
        };
        let pulls = self.forge.pulls().into_iter().map(|pull| (pull.open, pull.labels.clone(), pull.body.clone()));
        End { branches: names.lines().map(of).collect(), pulls: pulls.collect() }
    }

    /// Files that stand for a lock, in the repository and in the state. An index that libgit2 was about to write beside a pack is named like
    /// one, but nobody waits for it: each has a name of its own.
    fn locks(&self) -> Vec<PathBuf> {
        fn find(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    find(&entry, found);
                } else if entry.extension().is_some_and(|ending| ending == "lock") && !folder.ends_with("objects/pack") {
                    found.push(entry);
                }
            }
        }
        let mut found = Vec::new();
        for folder in [self.small.bare(), self.small.path().join("state")] {
            find(&folder, &mut found);
        }
        found
    }
}

#[test]
fn the_next_run_ends_where_an_undisturbed_one_would_have() {
    let ssh = GitSsh::start(); // it serves every repository of this machine
    let mut expected = BTreeMap::new();
    let mut points = Vec::new();
    for scene in SCENES {
        let world = World::new(scene, &ssh);
        points.extend((1..=world.writes()).map(|n| (scene, n)));
        expected.insert(scene, world.end());
    }
    assert!(points.len() >= 200, "{}", points.len());
    assert_eq!(expected[&Scene::Open].pulls.len(), 1, "{expected:?}");
    let seed = seed();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed.into());
    let tried: Vec<_> = if is_full() { points.clone() } else { points.sample(&mut random, 30).copied().collect() };
    let at_once = if is_full() { 2 } else { 1 };
    let killed: usize = thread::scope(|scope| {
        let parts = tried.chunks(tried.len().div_ceil(at_once));
        let (ssh, expected) = (&ssh, &expected);
        let running: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().filter(|point| converges(**point, ssh, expected)).count())).collect();
        running.into_iter().map(|running| running.join().unwrap()).sum()
    });
    eprintln!("{killed} runs were killed at {} of {} points", tried.len(), points.len());
    // The order of writes on several threads differs a little from run to run, so that a point near the end may never come.
    assert!(killed * 10 >= tried.len() * 9, "{killed} of {}", tried.len());
}

/// Kills a run before a write, and fails unless the next one mends it; whether it came to that write.
fn converges((scene, n): (Scene, usize), ssh: &GitSsh, expected: &BTreeMap<Scene, End>) -> bool {
    let world = World::new(scene, ssh);
    let killed = world.kill(n);
    world.run();
    let seed = seed();
    assert_eq!(world.end(), expected[&scene], "{scene:?} killed before write {n}, seed {seed}");
    assert_eq!(world.locks(), Vec::<PathBuf>::new(), "{scene:?} killed before write {n}, seed {seed}");
    world.forge.forget();
    world.run();
    assert!(world.forge.mutations().is_empty() && world.end() == expected[&scene], "{scene:?} {n}: a third run changes nothing");
    killed
}
