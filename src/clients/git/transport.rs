//! The two conversations with a server: fetch and push.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use git2::{
    AutotagOption, Cred, CredentialType, FetchOptions, Oid, ProxyOptions, PushOptions, RemoteCallbacks, RemoteRedirect, Repository,
};

use super::address::Transport;
use super::{CommitId, GitError, Settings, commits, trust};
use crate::clients::secret::Secret;

/// Where the fetched tips are kept, so that the next fetch asks only for what is new.
const TRACKED: &str = "refs/prescale/tracked";
const OURS: &str = "refs/prescale/branches/";

/// Asked for to connect and to be told all branches, before anything is asked for in earnest.
const NOTHING: &str = "refs/prescale/nothing";

/// Where a branch shall be, and where it must be for that; `None` stands for no branch.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub branch: String,
    pub from: Option<CommitId>,
    pub to: Option<CommitId>,
    /// Whether it may go elsewhere than forward.
    pub forced: bool,
}

impl Move {
    pub(super) fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// `from`, as Git writes it.
    pub(super) fn old(&self) -> Oid {
        self.from.map_or(Oid::ZERO_SHA1, |from| from.0)
    }
}

/// What became of a push, as far as the conversation told. Only reading the branch back decides.
#[derive(Debug)]
pub(super) enum Sent {
    /// The server said that it moved the branch.
    Accepted,
    /// The branch was elsewhere before anything was sent.
    Moved,
    /// The server said that it did not move the branch. `hook`: because its rules say so, and not by chance.
    Rejected { why: String, hook: bool },
    /// The conversation broke.
    Unknown(GitError),
}

/// Counts signs of life of a conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a conversation has no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing was heard for too long.
    Silent,
    /// libgit2's bindings panicked, as they do on what is not UTF-8.
    Broken,
}

/// Runs a conversation on a thread of its own and gives it up after a silence of `limit`.
///
/// libgit2 has no other safe way to bound a server that hangs. The thread is left behind, and with it the lock on the cache.
pub(super) fn bounded<T: Send + 'static>(limit: Duration, job: impl FnOnce(&Pulse) -> T + Send + 'static) -> Result<T, Ended> {
    let (pulse, (done, outcome)) = (Pulse::default(), mpsc::channel());
    let heard = pulse.clone();
    thread::spawn(move || done.send(job(&heard)));
    let mut last = 0;
    loop {
        match outcome.recv_timeout(limit) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::Broken),
            Err(RecvTimeoutError::Timeout) => {
                let now = pulse.0.load(Ordering::Relaxed);
                if now == last {
                    return Err(Ended::Silent);
                }
                last = now;
            }
        }
    }
}

