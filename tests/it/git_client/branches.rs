//! Branches of our own beside the tracked one: they are only moved from where we saw them, and nothing else is.

use super::*;

/// A commit of ours with one file, on top of `base`.
fn with(repository: &Repository, base: CommitId, name: &str) -> CommitId {
    commit(repository, base, &writes(&[(&format!("{name}.yaml"), name)]), &format!("Add {name}")).unwrap()
}

/// Someone else's commit on top of another.
fn theirs(upstream: &Upstream, on: CommitId, message: &str) -> CommitId {
    git(&upstream.bare(), &["commit-tree", &format!("{on}^{{tree}}"), "-p", &on.to_string(), "-m", message]).parse().unwrap()
}

/// Where a branch is upstream.
fn position(upstream: &Upstream, branch: &str) -> Option<CommitId> {
    let refs = git(&upstream.bare(), &["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"]);
    refs.lines().find_map(|line| line.strip_prefix(branch)?.strip_prefix(' ')).map(|id| id.parse().unwrap())
}

fn put(upstream: &Upstream, branch: &str, at: CommitId) {
    git(&upstream.bare(), &["update-ref", &format!("refs/heads/{branch}"), &at.to_string()]);
}

/// The requests since `from` that were let in: lists of branches, and packs.
fn requests(server: &GitHttp, from: usize) -> (usize, usize) {
    let log = server.log();
    let of = |method: &str| log[from..].iter().filter(|one| one.authorization.is_some() && one.request.starts_with(method)).count();
    (of("GET /config.git/info/refs"), of("POST"))
}

#[test]
fn a_branch_is_made_moved_anywhere_and_deleted() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        let ((repository, _cache), (other, _other_cache)) = (open(&settings), open(&settings));
        let main = repository.fetch().unwrap();
        other.fetch().unwrap();
        assert_eq!(repository.branches().unwrap(), BTreeMap::new(), "`staging` is not ours");

        let first = with(&repository, main, "first");
        assert_eq!(repository.move_branch("prescale/a", None, Some(first)).unwrap(), Pushed::Done);
        assert_eq!(position(&upstream, "prescale/a"), Some(first));
        assert_eq!(repository.branches().unwrap(), BTreeMap::from([("prescale/a".to_owned(), first)]));
        assert_eq!(other.branches().unwrap(), BTreeMap::new(), "not fetched yet");
        assert_eq!(other.fetch().unwrap(), main);
        assert_eq!(other.branches().unwrap(), repository.branches().unwrap());
        assert!(other.file(first, &path("first.yaml")).unwrap().is_some());

        // Not forward: made anew on the same base, and by someone who only fetched it.
        let second = with(&other, main, "second");
        assert_eq!(other.move_branch("prescale/a", Some(first), Some(second)).unwrap(), Pushed::Done);
        assert_eq!(position(&upstream, "prescale/a"), Some(second));
        assert_eq!(git(&upstream.bare(), &["rev-parse", "prescale/a^"]), main.to_string());
        upstream.check();

        // Gone, and another one stands where it was a folder, and the other way round.
        assert_eq!(other.move_branch("prescale/a", Some(second), None).unwrap(), Pushed::Done);
        assert_eq!(position(&upstream, "prescale/a"), None);
        assert_eq!(other.branches().unwrap(), BTreeMap::new());
        for new in ["prescale/a/b", "prescale/a"] {
            assert_eq!(other.move_branch(new, None, Some(second)).unwrap(), Pushed::Done);
            repository.fetch().unwrap();
            assert_eq!(repository.branches().unwrap(), BTreeMap::from([(new.to_owned(), second)]));
            git(&upstream.bare(), &["pack-refs", "--all"]);
            assert_eq!(other.move_branch(new, Some(second), None).unwrap(), Pushed::Done);
        }
        repository.fetch().unwrap();
        assert_eq!(repository.branches().unwrap(), BTreeMap::new());
        assert_eq!((position(&upstream, "main"), position(&upstream, "staging")), (Some(main), Some(main)));
    }
}

