//! Whether the other side is who it says, and whether we are.

use super::*;
use crate::support::tls::Authority;

fn fetch(settings: &Settings) -> Result<CommitId, String> {
    open(settings).0.fetch().map_err(|e| e.to_string())
}

#[test]
fn a_host_key_must_be_known() {
    let upstream = Upstream::new();
    let server = GitSsh::start();
    let mut settings = ssh_settings(&server, &upstream);
    let known = server.path("mine");
    settings.known_hosts_file = Some(known.clone());
    let host = server.host();
    let port = host.rsplit(':').next().unwrap();
    let fingerprint = std::process::Command::new("ssh-keygen").arg("-lf").arg(server.path("host_key.pub")).output().unwrap().stdout;
    let fingerprint = String::from_utf8(fingerprint).unwrap().split(' ').nth(1).unwrap().to_owned();
    let not_trusted = format!("the host key of {host} is not trusted: it showed ssh-ed25519 {fingerprint}, and {} ", known.display());
    let line = std::fs::read_to_string(server.path("known_hosts")).unwrap();
    let (_, key) = line.split_once(' ').unwrap();
    keygen(&server.path("other"), "");
    let other = std::fs::read_to_string(server.path("other.pub")).unwrap();
    let compare = format!(
        "compare the fingerprint with the one that your Git host publishes, then add the line of `ssh-keyscan -p {port} 127.0.0.1`"
    );
    let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=\n";

    let refused = [
        (None, "cannot be read (No such file or directory (os error 2)): mount it, or set `knownHostsFile`".to_owned()),
        (Some(String::new()), format!("does not have it: {compare}")),
        // The same key, of another host or port.
        (Some(format!("127.0.0.1 {key}github.com {key}!{host},* {key}@cert-authority * {key}")), format!("does not have it: {compare}")),
        (Some(format!("{host} {other}")), "has another one, SHA256:".to_owned()),
        (Some(format!("{host} {ecdsa}")), format!("only has its ecdsa-sha2-nistp256 key: {compare}")),
        (Some(format!("{host} {key}@revoked * {key}")), "marks this key as revoked: someone may be listening".to_owned()),
    ];
    for (text, problem) in refused {
        if let Some(text) = &text {
            std::fs::write(&known, text).unwrap();
        }
        let error = fetch(&settings).unwrap_err();
        assert!(error.starts_with(&format!("{not_trusted}{problem}")), "{error}\n{text:?}");
    }

    let trusted = [format!("nonsense\n# a comment\n{host} {other}{host} {key}"), format!("[127.0.0.?]:* {key}")];
    for text in trusted {
        std::fs::write(&known, &text).unwrap();
        assert_eq!(fetch(&settings).map(|tip| tip.to_string()), Ok(upstream.tip()), "{text}");
    }
    std::fs::write(&known, &line).unwrap();
    let hashed = std::process::Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&known).output().unwrap();
    assert!(hashed.status.success());
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("|1|"));
    assert_eq!(fetch(&settings).map(|tip| tip.to_string()), Ok(upstream.tip()));
}

#[test]
fn a_user_key_must_be_the_right_one() {
    let upstream = Upstream::new();
    let server = GitSsh::start();
    let mut settings = ssh_settings(&server, &upstream);
    let with = |settings: &mut Settings, key: &str, passphrase: Option<&str>| {
        settings.ssh_key_file = Some(server.path(key));
        settings.ssh_key_passphrase_file = passphrase.map(|text| {
            std::fs::write(server.path("passphrase"), text).unwrap();
            server.path("passphrase")
        });
        fetch(settings)
    };
    let stranger = with(&mut settings, "stranger_key", None).unwrap_err();
    assert!(stranger.contains("did not accept who we are: it refused the key "), "{stranger}");
    assert!(
        stranger.ends_with("stranger_key for `".to_owned().as_str()) || stranger.contains("add its public half to this user"),
        "{stranger}"
    );
    let missing = with(&mut settings, "no_key", None).unwrap_err();
    assert!(missing.starts_with("`sshKeyFile` ") && missing.ends_with("check its path and permissions"), "{missing}");
    assert!(with(&mut settings, "locked_key", Some("opens-ahead-2\n")).is_ok());
    for passphrase in [None, Some("canary")] {
        let locked = with(&mut settings, "locked_key", passphrase).unwrap_err();
        assert!(locked.contains("locked_key") && locked.contains("sshKeyPassphraseFile") && !locked.contains("canary"), "{locked}");
    }
    std::fs::write(server.path("no_key"), "not a key").unwrap();
    let broken = with(&mut settings, "no_key", None).unwrap_err();
    assert!(broken.contains("no_key") && broken.contains("did not accept who we are"), "{broken}");
}

fn serve(upstream: &Upstream, authority: &Authority, name: &str) -> GitHttp {
    GitHttp::start_tls(upstream.root(), authority.identity(name))
}