/// Fetches the tracked branch and ours, forgets those of ours that are gone, and returns the tracked tip. `deeper`: as many
/// commits of the tracked branch (0: all), even where its tip is known.
///
/// There is one conversation: the server tells its branches, and is asked for those that are not at hand as it tells them.
pub(super) fn fetch(
    settings: &Settings,
    repo: &Repository,
    cache: &Path,
    deeper: Option<u32>,
    pulse: &Pulse,
) -> Result<CommitId, GitError> {
    let remote = &settings.url;
    let notes = Notes::default();
    let failed = |e: git2::Error| notes.explain(GitError::network(remote, cache, &e));
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks(settings, &notes, pulse));
    options.proxy_options(proxy(settings)).follow_redirects(RemoteRedirect::None);
    options.download_tags(AutotagOption::None).update_fetchhead(false);
    match remote.transport() {
        Transport::Local(path) if !path.is_dir() => {
            return Err(GitError::NoRepository { remote: remote.to_string(), why: "there is no such folder".to_owned() });
        }
        Transport::Local(path) => {
            if let Err(error) = super::local::tidy(path) {
                tracing::debug!(%error, "cannot see to the locks of a killed push");
            }
        }
        _ => {
            options.depth(i32::try_from(deeper.unwrap_or(settings.reach())).unwrap_or(i32::MAX));
        }
    }
    let mut connection = repo.remote_anonymous(remote.for_libgit2()).map_err(failed)?;
    connection.download(&[NOTHING], Some(&mut options)).map_err(failed)?;
    let there: BTreeMap<String, Oid> = connection
        .list()
        .map_err(failed)?
        .iter()
        .filter_map(|head| Some((head.name().strip_prefix("refs/heads/")?.to_owned(), head.oid())))
        .collect();
    let kept_as = |branch: &str| match branch {
        branch if branch == settings.branch => Some(TRACKED.to_owned()),
        branch => settings.is_ours(branch).then(|| format!("{OURS}{branch}")),
    };
    let new: Vec<(&String, String, Oid)> = there
        .iter()
        .filter_map(|(branch, tip)| Some((branch, kept_as(branch)?, *tip)))
        .filter(|(branch, kept, tip)| (deeper.is_some() && **branch == settings.branch) || !at_hand(repo, kept, *tip))
        .collect();
    if !new.is_empty() {
        let wanted: Vec<String> = new.iter().map(|(branch, kept, _)| format!("+refs/heads/{branch}:{kept}")).collect();
        connection.download(&wanted, Some(&mut options)).map_err(failed)?;
    }
    // First, since a branch that is gone may stand where another one now has its folder.
    for gone in ours(repo).map_err(failed)?.keys().filter(|branch| !there.contains_key(*branch) || !settings.is_ours(branch)) {
        repo.find_reference(&format!("{OURS}{gone}")).and_then(|mut kept| kept.delete()).map_err(failed)?;
    }
    for (_, kept, tip) in &new {
        repo.reference(kept, *tip, true, "").map_err(failed)?;
    }
    if let Some(tip) = there.get(&settings.branch) {
        return Ok(CommitId(*tip));
    }
    let (remote, branch) = (remote.to_string(), settings.branch.clone());
    let branches: Vec<String> = there.into_keys().collect();
    Err(if branches.is_empty() { GitError::Empty { remote, branch } } else { GitError::NoBranch { remote, branch, branches } })
}

/// Whether this tip was fetched before, and is still whole as far as a look at it and its parents tells.
fn at_hand(repo: &Repository, kept: &str, tip: Oid) -> bool {
    let whole = |commit: commits::Commit| commit.parents.iter().all(|parent| repo.find_commit(parent.0).is_ok());
    repo.refname_to_id(kept).is_ok_and(|known| known == tip) && commits::read(repo, CommitId(tip)).is_ok_and(whole)
}

/// The tracked tip as it was last fetched.
pub(super) fn tracked(repo: &Repository) -> Option<CommitId> {
    repo.refname_to_id(TRACKED).ok().map(CommitId)
}

/// Our branches as they were last fetched.
pub(super) fn ours(repo: &Repository) -> Result<BTreeMap<String, CommitId>, git2::Error> {
    let mut found = BTreeMap::new();
    for kept in repo.references_glob(&format!("{OURS}*"))? {
        let kept = kept?;
        if let (Some(branch), Some(tip)) = (kept.name()?.strip_prefix(OURS), kept.target()) {
            found.insert(branch.to_owned(), CommitId(tip));
        }
    }
    Ok(found)
}