#[test]
fn a_branch_that_someone_else_moved_is_theirs() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let (repository, _cache) = open(&via.settings(&upstream));
        let main = repository.fetch().unwrap();
        let (ours, again) = (with(&repository, main, "ours"), with(&repository, main, "again"));
        let moved = |from, to| repository.move_branch("prescale/a", from, to).unwrap();
        assert_eq!(moved(None, Some(ours)), Pushed::Done);

        // It is there already.
        assert_eq!(moved(None, Some(again)), Pushed::Lost { now: Some(ours) });
        // They went on from ours, and then back to where it came from.
        for now in [theirs(&upstream, ours, "On"), main] {
            put(&upstream, "prescale/a", now);
            for to in [Some(again), None] {
                assert_eq!(moved(Some(ours), to), Pushed::Lost { now: Some(now) });
                assert_eq!(position(&upstream, "prescale/a"), Some(now));
            }
            assert_eq!(repository.commit_of(now).unwrap().id, now, "theirs has been fetched");
        }
        // They deleted it: it is not made anew, and it is gone as wanted.
        git(&upstream.bare(), &["update-ref", "-d", "refs/heads/prescale/a"]);
        assert_eq!(moved(Some(main), Some(again)), Pushed::Lost { now: None });
        assert_eq!(moved(Some(main), None), Pushed::Done);
        assert_eq!(position(&upstream, "prescale/a"), None);

        // They are quicker once everything has been sent and compared.
        if matches!(via, Via::File) {
            continue;
        }
        for (from, to) in [(None, Some(again)), (Some(ours), Some(again)), (Some(ours), None)] {
            match from {
                Some(from) => put(&upstream, "prescale/a", from),
                None => drop(git(&upstream.bare(), &["update-ref", "-d", "refs/heads/prescale/a"])),
            }
            let unset = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES";
            upstream.hook("pre-receive", &format!("{unset}; git update-ref refs/heads/prescale/a {main}"));
            assert_eq!(moved(from, to), Pushed::Lost { now: Some(main) }, "{via:?} {from:?} {to:?}");
            upstream.unhook("pre-receive");
            assert_eq!(position(&upstream, "prescale/a"), Some(main));
        }
        git(&upstream.bare(), &["update-ref", "-d", "refs/heads/prescale/a"]);
    }
    upstream.check();
}

#[test]
fn two_writers_of_one_branch_lose_nothing() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        // Each replaces what it saw by a commit that was never there before, until it has done so five times.
        let replaced: Vec<Option<CommitId>> = std::thread::scope(|scope| {
            let writer = |name: &'static str| {
                let settings = &settings;
                move || {
                    let (repository, _cache) = open(settings);
                    let main = repository.fetch().unwrap();
                    let mut seen = repository.branches().unwrap().get("prescale/a").copied();
                    let (mut replaced, mut tries) = (Vec::new(), 0);
                    while replaced.len() < 5 {
                        tries += 1;
                        let ours = with(&repository, main, &format!("{name}-{tries}"));
                        match repository.move_branch("prescale/a", seen, Some(ours)).unwrap() {
                            Pushed::Done => replaced.push(seen.replace(ours)),
                            Pushed::Lost { now } => seen = now,
                            Pushed::Refused { why } => panic!("{why}"),
                        }
                    }
                    replaced
                }
            };
            let writers = ["x", "y"].map(|name| scope.spawn(writer(name)));
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(replaced.iter().collect::<BTreeSet<_>>().len(), 10, "none was replaced twice: {replaced:?}");
        git(&upstream.bare(), &["update-ref", "-d", "refs/heads/prescale/a"]);
    }
    upstream.check();
}

#[test]
fn a_move_is_judged_by_the_branch_and_refused_by_a_hook() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let (repository, _cache) = open(&via.settings(&upstream));
        let main = repository.fetch().unwrap();
        let (ours, again) = (with(&repository, main, "ours"), with(&repository, main, "again"));
        let moved = |from, to| repository.move_branch("prescale/a", from, to);
        put(&upstream, "prescale/a", main);
        upstream.hook("update", "echo \"not $1\" >&2; exit 1");
        for to in [Some(ours), None] {
            let Pushed::Refused { why } = moved(Some(main), to).unwrap() else { panic!("{via:?} let us") };
            let expected = match via {
                Via::File => "it has a `update` hook, which a push to a path cannot run: push over ssh or https",
                _ => "hook declined\nnot refs/heads/prescale/a",
            };
            assert!(why.starts_with(expected), "{why}");
            assert_eq!(position(&upstream, "prescale/a"), Some(main));
        }
        upstream.unhook("update");
        let Via::Http(server) = &via else { continue };

        // The connection breaks, after the work or before it.
        let post = "/config.git/git-receive-pack";
        let mut from = Some(main);
        for to in [Some(ours), Some(again), None, Some(ours)] {
            server.fault(post, Fault::DropBefore);
            assert!(matches!(moved(from, to), Err(GitError::Unreachable { .. })));
            assert_eq!(position(&upstream, "prescale/a"), from);
            server.fault(post, Fault::DropAfter);
            assert_eq!(moved(from, to).unwrap(), Pushed::Done);
            assert_eq!(position(&upstream, "prescale/a"), to);
            from = to;
        }
    }
}

