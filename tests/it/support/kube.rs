//! A Kubernetes API server on loopback: objects that are put into it, pages, roles, faults and a log. It is never written to.

mod access;
mod fleet;
mod kinds;
pub(crate) mod objects;
mod reply;
mod selector;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::header;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::net::TcpListener;

use reply::Reply;
use state::State;

use super::tls::{Identity, TlsListener};

/// The only token that is good.
pub(crate) const TOKEN: &str = "canary-kube-4e1c07";

/// What goes wrong, for requests whose path and query hold the text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This status.
    Status(u16),
    /// The connection is closed within the body.
    Drop,
    /// Nothing is answered for a minute.
    Stall,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
}

impl Asked {
    fn new(request: &Request) -> Self {
        let url = url::Url::parse(&format!("http://x{}", request.uri())).unwrap();
        Self { method: request.method().to_string(), path: url.path().to_owned(), query: url.query_pairs().into_owned().collect() }
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running fake. It stops when it is dropped.
pub(crate) struct KubeApi {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl KubeApi {
    /// Serves all kinds that it knows, and no object yet.
    pub(crate) fn start() -> Self {
        Self::serve(None)
    }

    /// The same over TLS, as pods reach it.
    pub(crate) fn start_tls(identity: Identity) -> Self {
        Self::serve(Some(identity))
    }

    fn serve(tls: Option<Identity>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { address, state: Mutex::new(State::new()) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            match tls {
                Some(identity) => axum::serve(TlsListener::new(listener, identity), router).await,
                None => axum::serve(listener, router).await,
            }
        });
        Self { shared, runtime: Some(runtime) }
    }

    /// Writes a kubeconfig with the good token into a folder, and returns its path.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
             clusters:\n- name: fake\n  cluster: {{server: \"http://{}\"}}\n\
             contexts:\n- name: fake\n  context: {{cluster: fake, user: prescale}}\n\
             users:\n- name: prescale\n  user: {{token: {TOKEN}}}\n",
            self.shared.address
        );
        let path = folder.join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Keeps an object, instead of any of its kind, namespace and name. What the server itself would give it is given where it is absent.
    pub(crate) fn put(&self, object: impl Into<Json>) {
        self.shared.state().put(object.into());
    }

    /// Takes an object away; the namespace of one of the cluster's own is empty.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        assert!(self.shared.state().remove(resource, namespace, name), "there is no {resource} {namespace}/{name}");
    }

    /// So many Deployments, each with a ReplicaSet, an autoscaler and so many pods, by a hundred in a namespace; once.
    pub(crate) fn fill(&self, workloads: usize, pods_each: usize) {
        self.shared.state().fill(workloads, pods_each);
    }

    /// A group, or a resource by its plural, is not served any more, as where its definition is not installed.
    pub(crate) fn without(&self, group_or_resource: &str) {
        self.shared.state().missing.insert(group_or_resource.to_owned());
    }

    /// For so many times, a list that had at least so many pages cannot be continued, but with the token that is told then.
    pub(crate) fn expire_after(&self, pages: usize, times: usize) {
        self.shared.state().expiry = (pages, times);
    }

    /// From now on only what these manifests grant is allowed. If bindings are among them, they say to whom and where a role is granted,
    /// and the account is `prescale` in the namespace `prescale`; else each role is granted as far as its kind goes.
    pub(crate) fn allow(&self, manifests: &str) {
        self.shared.state().access.allow(documents(manifests));
    }

    /// Nothing of a resource, by its plural, is allowed.
    pub(crate) fn deny(&self, resource: &str) {
        self.shared.state().access.denied.insert(resource.to_owned());
    }

    /// Only what is asked within one namespace is allowed.
    pub(crate) fn deny_cluster_wide(&self) {
        self.shared.state().access.within_namespaces = true;
    }

    /// From now on, so many requests whose path and query hold the text go wrong.
    pub(crate) fn fail(&self, path_contains: &str, fault: Fault, times: usize) {
        self.shared.state().faults.push((path_contains.to_owned(), fault, times));
    }

    /// All requests so far.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.shared.state().log.clone()
    }

    /// How many requests were to write anything.
    pub(crate) fn writes(&self) -> usize {
        self.shared.state().writes
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        // It may be dropped within a test's own runtime, where none may be waited for.
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// The documents of a YAML text, but for empty ones.
fn documents(text: &str) -> Vec<Json> {
    let all = serde_yaml::Deserializer::from_str(text).map(|document| Json::deserialize(document).expect("manifests in YAML"));
    all.filter(|document| !document.is_null()).collect()
}

async fn answer(Extracted(shared): Extracted<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked::new(&request);
    let token = request.headers().get(header::AUTHORIZATION);
    let trusted = token.is_some_and(|value| *value == format!("Bearer {TOKEN}"));
    let (fault, reply) = {
        let mut state = shared.state();
        state.note(&asked);
        let fault = state.take_fault(&request.uri().to_string());
        let reply = match fault {
            Some(Fault::Status(status)) => Reply::fault(status),
            Some(Fault::Stall) => Reply::fault(504),
            _ if !trusted => Reply::failure(401, "Unauthorized", "Unauthorized", None),
            _ => state.answer(&asked),
        };
        (fault, reply)
    };
    if matches!(fault, Some(Fault::Stall)) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let mut response = Response::builder().status(reply.status).header(header::CONTENT_TYPE, reply.content);
    if reply.status == 429 {
        response = response.header(header::RETRY_AFTER, "1");
    }
    let text = Bytes::from(reply.text);
    let body = if matches!(fault, Some(Fault::Drop)) { torn(&text) } else { Body::from(text) };
    response.body(body).unwrap()
}

/// The first half of a body, and then none of the rest.
fn torn(text: &Bytes) -> Body {
    let half = Ok::<_, std::io::Error>(text.slice(..text.len() / 2));
    let end = async {
        // What was sent before is on its way by then.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("broken"))
    };
    Body::from_stream(stream::iter([half]).chain(stream::once(end)))
}