/// Asks the server to move a branch. The server compares where it must be itself when it takes its lock.
pub(super) fn push(settings: &Settings, repo: &Repository, cache: &Path, wanted: &Move, pulse: &Pulse) -> Sent {
    let remote = &settings.url;
    let notes = Notes::default();
    let mut callbacks = callbacks(settings, &notes, pulse);
    callbacks.push_negotiation(|updates| {
        pulse.beat();
        if updates.iter().all(|update| update.src() == wanted.old()) {
            return Ok(());
        }
        notes.0.borrow_mut().moved = true;
        Err(git2::Error::from_str("the branch has moved"))
    });
    callbacks.push_update_reference(|_, refused| {
        notes.0.borrow_mut().refused = refused.map(str::to_owned);
        Ok(())
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks).proxy_options(proxy(settings)).follow_redirects(RemoteRedirect::None);
    let refspec = match wanted.to {
        Some(to) => format!("{}{to}:{}", if wanted.forced { "+" } else { "" }, wanted.reference()),
        None => format!(":{}", wanted.reference()),
    };
    let sent = repo.remote_anonymous(remote.for_libgit2()).and_then(|mut connection| connection.push(&[refspec], Some(&mut options)));
    drop(options);
    let said = notes.said();
    match sent {
        _ if notes.0.borrow().moved => Sent::Moved,
        Ok(()) => match notes.0.take().refused {
            None => Sent::Accepted,
            Some(why) => Sent::Rejected { hook: why.contains("hook declined"), why: [why, said].join("\n").trim().to_owned() },
        },
        Err(e) if e.message().contains("unpacking the sent packfile failed") => {
            Sent::Rejected { hook: true, why: ["the server could not store the commit".to_owned(), said].join("\n").trim().to_owned() }
        }
        Err(e) => match notes.explain(GitError::network(remote, cache, &e)) {
            GitError::Forbidden { why, .. } => Sent::Rejected { why: format!("{why}: this user or token may not push there"), hook: true },
            error => Sent::Unknown(error),
        },
    }
}

/// What the callbacks of one conversation noted; libgit2 forwards too little of it.
#[derive(Default)]
struct Notes(RefCell<Noted>);

#[derive(Default)]
struct Noted {
    asked: u32,
    key: Option<PathBuf>,
    stopped: Option<GitError>,
    moved: bool,
    refused: Option<String>,
    said: Vec<u8>,
}

impl Notes {
    /// Stops the conversation for a reason of our own.
    fn stop(&self, why: GitError) -> git2::Error {
        let error = git2::Error::from_str(&why.to_string());
        self.0.borrow_mut().stopped = Some(why);
        error
    }

    /// Our own reason where there is one, else what libgit2 reported.
    fn explain(&self, reported: GitError) -> GitError {
        let mut noted = self.0.borrow_mut();
        match (noted.stopped.take(), reported, &noted.key) {
            (Some(why), ..) => why,
            (None, GitError::Authentication { remote, why }, Some(key)) => {
                let todo = "it must be a private key; where it has a passphrase, set `sshKeyPassphraseFile`";
                GitError::Authentication { remote, why: format!("the key {} cannot be used ({why}): {todo}", key.display()) }
            }
            (None, reported, _) => reported,
        }
    }

    /// What the server told people, without its progress lines.
    fn said(&self) -> String {
        let said = String::from_utf8_lossy(&self.0.borrow().said).replace('\r', "\n");
        said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

fn callbacks<'a>(settings: &'a Settings, notes: &'a Notes, pulse: &'a Pulse) -> RemoteCallbacks<'a> {
    const MOST_SAID: usize = 4096;
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| {
        pulse.beat();
        true
    });
    callbacks.push_transfer_progress(|_, _, _| pulse.beat());
    callbacks.pack_progress(|_, _, _| pulse.beat());
    callbacks.sideband_progress(|text| {
        pulse.beat();
        let said = &mut notes.0.borrow_mut().said;
        said.extend(text.iter().take(MOST_SAID.saturating_sub(said.len())));
        true
    });
    callbacks.credentials(|_, user, allowed| {
        pulse.beat();
        credentials(settings, user, allowed, notes).map_err(|why| notes.stop(why))
    });
    callbacks.certificate_check(|shown, host| {
        pulse.beat();
        let checked = match (shown.as_hostkey(), shown.as_x509(), &settings.ca_file) {
            (Some(key), ..) => {
                let port = if let Transport::Ssh { port, .. } = settings.url.transport() { *port } else { 22 };
                trust::host_key(settings.known_hosts_file.as_deref(), host, port, key.hostkey().unwrap_or_default())
            }
            (_, Some(leaf), Some(issuers)) => trust::certificate(issuers, &settings.url, host, leaf.data()),
            _ => return Ok(git2::CertificateCheckStatus::CertificatePassthrough),
        };
        checked.map(|()| git2::CertificateCheckStatus::CertificateOk).map_err(|why| notes.stop(why))
    });
    callbacks
}

