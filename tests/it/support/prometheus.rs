//! A real Prometheus on a free loopback port, with history loaded by promtool.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running server; it ends with this value.
pub(crate) struct RealPrometheus {
    pub(crate) url: String,
    child: Child,
    folder: TempDir,
}

/// A certificate and a password in front of the server.
pub(crate) struct Guarded {
    pub(crate) server: RealPrometheus,
    pub(crate) ca_file: std::path::PathBuf,
}

impl RealPrometheus {
    /// Loads the text and waits until the server is ready.
    pub(crate) fn with(openmetrics: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        load(openmetrics, folder.path());
        Self::start(folder, "http", &[])
    }

    fn start(folder: TempDir, scheme: &str, more: &[&str]) -> Self {
        std::fs::write(folder.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("prometheus cannot be started ({e}): install the Debian package `prometheus`"));
        let mut server = Self { url: format!("{scheme}://127.0.0.1:{port}"), child, folder };
        server.wait();
        server
    }

    /// Until the log says that it is ready: also a guarded server says so.
    fn wait(&mut self) {
        for _ in 0..600 {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if log.contains("Server is ready to receive web requests") {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("prometheus ended ({status}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("prometheus was not ready within 30 s");
    }
}

impl Guarded {
    /// The user.
    pub(crate) const USER: &str = "prescale";
    /// The password; the server knows its bcrypt hash.
    pub(crate) const PASSWORD: &str = "open sesame";
    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";

    /// As [`RealPrometheus::with`], but behind TLS and basic auth.
    pub(crate) fn with(openmetrics: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        load(openmetrics, folder.path());
        let made = Command::new("openssl")
            .current_dir(folder.path())
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=prometheus", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .output()
            .unwrap_or_else(|e| panic!("openssl cannot be started ({e}): install the Debian package `openssl`"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let web = format!(
            "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{{}: {}}}\n",
            Self::USER,
            Self::HASH
        );
        std::fs::write(folder.path().join("web.yml"), web).unwrap();
        let ca_file = folder.path().join("cert.pem");
        Self { server: RealPrometheus::start(folder, "https", &["--web.config.file=web.yml"]), ca_file }
    }
}

fn load(openmetrics: &str, folder: &Path) {
    std::fs::write(folder.join("history.om"), openmetrics).unwrap();
    let output = Command::new("promtool")
        .current_dir(folder)
        .args(["tsdb", "create-blocks-from", "--max-block-duration=64h", "openmetrics", "history.om", "data"])
        .output()
        .unwrap_or_else(|e| panic!("promtool cannot be started ({e}): install the Debian package `prometheus`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for RealPrometheus {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
