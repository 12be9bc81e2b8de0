//! The demo's backend, as its manifests ask it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

struct Backend {
    child: Child,
    base: String,
}

impl Backend {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
        let child = Command::new(folder.join("demo-backend")).env("PORT", port.to_string()).stdout(Stdio::piped()).spawn();
        Self { child: child.expect("cargo test builds the examples"), base: format!("http://127.0.0.1:{port}") }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        for _ in 0..200 {
            if let Ok(answer) = reqwest::get(format!("{}{path}", self.base)).await {
                return (answer.status().as_u16(), answer.text().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the backend does not answer");
    }
}

#[tokio::test]
async fn it_answers_counts_and_logs() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut backend = Backend::start();
    assert_eq!(backend.get("/api/health").await, (200, r#"{"status":"ok"}"#.to_owned()));
    let goods: Json = serde_json::from_str(&backend.get("/api/data").await.1).unwrap();
    assert_eq!(goods.as_array().unwrap().len(), 3);
    let worked: Json = serde_json::from_str(&backend.get("/api/heavy?ms=30").await.1).unwrap();
    assert!(worked["tookMs"].as_f64().unwrap() >= 30.0 && worked["rounds"].as_u64().unwrap() > 0, "{worked}");
    assert_eq!(backend.get("/api/heavy?ms=soon").await.0, 400);
    assert_eq!(backend.get("/nowhere").await.0, 404);
    let (_, metrics) = backend.get("/metrics").await;
    for line in [
        r#"http_requests_total{method="GET",path="/api/heavy",code="200"} 1"#,
        r#"http_requests_total{method="GET",path="/api/heavy",code="400"} 1"#,
        r#"http_requests_total{method="GET",path="other",code="404"} 1"#,
        r#"http_request_duration_seconds_bucket{path="/api/data",le="+Inf"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    // SIGTERM: it ends by itself, and says so.
    Command::new("kill").arg(backend.child.id().to_string()).status().unwrap();
    assert!(backend.child.wait().unwrap().success());
    let mut log = String::new();
    backend.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<Json> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["message"] == "answered" && line["path"] == "/api/heavy" && line["status"] == 200), "{log}");
    assert_eq!(lines.last().unwrap()["message"], "stopping");
}