/// What to answer a server that asks who we are. It asks again for as long as it does not like the answer, so there is one.
fn credentials(settings: &Settings, user: Option<&str>, allowed: CredentialType, notes: &Notes) -> Result<Cred, GitError> {
    let user = match settings.url.transport() {
        Transport::Ssh { user: known, .. } => user.or(known.as_deref()).unwrap_or("git"),
        _ => settings.username.as_deref().unwrap_or("x-access-token"),
    };
    let stranger = |why: String| GitError::Authentication { remote: settings.url.to_string(), why };
    let unusable = |e: git2::Error| stranger(e.message().to_owned());
    if allowed.contains(CredentialType::USERNAME) {
        return Cred::username(user).map_err(unusable);
    }
    let again = notes.0.borrow().asked > 0;
    notes.0.borrow_mut().asked += 1;
    if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) && matches!(settings.url.transport(), Transport::Http { .. }) {
        return match password(settings)? {
            Some(_) if again => Err(stranger(format!("it refused the password of `{user}`: check `username` and `passwordFile`"))),
            Some(password) => Cred::userpass_plaintext(user, password.expose()).map_err(unusable),
            None => Err(stranger("it asks for a password or token: set `passwordFile`".to_owned())),
        };
    }
    if allowed.intersects(CredentialType::SSH_KEY | CredentialType::SSH_MEMORY) {
        let Some(file) = &settings.ssh_key_file else {
            return if again {
                Err(stranger(format!("it refused the keys of the ssh agent for `{user}`: set `sshKeyFile`")))
            } else {
                Cred::ssh_key_from_agent(user).map_err(unusable)
            };
        };
        if again {
            return Err(stranger(format!("it refused the key {} for `{user}`: add its public half to this user", file.display())));
        }
        let passphrase = settings.ssh_key_passphrase_file.as_deref().map(read_secret).transpose()?;
        let key = trust::private_key(file)?;
        notes.0.borrow_mut().key = Some(file.clone());
        return Cred::ssh_key_from_memory(user, None, &key, passphrase.as_ref().map(Secret::expose)).map_err(unusable);
    }
    Err(stranger("it asks for something that is neither a password nor a key".to_owned()))
}

fn password(settings: &Settings) -> Result<Option<Secret>, GitError> {
    match (&settings.password, &settings.password_file) {
        (Some(_), Some(_)) => Err(GitError::Settings { why: "both `password` and `passwordFile` are set: keep one".to_owned() }),
        (Some(password), None) => Ok(Some(password.clone())),
        (None, Some(file)) => read_secret(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_secret(file: &Path) -> Result<Secret, GitError> {
    Secret::read(file).map_err(|e| GitError::Settings { why: e.to_string() })
}

fn proxy(settings: &Settings) -> ProxyOptions<'_> {
    let mut options = ProxyOptions::new();
    match &settings.proxy {
        None => {
            options.auto();
        }
        Some(url) if url.expose().is_empty() => {}
        Some(url) => {
            options.url(url.expose());
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_bounded_and_progress_is_not() {
        // Long where the outcome must come first, short where silence must.
        let (long, short) = (Duration::from_secs(60), Duration::from_secs(2));
        assert_eq!(bounded(long, |_| 7), Ok(7));
        assert_eq!(bounded(Duration::from_millis(50), move |_| thread::sleep(long)), Err(Ended::Silent));
        let busy = |pulse: &Pulse| {
            for _ in 0..30 {
                pulse.beat();
                thread::sleep(Duration::from_millis(100));
            }
        };
        assert_eq!(bounded(short, busy), Ok(()));
        assert_eq!(bounded(long, |_| -> u8 { panic!("not UTF-8") }), Err(Ended::Broken));
    }

    #[test]
    fn the_servers_words_are_kept_without_blank_lines() {
        let notes = Notes::default();
        notes.0.borrow_mut().said = b"no\r\n\n  on Fridays \r".to_vec();
        assert_eq!(notes.said(), "no\n  on Fridays");
    }
}
