//! `git http-backend` behind a small server on loopback, with passwords, faults and a log.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::tls::{Identity, TlsListener};

/// The only user.
pub(crate) const USER: &str = "bot";
/// The user's password.
pub(crate) const PASSWORD: &str = "canary-7f3a91";

/// What goes wrong, for requests whose path or query holds the text.
pub(crate) enum Fault {
    /// This status, and nothing is done.
    Status(u16),
    /// The connection is closed before anything is done.
    DropBefore,
    /// Git does its work, and the connection is closed before it can tell.
    DropAfter,
    /// Nothing is ever answered.
    Hang,
    /// A redirect to another address.
    Redirect(String),
    /// Something happens, once, before Git sees the request.
    First(Box<dyn FnOnce() + Send>),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) request: String,
    pub(crate) authorization: Option<String>,
}

/// A running server. It stops when it is dropped.
pub(crate) struct GitHttp {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    root: PathBuf,
    log: Mutex<Vec<Logged>>,
    faults: Mutex<Vec<(&'static str, Fault)>>,
    waiting: Mutex<Vec<(&'static str, &'static str, Fault)>>,
}

impl GitHttp {
    /// Serves the repositories under `root`.
    pub(crate) fn start(root: &Path) -> Self {
        Self::serve(root, None)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(root: &Path, identity: Identity) -> Self {
        Self::serve(root, Some(identity))
    }

    fn serve(root: &Path, tls: Option<Identity>) -> Self {
        let shared = Arc::new(Shared { root: root.to_owned(), log: Mutex::default(), faults: Mutex::default(), waiting: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let scheme = if tls.is_some() { "https" } else { "http" };
        runtime.spawn(async move {
            match tls {
                Some(identity) => axum::serve(TlsListener::new(listener, identity), router).await,
                None => axum::serve(listener, router).await,
            }
        });
        Self { shared, address, scheme, _runtime: runtime }
    }

    /// The address of `config.git`.
    pub(crate) fn url(&self) -> String {
        format!("{}/config.git", self.base())
    }

    /// Scheme, host and port.
    pub(crate) fn base(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// From now on, the first request that fits goes wrong; each fault is used once, but a status, a hang and a redirect stay.
    pub(crate) fn fault(&self, path: &'static str, fault: Fault) {
        self.shared.faults.lock().unwrap().push((path, fault));
    }

    /// As [`GitHttp::fault`], but only once a request for `first` has come.
    pub(crate) fn fault_after(&self, first: &'static str, path: &'static str, fault: Fault) {
        self.shared.waiting.lock().unwrap().push((first, path, fault));
    }

    /// All goes well again.
    pub(crate) fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// All requests so far.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.shared.log.lock().unwrap().clone()
    }
}

impl std::fmt::Debug for GitHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.base())
    }
}

impl Shared {
    fn take_fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (due, waiting) = std::mem::take(&mut *self.waiting.lock().unwrap()).into_iter().partition(|(first, ..)| path.contains(first));
        *self.waiting.lock().unwrap() = waiting;
        let due: Vec<(&'static str, &'static str, Fault)> = due;
        faults.extend(due.into_iter().map(|(_, path, fault)| (path, fault)));
        let index = faults.iter().position(|(part, _)| path.contains(part))?;
        match &faults[index].1 {
            Fault::Status(code) => Some(Fault::Status(*code)),
            Fault::Hang => Some(Fault::Hang),
            Fault::Redirect(to) => Some(Fault::Redirect(to.clone())),
            _ => Some(faults.remove(index).1),
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Infallible> {
    let path = request.uri().to_string();
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    shared.log.lock().unwrap().push(Logged { request: format!("{} {path}", request.method()), authorization: authorization.clone() });
    let credentials = authorization.as_deref().and_then(|header| header.strip_prefix("Basic "));
    let credentials = credentials.and_then(|given| base64::engine::general_purpose::STANDARD.decode(given).ok()).unwrap_or_default();
    // A token that the fake of GitHub lends to an App serves as well.
    let is_known = credentials == format!("{USER}:{PASSWORD}").as_bytes() || credentials.starts_with(b"x-access-token:ghs_canary0");
    let status = |code: u16| Response::builder().status(code);
    let fault = shared.take_fault(&path);
    match &fault {
        Some(Fault::Redirect(to)) => return Ok(status(302).header(header::LOCATION, format!("{to}{path}")).body(Body::empty()).unwrap()),
        Some(Fault::DropBefore) => std::panic::resume_unwind(Box::new("dropped")),
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_secs(3600)).await,
        _ => {}
    }
    if !is_known {
        return Ok(status(401).header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"").body(Body::from("who are you?")).unwrap());
    }
    let (parts, body) = request.into_parts();
    // Whoever asks may be killed meanwhile.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return Ok(status(400).body(Body::empty()).unwrap()) };
    if let Some(Fault::Status(code)) = fault {
        return Ok(status(code).body(Body::from("no")).unwrap());
    }
    let drop_after = matches!(fault, Some(Fault::DropAfter));
    if let Some(Fault::First(action)) = fault {
        tokio::task::spawn_blocking(action).await.unwrap();
    }
    let response = backend(&shared.root, parts.method.as_str(), parts.uri.path(), parts.uri.query(), &parts.headers, body).await;
    if drop_after {
        std::panic::resume_unwind(Box::new("dropped"));
    }
    Ok(response)
}

/// One CGI call, as RFC 3875 has it.
async fn backend(root: &Path, method: &str, path: &str, query: Option<&str>, headers: &HeaderMap, body: Bytes) -> Response {
    let text = |name: header::HeaderName| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("REMOTE_USER", USER)
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git http-backend must be installed");
    let mut stdin = child.stdin.take().unwrap();
    let feed = tokio::spawn(async move {
        // Git may stop reading a push that it refuses.
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap();
    feed.await.unwrap();
    let end = output.stdout.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a CGI answer");
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output.stdout[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = if name == "Status" { response.status(value[..3].parse::<StatusCode>().unwrap()) } else { response.header(name, value) };
    }
    response.body(Body::from(output.stdout[end + 4..].to_vec())).unwrap()
}