#[test]
fn a_certificate_must_be_issued_by_the_named_authority_for_this_host() {
    let upstream = Upstream::new();
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let server = serve(&upstream, &ours, "localhost");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut settings = http_settings(&server);
    let not_trusted = format!("the certificate of {} is not trusted: ", server.url());
    let todo = "; set `caFile` to the certificates that issued it";

    let error = fetch(&settings).unwrap_err();
    assert!(error.starts_with(&not_trusted) && error.ends_with(todo), "{error}");

    settings.ca_file = Some(file.clone());
    for (pem, problem) in [
        (None, format!("`caFile` {} cannot be used: ", file.display())),
        (Some(String::new()), format!("`caFile` {} cannot be used: it holds no certificate in PEM", file.display())),
        (Some(other.pem.clone()), format!("{not_trusted}invalid peer certificate: UnknownIssuer")),
    ] {
        if let Some(pem) = pem {
            std::fs::write(&file, pem).unwrap();
        }
        let error = fetch(&settings).unwrap_err();
        assert!(error.starts_with(&problem), "{error}");
    }
    std::fs::write(&file, format!("{}{}", other.pem, ours.pem)).unwrap();
    let (repository, _cache) = open(&settings);
    let base = repository.fetch().unwrap();
    let next = commit(&repository, base, &writes(&[("a.yaml", "1")]), "Over TLS").unwrap();
    assert_eq!(repository.push(next, base).unwrap(), Pushed::Done);
    assert_eq!(upstream.tip(), next.to_string());

    let elsewhere = serve(&upstream, &ours, "git.example.com");
    settings.url = Address::parse(&elsewhere.url()).unwrap();
    let error = fetch(&settings).unwrap_err();
    assert!(error.contains("is not trusted: invalid peer certificate: certificate not valid for name \"localhost\""), "{error}");
    assert!(elsewhere.log().is_empty(), "no request, and so no password, was sent");
}

#[test]
fn a_proxy_is_used_and_its_password_is_not_shown() {
    let upstream = Upstream::new();
    let authority = Authority::new("Ours");
    let server = serve(&upstream, &authority, "git.invalid");
    let folder = tempfile::tempdir().unwrap();
    let mut settings = http_settings(&server);
    settings.url = Address::parse("https://git.invalid/config.git").unwrap();
    settings.ca_file = Some(folder.path().join("ca.pem"));
    std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
    let proxy = connect_proxy(server.base().rsplit_once(':').unwrap().1.parse().unwrap());

    settings.proxy = Some(Secret::new(format!("http://user:canary@127.0.0.1:{proxy}")));
    assert_eq!(fetch(&settings).map(|tip| tip.to_string()), Ok(upstream.tip()));
    settings.proxy = Some(Secret::new(format!("http://user:canary-not@127.0.0.1:{proxy}")));
    let error = fetch(&settings).unwrap_err();
    assert!(error.starts_with("https://git.invalid/config.git did not accept who we are: proxy") && !error.contains("canary"), "{error}");
    settings.proxy = Some(Secret::new("http://user:canary@127.0.0.1:1"));
    let error = fetch(&settings).unwrap_err();
    assert!(error.starts_with("cannot reach https://git.invalid/config.git: ") && !error.contains("canary"), "{error}");
}

/// A proxy that leads every host to this port, for `user` with the password `canary`.
fn connect_proxy(to: u16) -> u16 {
    use base64::Engine;
    use std::io::{BufRead, BufReader, Write, copy};
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("user:canary"));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let expected = expected.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let (mut line, mut known, mut client) = (String::new(), false, client);
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    known |= line.trim_end().ends_with(&expected);
                    if line == "\r\n" {
                        if known {
                            let mut server = TcpStream::connect(("localhost", to)).unwrap();
                            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                            let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                            std::thread::spawn(move || copy(&mut server, &mut down));
                            let _ = copy(&mut reader, &mut up);
                            return;
                        }
                        let refusal = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n";
                        client.write_all(refusal.as_bytes()).unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

#[test]
fn a_secret_is_nowhere_to_be_found() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let mut settings = http_settings(&server);
    let (repository, cache) = open(&settings);
    let base = repository.fetch().unwrap();
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    assert!(server.log().iter().any(|logged| logged.authorization.is_some()), "the password was used");
    let found = std::process::Command::new("grep").args(["-rac", PASSWORD]).arg(cache.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).lines().all(|line| line.ends_with(":0")), "{found:?}");
    let url = std::process::Command::new("grep").args(["-ral", "localhost"]).arg(cache.path()).output().unwrap();
    assert!(url.stdout.is_empty(), "the address is not written either: {url:?}");

    let mut texts = vec![format!("{settings:?} {repository:?}")];
    settings.password = Some(Secret::new(format!("{PASSWORD}-not")));
    for fault in [Fault::Status(401), Fault::Status(403), Fault::DropBefore, Fault::Redirect(format!("http://evil.example/{PASSWORD}"))] {
        server.fault("/config.git", fault);
        let error = open(&settings).0.fetch().unwrap_err();
        texts.push(format!("{error} {error:?}"));
        server.heal();
    }
    for text in &texts {
        assert!(!text.contains("canary-7f3a91"), "{text}");
    }
}
