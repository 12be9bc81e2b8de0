//! The state in a bucket, of a server that speaks the protocol of S3.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::shop::{Ran, Shop, now, prescale};

/// A store with one bucket, `state`.
pub(crate) struct S3 {
    child: Child,
    pub(crate) base: String,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child =
            Command::new("moto_server").args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let store = Self { child, base: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if reqwest::Client::new().put(format!("{}/state", store.base)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return store;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server does not answer");
    }

    /// The names of all objects.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = reqwest::get(format!("{}/state?list-type=2", self.base)).await.unwrap().text().await.unwrap();
        listed.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs with the state in a bucket.
fn run(shop: &Shop, url: &str, endpoint: &str) -> Ran {
    let config = shop.local("");
    let text = std::fs::read_to_string(&config).unwrap().replace("state: {", &format!("state: {{url: '{url}', "));
    std::fs::write(&config, text).unwrap();
    let mut command = prescale(&["run", "--config", &config, "--at", &now(), "--output", "json"]);
    for (name, value) in [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "canary-key"),
        ("AWS_SECRET_ACCESS_KEY", "canary-1f83d9ab"),
    ] {
        command.env(name, value);
    }
    Ran::of(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_a_folder_would() {
    let (shop, store) = (Shop::new(), S3::start().await);
    let first = run(&shop, "s3://state/of/prescale", &store.base);
    assert_eq!(first.code, 0, "{first:?}");
    let keys = store.keys().await;
    assert!(keys.iter().all(|key| key.starts_with("of/prescale/")), "{keys:?}");
    for kept in ["of/prescale/records/2026-11-16/", "of/prescale/written.jsonl"] {
        assert!(keys.iter().any(|key| key.starts_with(kept)), "{kept} is not among {keys:?}");
    }
    let folder: Vec<String> =
        std::fs::read_dir(shop.path().join("state")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folder, ["cache"], "the folder holds the clone alone");
    let tip = shop.tip();
    let again = run(&shop, "s3://state/of/prescale", &store.base);
    assert_eq!((again.code, shop.tip()), (0, tip), "{again:?}");
    assert!(again.json()["held"].to_string().contains("unchanged"), "{again:?}");
    for said in [&first, &again] {
        assert!(!format!("{said:?}").contains("canary"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_is_named() {
    let (shop, store) = (Shop::new(), S3::start().await);
    let before = shop.tip();
    run(&shop, "s3://nowhere/x", &store.base).says(1, &["the state `s3://nowhere/x`", "nowhere"]);
    run(&shop, "s3://state", "http://127.0.0.1:9").says(1, &["the state `s3://state`"]);
    for url in ["state/x", "https://state.example.com/x", "s3://key:secret@state/x"] {
        let ran = run(&shop, url, &store.base);
        ran.says(1, &["s3://BUCKET"]);
        assert!(!format!("{ran:?}").contains("key:secret"), "{ran:?}");
    }
    assert_eq!(shop.tip(), before);
}
