//! OpenSSH's server on a loopback port, as the current user, with throw-away keys.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct GitSsh {
    folder: TempDir,
    port: u16,
    server: Child,
}

impl GitSsh {
    #[expect(clippy::disallowed_methods, reason = "sshd clears the environment, and git may be anywhere on PATH")]
    /// Starts a server that shows a new Ed25519 host key and lets in one new user key.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for key in ["host_key", "user_key", "stranger_key"] {
            keygen(&path(key), "");
        }
        keygen(&path("locked_key"), "opens-ahead-2");
        let authorized = ["user_key.pub", "locked_key.pub"].map(|name| fs::read_to_string(path(name)).unwrap());
        fs::write(path("authorized_keys"), authorized.concat()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 200\n\
             SetEnv SHLVL=9 PATH={} GIT_CONFIG_GLOBAL=/dev/null\n",
            path("host_key").display(),
            path("authorized_keys").display(),
            std::env::var("PATH").unwrap(),
        );
        fs::write(path("sshd_config"), config).unwrap();
        // As root, sshd wants this folder for its unprivileged half.
        let _ = fs::create_dir_all("/run/sshd");
        let log = fs::File::create(path("sshd.log")).unwrap();
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(path("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd must be installed: Debian's openssh-server");
        let started = Self { folder, port, server };
        started.wait();
        let public = fs::read_to_string(started.path("host_key.pub")).unwrap();
        fs::write(started.path("known_hosts"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        started
    }

    fn wait(&self) {
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("sshd did not start: {}", fs::read_to_string(self.path("sshd.log")).unwrap());
    }

    /// The address of a repository by its absolute path.
    pub(crate) fn url(&self, repository: &Path) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        format!("ssh://{}@127.0.0.1:{}{}", String::from_utf8(user).unwrap().trim(), self.port, repository.display())
    }

    /// One of `known_hosts`, `user_key`, `stranger_key`, `locked_key` (passphrase `opens-ahead-2`), `host_key.pub`, `sshd.log`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How `known_hosts` writes the host.
    pub(crate) fn host(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }
}

impl Drop for GitSsh {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Makes a new Ed25519 key pair.
pub(crate) fn keygen(path: &Path, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen must be installed: Debian's openssh-client");
    assert!(status.success());
}
