//! Everything that a server or a configuration can answer with but yes, and the words for it.

use super::*;

fn fetch_error(settings: &Settings) -> String {
    open(settings).0.fetch().unwrap_err().to_string()
}

#[test]
fn a_hook_refuses_in_its_own_words() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        for (hook, answer) in [("pre-receive", "pre-receive hook declined"), ("update", "hook declined")] {
            let (repository, _cache) = open(&via.settings(&upstream));
            let base = repository.fetch().unwrap();
            let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
            upstream.hook(hook, "echo 'no deploys on Fridays' >&2; echo >> runs; exit 1");
            let Pushed::Refused { why } = repository.push(ours, base).unwrap() else { panic!("{via:?} let us") };
            let expected = match via {
                Via::File => format!("it has a `{hook}` hook, which a push to a path cannot run: push over ssh or https"),
                _ => format!("{answer}\nno deploys on Fridays"),
            };
            assert!(why.starts_with(&expected), "{why}");
            assert_eq!(upstream.tip(), base.to_string());
            upstream.unhook(hook);
        }
    }
    let runs = std::fs::read_to_string(upstream.bare().join("runs")).unwrap().len();
    assert_eq!(runs, 4, "a hook that says no is not asked again");
}

#[test]
fn a_server_that_cannot_store_the_commit_refuses_it() {
    let upstream = Upstream::new();
    git(&upstream.bare(), &["config", "receive.maxInputSize", "1"]);
    for via in Via::all(&upstream).into_iter().take(2) {
        let (repository, _cache) = open(&via.settings(&upstream));
        let base = repository.fetch().unwrap();
        let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
        let Pushed::Refused { why } = repository.push(ours, base).unwrap() else { panic!("{via:?} let us") };
        assert!(why.starts_with("the server could not store the commit"), "{why}");
        assert_eq!(upstream.tip(), base.to_string());
    }
}

#[test]
fn a_user_who_may_read_may_not_push() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let (repository, _cache) = open(&http_settings(&server));
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    for part in ["service=git-receive-pack", "/config.git/git-receive-pack"] {
        server.fault(part, Fault::Status(403));
        let pushed = repository.push(ours, base).unwrap();
        assert_eq!(pushed, Pushed::Refused { why: "unexpected http status code: 403: this user or token may not push there".to_owned() });
        server.heal();
    }
    assert_eq!(upstream.tip(), base.to_string());
}

#[test]
fn a_checked_out_branch_is_not_moved_under_its_owner() {
    let upstream = Upstream::new();
    let work = upstream.work();
    let (repository, _cache) = open(&Settings::new(Address::local(&work)));
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    let why = "the branch is checked out there: push to a bare repository".to_owned();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Refused { why });
    assert_eq!(git(&work, &["rev-parse", "main"]), base.to_string());
}

#[test]
fn a_locked_branch_is_waited_for() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let (repository, _cache) = open(&via.settings(&upstream));
        let base = repository.fetch().unwrap();
        let lock = upstream.bare().join("refs/heads/main.lock");
        std::fs::write(&lock, "").unwrap();
        let ours = commit(&repository, base, &writes(&[("a.yaml", &format!("{via:?}"))]), "A").unwrap();
        let said = match repository.push(ours, base) {
            Ok(Pushed::Refused { why }) => why,
            Err(error) => error.to_string(),
            Ok(pushed) => panic!("{pushed:?}"),
        };
        let expected = match via {
            Via::File => "if no other writer is at work, remove refs/heads/main.lock",
            _ => "failed to update ref",
        };
        assert!(said.contains(expected), "{said}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                std::fs::remove_file(&lock).unwrap();
            });
            assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
        });
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let upstream = Upstream::new();
    let (repository, _cache) = open(&Via::File.settings(&upstream));
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    let heads = upstream.bare().join("refs/heads");
    git(&upstream.bare(), &["pack-refs", "--all"]);
    std::fs::remove_dir_all(&heads).unwrap();
    std::fs::write(&heads, "not a folder").unwrap();
    let Pushed::Refused { why } = repository.push(ours, base).unwrap() else { panic!("written") };
    assert!(why.starts_with(&format!("{} cannot be written: ", upstream.bare().display())), "{why}");
}