#[test]
fn nothing_but_our_branches_is_moved_by_force() {
    let upstream = Upstream::new();
    let settings = Via::File.settings(&upstream);
    let (repository, _cache) = open(&settings);
    let main = repository.fetch().unwrap();
    let ours = with(&repository, main, "ours");
    for name in
        ["main", "staging", "prescale", "prescale/", "prescale/../main", "prescale/a b", "refs/heads/prescale/a", "", "x/prescale/a"]
    {
        for to in [Some(ours), None] {
            let error = repository.move_branch(name, Some(main), to).unwrap_err().to_string();
            let expected = "is not a branch of ours: only those under `prescale/` (`branchPrefix`) are moved by force or deleted";
            assert_eq!(error, format!("`{name}` {expected}"));
        }
    }
    assert_eq!((position(&upstream, "main"), position(&upstream, "staging")), (Some(main), Some(main)));

    let refused = |branch: &str, prefix: &str| {
        let settings = Settings { branch: branch.to_owned(), branch_prefix: prefix.to_owned(), ..settings.clone() };
        let cache = tempfile::tempdir().unwrap();
        let error = Repository::open(&settings, cache.path()).unwrap_err();
        assert!(matches!(error, GitError::Settings { .. }), "{error:?}");
        error.to_string()
    };
    for prefix in ["", "/", "prescale", "a b/", "a//", "../", "*/", "a..b/", "/a/"] {
        let expected = "give the beginning of a branch's name that ends in `/`, as in `prescale/`";
        assert_eq!(refused("main", prefix), format!("`branchPrefix` cannot be `{prefix}`: {expected}"));
    }
    assert_eq!(
        refused("bots/main", "bots/"),
        "the branch `bots/main` lies under `branchPrefix` (`bots/`), where only branches of ours may be: set another prefix"
    );
}

#[test]
fn a_fetch_is_one_conversation_and_brings_each_branch_with_its_base() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let settings = Settings { depth: 1, ..http_settings(&server) };
    let (repository, cache) = open(&settings);
    let (old, _old_cache) = open(&settings);
    let base = old.fetch().unwrap();
    let tips: Vec<CommitId> = (0..3).map(|n| with(&old, base, &format!("branch-{n}"))).collect();
    for (n, tip) in tips.iter().enumerate() {
        assert_eq!(old.move_branch(&format!("prescale/{n}"), None, Some(*tip)).unwrap(), Pushed::Done);
    }
    // The tracked branch has long gone on.
    (0..5).for_each(|n| drop(upstream.commit_by_someone_else(&format!("theirs-{n}.yaml"))));

    let asked = server.log().len();
    let main = repository.fetch().unwrap();
    assert_eq!(main.to_string(), upstream.tip());
    assert_eq!(requests(&server, asked).0, 1);
    assert_eq!(repository.branches().unwrap().into_values().collect::<Vec<_>>(), tips);
    for (n, tip) in tips.iter().enumerate() {
        assert_eq!(repository.commit_of(*tip).unwrap().parents, [base]);
        assert!(repository.file(*tip, &path(&format!("branch-{n}.yaml"))).unwrap().is_some());
    }
    let parent = repository.commit_of(main).unwrap().parents[0];
    let grandparent = repository.commit_of(parent).unwrap().parents[0];
    assert!(matches!(repository.commit_of(grandparent), Err(GitError::NoCommit { .. })), "the history is shallow");

    // Nothing is new, for this run and for the next.
    drop(repository);
    let repository = Repository::open(&settings, cache.path()).unwrap();
    for _ in 0..2 {
        let asked = server.log().len();
        assert_eq!(repository.fetch().unwrap(), main);
        assert_eq!(requests(&server, asked), (1, 0));
    }
    // One is gone, one is new, and the tracked one has moved.
    git(&upstream.bare(), &["update-ref", "-d", "refs/heads/prescale/0"]);
    put(&upstream, "prescale/3", theirs(&upstream, tips[1], "On"));
    upstream.commit_by_someone_else("theirs.yaml");
    let asked = server.log().len();
    assert_eq!(repository.fetch().unwrap().to_string(), upstream.tip());
    assert_eq!(requests(&server, asked).0, 1);
    assert_eq!(repository.branches().unwrap().into_keys().collect::<Vec<_>>(), ["prescale/1", "prescale/2", "prescale/3"]);

    // A branch of another prefix is forgotten, and another run's commits are built upon from a shallow history.
    let on = with(&repository, tips[2], "on");
    assert_eq!(repository.move_branch("prescale/2", Some(tips[2]), Some(on)).unwrap(), Pushed::Done);
    upstream.check();
    drop(repository);
    let other = Settings { branch_prefix: "other/".to_owned(), ..settings };
    let repository = Repository::open(&other, cache.path()).unwrap();
    repository.fetch().unwrap();
    assert_eq!(repository.branches().unwrap(), BTreeMap::new());
}

