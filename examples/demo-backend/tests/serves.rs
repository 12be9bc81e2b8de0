//! The backend, as the manifests of the demo ask it.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

struct Backend {
    child: Child,
    port: u16,
}

impl Backend {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = env!("CARGO_BIN_EXE_demo-backend");
        let child = Command::new(program).env("PORT", port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        Self { child, port }
    }

    /// The status and the body of an answer.
    fn get(&self, path: &str) -> (u16, String) {
        for _ in 0..200 {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                write!(stream, "GET {path} HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                return (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the backend does not answer");
    }
}

#[test]
fn it_answers_counts_and_logs() {
    let mut backend = Backend::start();
    assert_eq!(backend.get("/api/health"), (200, r#"{"status":"ok"}"#.to_owned()));
    let goods: Json = serde_json::from_str(&backend.get("/api/data").1).unwrap();
    assert_eq!(goods.as_array().unwrap().len(), 3);
    let worked: Json = serde_json::from_str(&backend.get("/api/heavy?ms=30").1).unwrap();
    assert!(worked["tookMs"].as_f64().unwrap() >= 30.0 && worked["rounds"].as_u64().unwrap() > 0, "{worked}");
    assert_eq!(backend.get("/api/heavy?ms=soon").0, 400);
    assert_eq!(backend.get("/nowhere").0, 404);
    let (_, metrics) = backend.get("/metrics");
    for line in [
        r#"http_requests_total{method="GET",path="/api/heavy",code="200"} 1"#,
        r#"http_requests_total{method="GET",path="/api/heavy",code="400"} 1"#,
        r#"http_requests_total{method="GET",path="other",code="404"} 1"#,
        r#"http_request_duration_seconds_bucket{path="/api/data",le="+Inf"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    // What grows with the replicas is no demand.
    assert!(!backend.get("/metrics").1.contains("/metrics") && !metrics.contains("health"), "{metrics}");
    // SIGTERM: it ends by itself, and says so.
    Command::new("kill").arg(backend.child.id().to_string()).status().unwrap();
    assert!(backend.child.wait().unwrap().success());
    let mut log = String::new();
    backend.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<Json> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["message"] == "answered" && line["path"] == "/api/heavy" && line["status"] == 200), "{log}");
    assert_eq!(lines.last().unwrap()["message"], "stopping");
}
