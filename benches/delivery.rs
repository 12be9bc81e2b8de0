//! One whole run on a large config repository: 5,000 overlays, 20,000 commits, 500 changes, over http. The promise is less than 30 s on two
//! cores, less than 300 MiB, and at most three pushes.
//!
//! `cargo bench --bench delivery -- [CHANGES]`; git and kubectl must be on the `PATH`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/git_http.rs"]
#[allow(dead_code)]
mod git_http;
#[path = "../tests/it/support/tls.rs"]
#[allow(dead_code)]
mod tls;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use git_http::{GitHttp, PASSWORD, USER};

const APPS: usize = 1000;
const OVERLAYS: [&str; 5] = ["dev", "stage", "prod", "prod-eu", "prod-us"];
const COMMITS: usize = 20_000;
/// As of when it runs, in epoch seconds.
const NOW: i64 = 1_790_000_400;

fn main() {
    let changes = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(500);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    repository(root, changes);
    history(root, changes);
    let server = GitHttp::start(root);
    let config = format!(
        "repository: {{url: '{}', username: {USER}, password: {PASSWORD}}}\nstate: {{path: '{1}/state'}}\nmetrics: {{files: '{1}/history'}}\ngate: {{shipped: false}}\n\
         decision: {{studiesPerRun: 0}}\n",
        server.url(),
        root.display()
    );
    std::fs::write(root.join("prescale.yaml"), config).unwrap();
    for name in ["nothing at hand", "the same again"] {
        let before = server.log().len();
        let start = Instant::now();
        let mut run = Command::new(env!("CARGO_BIN_EXE_prescale"));
        let at = chrono::DateTime::from_timestamp(NOW, 0).unwrap().to_rfc3339();
        let run = run.args(["run", "--quiet", "--at", &at, "--config"]).arg(root.join("prescale.yaml"));
        let (memory, code) = watch(run.stdout(Stdio::null()).spawn().unwrap());
        let took = start.elapsed().as_secs_f64();
        let log = server.log().split_off(before);
        let pushes = log.iter().filter(|asked| asked.request.starts_with("POST") && asked.request.ends_with("git-receive-pack")).count();
        let bytes = size(&root.join("state/cache"));
        println!(
            "{name}: {took:.1} s, {memory:.0} MiB, {pushes} pushes, {} requests, {bytes:.1} MiB of clone, exit code {code}",
            log.len()
        );
    }
    let touched = git(root, &["--git-dir=config.git", "diff", "--name-only", "main~1", "main"]);
    println!(
        "{} commits in all; the last one touches {} files",
        git(root, &["--git-dir=config.git", "rev-list", "--count", "main"]),
        touched.lines().count()
    );
}

/// Waits for a process; the most memory it had, in MiB, and its exit code.
fn watch(mut child: Child) -> (f64, i32) {
    let status = format!("/proc/{}/status", child.id());
    let mut most: f64 = 0.0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
        most = most.max(kib.unwrap_or(0.0) / 1024.0);
        if let Some(done) = child.try_wait().unwrap() {
            return (most, done.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The size of a folder, in MiB.
fn size(folder: &Path) -> f64 {
    let output = Command::new("du").arg("-sk").arg(folder).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// 1,000 applications of five overlays each; the production overlays of the first ones have a policy.
fn repository(root: &Path, governed: usize) {
    git(root, &["init", "-q", "--bare", "-b", "main", "config.git"]);
    let mut stream = String::new();
    let who = "Someone Else <else@example.com>";
    let commit = |stream: &mut String, number: usize| {
        let at = NOW - (COMMITS - number) as i64 * 600;
        write!(stream, "commit refs/heads/main\ncommitter {who} {at} +0000\ndata 7\nUpdate\n\n").unwrap();
    };
    let file = |stream: &mut String, path: &str, text: &str| {
        write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
    };
    commit(&mut stream, 1);
    for app in 0..APPS {
        let base = format!("apps/app{app}/base");
        file(&mut stream, &format!("{base}/kustomization.yaml"), "resources: [deployment.yaml, service.yaml]\n");
        let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n  selector:\n    matchLabels: {app: web}\n  template:\n    metadata:\n      \
                          labels: {app: web}\n    spec:\n      containers:\n        - name: app\n          image: app\n";
        file(&mut stream, &format!("{base}/deployment.yaml"), deployment);
        let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 80\n";
        file(&mut stream, &format!("{base}/service.yaml"), service);
        for name in OVERLAYS {
            let overlay = format!("apps/app{app}/overlays/{name}");
            let text = format!(
                "# The {name} overlay.\nnamespace: app{app}-{name}\nresources:\n  - ../../base\nimages:\n  - name: app\n    newTag: v{app}\nreplicas:\n  - name: \
                 web\n    count: 4\n"
            );
            file(&mut stream, &format!("{overlay}/kustomization.yaml"), &text);
            if name == "prod" && app < governed {
                let policy = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: web}\nspec: {target: {name: web}, signal: requests, \
                              capacityPerReplica: 10, requests: {enabled: false}, delivery: commit}\n";
                file(&mut stream, &format!("{overlay}/scaling.yaml"), policy);
            }
        }
    }
    for number in 2..=COMMITS {
        commit(&mut stream, number);
        file(&mut stream, &format!("notes/{}.txt", number % 500), &format!("{number}\n"));
    }
    let mut import = Command::new("git");
    let mut import =
        import.current_dir(root).args(["--git-dir=config.git", "fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}

/// Three days of demand that needs six replicas.
fn history(root: &Path, governed: usize) {
    for app in 0..governed {
        let folder = root.join(format!("history/app{app}-prod/web"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut text = String::new();
        for i in 0..3 * 288 {
            let value = 50.0 + ((i * 7919 + app as i64 * 31) % 71) as f64 / 10.0;
            writeln!(text, "{},{value}", NOW - (3 * 288 - i) * 300).unwrap();
        }
        std::fs::write(folder.join("requests.csv"), text).unwrap();
    }
}
