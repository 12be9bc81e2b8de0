//! The cache is disposable: a run that was killed, a full disk or a flipped bit never stops the next run.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const CHILD: &str = "PRESCALE_TEST_GIT_CHILD";

/// Not a test by itself: the run that the tests below start in a process of its own, to be killed or starved.
#[test]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "how the child is told what to do, and tells how it went")]
fn child() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let (url, cache) = arguments.split_once('|').unwrap();
    let mut settings = Settings::new(Address::parse(url).unwrap());
    settings.username = Some(USER.to_owned());
    settings.password = Some(Secret::new(PASSWORD));
    settings.proxy = Some(Secret::new(""));
    let outcome = Repository::open(&settings, Path::new(cache)).and_then(|repository| {
        repository.fetch()?;
        println!("begun");
        for round in 0.. {
            let _ = land(&repository, &format!("{}-{round}", std::process::id()));
        }
        Ok(())
    });
    println!("child: {}", outcome.unwrap_err());
}

fn child_command(prefix: &str, settings: &Settings, cache: &Path) -> Command {
    let mut command = Command::new("bash");
    let test = std::env::current_exe().unwrap();
    command.arg("-c").arg(format!("{prefix} exec {} --exact git_client::cache::child --nocapture", test.display()));
    command.env(CHILD, format!("{}|{}", settings.url, cache.display())).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
fn a_run_that_was_killed_does_not_stop_the_next() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let mut landed = 0;
    for settings in [http_settings(&server), Via::File.settings(&upstream)] {
        let cache = tempfile::tempdir().unwrap();
        for kill in 0..8 {
            let mut child = child_command("", &settings, cache.path()).spawn().unwrap();
            let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(said.any(|line| line.unwrap().contains("begun")));
            std::thread::sleep(Duration::from_millis(70 * kill));
            child.kill().unwrap();
            child.wait().unwrap();
            // What a server was still doing for the dead run may be in the way for a moment.
            let repository = Repository::open(&settings, cache.path()).unwrap();
            land(&repository, &format!("after-{kill}"));
        }
        upstream.check();
        let log = upstream.log();
        assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len(), "{log:?}");
        landed += log.len() - 3 - 8;
        for kill in 0..8 {
            assert!(log.contains(&format!("Add after-{kill}")), "{log:?}");
        }
        git(&upstream.bare(), &["update-ref", "refs/heads/main", "staging"]);
    }
    assert!(landed > 0, "the runs that were killed had begun to write");
}

#[test]
fn a_lock_that_a_killed_push_left_in_a_folder_is_removed_and_no_other() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    let (lock, mark) = (upstream.bare().join("refs/heads/main.lock"), upstream.bare().join("prescale-push"));
    std::fs::write(&lock, "").unwrap();
    for another in ["", "refs/heads/staging", "nonsense"] {
        std::fs::write(&mark, another).unwrap();
        assert!(repository.push(ours, base).is_err(), "it is someone else's");
    }
    std::fs::write(&mark, "refs/heads/main").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    assert_eq!((lock.exists(), std::fs::read_to_string(&mark).unwrap()), (false, String::new()));
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_broken() {
    let upstream = Upstream::new();
    let work = upstream.work();
    // Does not compress: it is the hexadecimal form of digests.
    let noise: Vec<u8> = (0..40_000_u64).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17).to_le_bytes()).collect();
    std::fs::write(work.join("noise.bin"), noise).unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-qm", "Noise"]);
    git(&work, &["push", "-q", "origin", "HEAD:main"]);
    let server = GitHttp::start(upstream.root());
    for settings in [http_settings(&server), Via::File.settings(&upstream)] {
        let cache = tempfile::tempdir().unwrap();
        // No file may grow past 64 KiB; a write beyond fails, as it does on a full disk.
        let output = child_command("trap '' XFSZ; ulimit -f 64;", &settings, cache.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.lines().find_map(|line| line.split_once("child: ")).unwrap_or_else(|| panic!("{output:?}")).1;
        assert!(said.starts_with(&format!("cannot write the Git cache {}", cache.path().display())), "{said}");
        assert!(said.ends_with("check that the disk has room and the folder may be written"), "{said}");
        let repository = Repository::open(&settings, cache.path()).unwrap();
        let tip = repository.fetch().unwrap();
        assert_eq!(repository.tree(tip).unwrap().get(&path("noise.bin")), Some(&Entry::Unread));
    }
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    for settings in [http_settings(&server), Via::File.settings(&upstream)] {
        let (repository, cache) = open(&settings);
        let tip = repository.fetch().unwrap();
        let whole = repository.tree(tip).unwrap();
        drop(repository);
        for damage in ["dd if=/dev/zero of=$f bs=1 seek=40 count=200 conv=notrunc", "truncate -s 100 $f", "truncate -s 0 $f", "rm $f"] {
            for pattern in ["*.pack", "*.idx"] {
                let script = format!("for f in $(find {} -name '{pattern}'); do chmod u+w $f; {damage}; done", cache.path().display());
                assert!(Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success());
                let repository = Repository::open(&settings, cache.path()).unwrap();
                let read = repository.fetch().and_then(|tip| repository.tree(tip));
                match read {
                    Ok(tree) => assert_eq!(tree, whole, "{damage} {pattern}"),
                    Err(error) => {
                        assert!(error.to_string().ends_with("run again"), "{damage} {pattern}: {error}");
                        assert_eq!(repository.fetch().and_then(|tip| repository.tree(tip)).unwrap(), whole);
                    }
                }
            }
        }
    }
}

#[test]
fn two_runs_do_not_share_a_cache() {
    let upstream = Upstream::new();
    let settings = Via::File.settings(&upstream);
    let (repository, cache) = open(&settings);
    let error = Repository::open(&settings, cache.path()).unwrap_err().to_string();
    assert!(error.ends_with("is in use by another run: wait for it, or give each run a folder of its own"), "{error}");
    let other = Settings { branch: "staging".to_owned(), ..settings.clone() };
    assert!(Repository::open(&other, cache.path()).unwrap().fetch().is_ok(), "another branch has another part of the folder");
    drop(repository);
    assert!(Repository::open(&settings, cache.path()).is_ok());
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let tip = repository.fetch().unwrap();
    let missing: CommitId = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = repository.diff(missing, tip).unwrap_err().to_string();
    assert_eq!(error, "commit 1234567890123456789012345678901234567890 is not in the Git cache: fetch again");
    assert!(repository.tree(tip).is_ok(), "and the cache is kept");
    assert!("main".parse::<CommitId>().is_err());
}