#[test]
fn a_wrong_password_is_tried_once() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let mut settings = http_settings(&server);
    settings.password = Some(Secret::new("canary-wrong"));
    let url = server.url();
    assert_eq!(
        fetch_error(&settings),
        format!("{url} did not accept who we are: it refused the password of `bot`: check `username` and `passwordFile`")
    );
    let asked = "GET /config.git/info/refs?service=git-upload-pack".to_owned();
    assert_eq!(server.log().iter().map(|logged| &logged.request).collect::<Vec<_>>(), [&asked, &asked]);

    settings.username = None;
    assert!(fetch_error(&settings).contains("the password of `x-access-token`"));
    settings.password = None;
    assert_eq!(fetch_error(&settings), format!("{url} did not accept who we are: it asks for a password or token: set `passwordFile`"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    settings.password_file = Some(file.clone());
    assert!(fetch_error(&settings).starts_with(&format!("the credential file {} cannot be used", file.display())));
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    settings.username = Some(USER.to_owned());
    assert!(open(&settings).0.fetch().is_ok());
    settings.password = Some(Secret::new(PASSWORD));
    assert_eq!(fetch_error(&settings), "both `password` and `passwordFile` are set: keep one");
}

#[test]
fn a_wrong_branch_names_those_that_exist() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let mut settings = via.settings(&upstream);
        settings.branch = "prod".to_owned();
        assert_eq!(fetch_error(&settings), format!("{} has no branch `prod`; it has `main`, `staging`", settings.url));
    }
}

#[test]
fn an_empty_repository_is_not_a_missing_one() {
    let upstream = Upstream::empty();
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        assert_eq!(fetch_error(&settings), format!("{} is empty: push a first commit to `main`", settings.url));
    }
    for via in Via::all(&upstream) {
        let mut settings = via.settings(&upstream);
        settings.url = Address::parse(&settings.url.as_str().replace("config.git", "other.git")).unwrap();
        let error = fetch_error(&settings);
        assert!(error.starts_with(&format!("there is no repository at {}: ", settings.url)), "{error}");
        assert!(error.ends_with("; check the address, and that this user may see it"), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "https", "ssh"] {
        for host in [format!("127.0.0.1:{port}"), "no-such-host.invalid".to_owned()] {
            let mut settings = Settings::new(Address::parse(&format!("{scheme}://{host}/config.git")).unwrap());
            settings.proxy = Some(Secret::new(""));
            let error = fetch_error(&settings);
            assert!(error.starts_with(&format!("cannot reach {scheme}://{host}/config.git: failed to ")), "{error}");
            assert!(error.ends_with("; check the host name and the port in the address, the network and the proxy"), "{error}");
        }
    }
}

#[test]
fn a_server_in_trouble() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let mut settings = http_settings(&server);
    let url = server.url();
    let expected = [
        (Fault::Status(503), format!("{url} answered unexpectedly: unexpected http status code: 503; try again")),
        (Fault::Status(403), format!("{url} does not let us do this: unexpected http status code: 403; give this user")),
        (Fault::Status(404), format!("there is no repository at {url}: unexpected http status code: 404; check")),
        (Fault::DropBefore, format!("cannot reach {url}: ")),
        (Fault::Hang, format!("{url} was silent for 700ms while we wanted to fetch: check the server, or raise `timeout`")),
    ];
    for (fault, expected) in expected {
        if matches!(fault, Fault::Hang) {
            settings.timeout = Duration::from_millis(700);
        }
        server.fault("/config.git/info/refs", fault);
        let error = fetch_error(&settings);
        assert!(error.starts_with(&expected), "{error}");
        server.heal();
    }
    settings.timeout = Duration::from_secs(20);

    // A hung push is given up as well, and what became of it is found out by the next fetch.
    let (repository, _cache) = open(&Settings { timeout: Duration::from_millis(700), ..settings.clone() });
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    server.fault("/config.git/git-receive-pack", Fault::Hang);
    let error = repository.push(ours, base).unwrap_err().to_string();
    assert!(error.contains("was silent for 700ms while we wanted to push"), "{error}");
    server.heal();
    assert_eq!(repository.fetch().unwrap(), base);
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
}

#[test]
fn a_redirect_to_another_host_is_not_followed() {
    let upstream = Upstream::new();
    let (server, other) = (GitHttp::start(upstream.root()), GitHttp::start(upstream.root()));
    let settings = http_settings(&server);
    server.fault("/config.git", Fault::Redirect(other.base().replace("localhost", "127.0.0.1")));
    let error = fetch_error(&settings);
    assert!(error.contains("answered unexpectedly: cannot redirect from 'localhost' to '127.0.0.1'"), "{error}");
    assert!(other.log().is_empty(), "{:?}", other.log());
}