/// Someone else's commit on `main`, so many days after the first ones; every fourth brings in a branch.
fn a_day_later(upstream: &Upstream, day: i64) -> String {
    let bare = upstream.bare();
    let main = upstream.tip();
    let commit = |subject: &str, parents: &[&str]| {
        let date = (noon_of(0) + chrono::TimeDelta::days(day)).to_rfc3339();
        let parents = parents.iter().flat_map(|parent| ["-p", *parent]);
        let mut command = git_command(&bare);
        command.args(["commit-tree", "main^{tree}", "-m", subject]).args(parents).env("GIT_COMMITTER_DATE", date);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let subject = format!("Day {day}");
    let new = if day % 4 == 0 { commit(&subject, &[&main, &commit("Side", &[&main])]) } else { commit(&subject, &[&main]) };
    git(&bare, &["update-ref", "refs/heads/main", &new, &main]);
    subject
}

fn noon_of(day: i64) -> DateTime<Utc> {
    "2026-01-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::days(day)
}

#[test]
fn history_is_fetched_no_further_than_it_is_asked_for() {
    let upstream = Upstream::new();
    let mut subjects: Vec<String> = (0..3).map(|n| format!("Commit {n}")).collect();
    (1..=40).for_each(|day| subjects.push(a_day_later(&upstream, day)));
    subjects.reverse();
    let told = |repository: &Repository, since: DateTime<Utc>| -> Vec<String> {
        repository.history(since).unwrap().into_iter().map(|commit| commit.message.trim_end().to_owned()).collect()
    };
    for via in Via::all(&upstream) {
        let (repository, _cache) = open(&via.settings(&upstream));
        repository.fetch().unwrap();
        // Two are there, then thirty-two: enough to see that what follows is older. Then all.
        for (since, count, conversations) in [(41, 0, 1), (39, 2, 0), (30, 11, 0), (20, 21, 1), (0, 40, 0), (-9, 43, 0)] {
            let asked = if let Via::Http(server) = &via { server.log().len() } else { 0 };
            assert_eq!(told(&repository, noon_of(since)), subjects[..count], "{via:?} {since}");
            if let Via::Http(server) = &via {
                assert_eq!(requests(server, asked).0, conversations, "since day {since}");
            }
        }
    }

    // What was fetched stays, though the next fetch is shallow again; and a run that has fetched nothing fetches.
    let server = GitHttp::start(upstream.root());
    let (repository, _cache) = open(&http_settings(&server));
    assert_eq!(told(&repository, noon_of(36)), subjects[..5]);
    subjects.insert(0, a_day_later(&upstream, 41));
    repository.fetch().unwrap();
    let asked = server.log().len();
    assert_eq!(told(&repository, noon_of(36)), subjects[..6]);
    assert_eq!(requests(&server, asked), (0, 0));

    // Someone pushes what they had made long before: what came before that is still seen.
    let late = git(&upstream.bare(), &["commit-tree", "main^{tree}", "-p", "main", "-m", "Long on a desk"]);
    git(&upstream.bare(), &["update-ref", "refs/heads/main", &late]);
    repository.fetch().unwrap();
    assert_eq!(told(&repository, noon_of(36)), [&["Long on a desk".to_owned()], &subjects[..6]].concat());
    git(&upstream.bare(), &["update-ref", "refs/heads/main", "main^"]);

    // The history ends there as well. (Over http and ssh, libgit2 does not fetch from such a repository at all.)
    git(upstream.root(), &["clone", "-q", "--bare", "--depth", "5", &format!("file://{}", upstream.bare().display()), "shallow.git"]);
    let (repository, _cache) = open(&Settings::new(Address::local(&upstream.root().join("shallow.git"))));
    assert_eq!(told(&repository, noon_of(0)), subjects[..5]);
}
