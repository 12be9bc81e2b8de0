//! The CronJob's pod as it is rendered: its arguments, environment, folders and read-only root, by the built binary in bubblewrap instead of a
//! container.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::Utc;
use serde_json::Value as Json;
use tempfile::TempDir;

use super::{documents, kustomizations, read, render, root, with_components};
use crate::state_in_s3::S3;
use crate::support::forge::Forge;
use crate::support::git::{commit_at, git};
use crate::support::git_http::{Fault, GitHttp, PASSWORD, USER};
use crate::support::git_ssh::GitSsh;
use crate::support::kube::{KubeApi, TOKEN, objects};
use crate::support::shop::Ran;
use crate::support::small::{Small, start};
use crate::support::tls::Authority;

const STATE: &str = "/var/lib/prescale";
const SECRET: &str = "/run/secrets/prescale/prescale-git";
const CONFIG: &str = "/etc/prescale/prescale.yaml";
const PASSWD: &str = "/etc/passwd";
/// Where the kubelet mounts the token of a ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the pod of a rendered CronJob runs with.
struct Pod {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// Where, and whether it is read-only.
    mounts: Vec<(String, bool)>,
    /// The Secrets whose keys are variables.
    secrets: Vec<String>,
    /// How many there are.
    completions: u64,
}

impl Pod {
    fn of(rendered: &str) -> Self {
        let all = documents(rendered);
        let cronjob = all.iter().find(|object| object["kind"] == "CronJob").expect("a CronJob");
        assert_eq!(cronjob["spec"]["concurrencyPolicy"], "Forbid");
        let job = &cronjob["spec"]["jobTemplate"]["spec"];
        let spec = &job["template"]["spec"];
        let [container] = &spec["containers"].as_array().unwrap()[..] else { panic!("one container") };
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(spec["securityContext"]["runAsUser"], 65532);
        assert!(container["command"].is_null(), "the image's entry point is the program");
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let mut mounts: Vec<(String, bool)> =
            list(&container["volumeMounts"]).iter().map(|one| (text(&one["mountPath"]), one["readOnly"] == true)).collect();
        if spec["automountServiceAccountToken"] == true {
            mounts.push((ACCOUNT.into(), true));
        }
        Self {
            args: list(&container["args"]).iter().map(text).collect(),
            env: list(&container["env"])
                .iter()
                .filter(|one| one["value"].is_string())
                .map(|one| (text(&one["name"]), text(&one["value"])))
                .collect(),
            mounts,
            secrets: list(&container["envFrom"]).iter().map(|one| text(&one["secretRef"]["name"])).collect(),
            completions: job["completions"].as_u64().unwrap_or(1),
        }
    }
}

/// A repository behind a server, and the volumes of a pod.
struct Node {
    small: Small,
    git: GitHttp,
    volumes: TempDir,
}

impl Node {
    fn new() -> Self {
        Self::with(Small::new(4, "signal: requests, capacityPerReplica: 10"))
    }

    fn with(small: Small) -> Self {
        let git = GitHttp::start(small.path());
        let volumes = tempfile::tempdir().unwrap();
        let node = Self { small, git, volumes };
        for path in [STATE, SECRET, "/etc/prescale/gate", "/tmp"] {
            std::fs::create_dir_all(node.volume(path)).unwrap();
        }
        std::fs::write(node.volume(SECRET).join("password"), PASSWORD).unwrap();
        std::fs::write(node.volume(PASSWD), "prescale:x:65532:65532::/tmp:/usr/sbin/nologin\n").unwrap();
        node.configure(&node.git.url());
        node.history(2);
        node
    }

    fn volume(&self, path: &str) -> PathBuf {
        self.volumes.path().join(path.trim_start_matches('/').replace('/', "-"))
    }

    fn configure(&self, url: &str) {
        let text = format!(
            "repository: {{url: '{url}', username: {USER}, passwordFile: {SECRET}/password}}\nmetrics: {{files: {STATE}/history}}\n\
             state: {{path: {STATE}}}\ndecision: {{studiesPerRun: 0}}\ngate: {{shipped: false}}\n"
        );
        std::fs::write(self.volume(CONFIG), text).unwrap();
    }

    /// So many days of steady demand until now, by the clock on the wall.
    #[expect(clippy::disallowed_methods, reason = "the CronJob's command line names no instant")]
    fn history(&self, days: i64) {
        let now = Utc::now().timestamp() / 60 * 60;
        let mut text = String::new();
        (now - days * 86_400..=now).step_by(60).for_each(|at| writeln!(text, "{at},55").unwrap());
        let folder = self.volume(STATE).join("history/shop/web");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("requests.csv"), text).unwrap();
    }

    /// The pod's program, with its folders and a root that is read-only.
    fn command(&self, pod: &Pod, more: &[(&str, &str)], state: Option<u32>) -> Command {
        let mut command = Command::new("bwrap");
        command.args([
            "--unshare-user",
            "--uid",
            "65532",
            "--gid",
            "65532",
            "--die-with-parent",
            "--tmpfs",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]);
        for entry in std::fs::read_dir("/").unwrap().map(|entry| entry.unwrap().path()) {
            let ours = ["etc", "tmp", "var", "run", "proc", "dev", "sys"].iter().any(|name| entry == Path::new("/").join(name));
            if ours {
                continue;
            }
            match std::fs::read_link(&entry) {
                Ok(to) => command.arg("--symlink").arg(to).arg(entry),
                Err(_) => command.arg("--ro-bind").arg(&entry).arg(entry),
            };
        }
        for file in ["hosts", "nsswitch.conf", "resolv.conf", "ssl", "ld.so.cache", "alternatives"] {
            command.args(["--ro-bind-try", &format!("/etc/{file}"), &format!("/etc/{file}")]);
        }
        // The image's user: ssh wants a name.
        command.arg("--ro-bind").arg(self.volume(PASSWD)).arg(PASSWD);
        for (path, read_only) in &pod.mounts {
            let volume = self.volume(path);
            match state {
                Some(bytes) if path == STATE => drop(command.args(["--size", &bytes.to_string(), "--tmpfs", path])),
                // What is optional and not there is an empty folder.
                _ if !volume.exists() => drop(command.args(["--dir", path])),
                _ => drop(command.arg(if *read_only { "--ro-bind" } else { "--bind" }).arg(volume).arg(path)),
            }
        }
        command.args(["--remount-ro", "/", "--clearenv", "--setenv", "PATH"]).arg(std::env::var_os("PATH").unwrap());
        for (name, value) in pod.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied()) {
            command.args(["--setenv", name, value]);
        }
        command.arg(env!("CARGO_BIN_EXE_prescale")).args(&pod.args);
        command
    }

    fn run(&self, pod: &Pod) -> Ran {
        Ran::of(&mut self.command(pod, &[], None))
    }
}

#[test]
fn the_base_s_pod_runs() {
    let (node, pod) = (Node::new(), Pod::of(&render(&root().join("manifests/prescale/base"))));
    assert_eq!(pod.args[0], "run");
    let ran = node.run(&pod);
    ran.says(0, &["replicas", "proven by render", "Pushed commit"]);
    assert_eq!(node.small.replicas(), 6);
    // The next one, with the state of the first: nothing is new.
    let again = node.run(&pod);
    again.says(0, &["already as planned"]);
    assert!(!again.out.contains("Pushed"), "{again:?}");
}

#[test]
fn what_overlays_prod_is_made_of_runs() {
    let parts = ["cluster-scope", "github-app", "state-pvc"];
    let listed = read("manifests/prescale/overlays/prod/kustomization.yaml");
    assert!(parts.iter().all(|part| listed.contains(&format!("components/{part}\n"))), "{listed}");
    let (node, pod) = (Node::new(), Pod::of(&render(&root().join("manifests/prescale/overlays/prod"))));
    assert!(pod.mounts.contains(&("/run/secrets/prescale/prescale-github-app".into(), true)), "{:?}", pod.mounts);
    node.run(&pod).says(0, &["proven by render", "Pushed commit"]);
    assert_eq!(node.small.replicas(), 6);
}

#[test]
fn overlays_prod_opens_a_pull_request_as_its_app_by_its_own_configuration() {
    let node = Node::with(Small::by("pullRequest", 4, "signal: requests, capacityPerReplica: 10"));
    node.history(9); // the shipped gate wants a week
    std::fs::create_dir(node.small.path().join("shop")).unwrap();
    std::os::unix::fs::symlink("../config.git", node.small.path().join("shop/config.git")).unwrap();
    let forge = Forge::start(&node.small.bare());
    let key = node.volume("/run/secrets/prescale/prescale-github-app");
    std::fs::create_dir(&key).unwrap();
    let made =
        Command::new("openssl").args(["genrsa", "-traditional", "-out"]).arg(key.join("private-key.pem")).arg("2048").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // Its own configuration, but for the addresses of others, and history from files instead of a Prometheus.
    let mut config = read("manifests/prescale/overlays/prod/prescale.yaml");
    for (theirs, ours) in [
        ("https://git.example.com/platform/config.git", format!("{}/shop/config.git", node.git.base())),
        ("https://git.example.com/api/v3", forge.api()),
        ("prometheus:\n    url: http://prometheus-operated.monitoring.svc:9090", format!("files: {STATE}/history")),
    ] {
        assert!(config.contains(theirs), "{theirs}");
        config = config.replace(theirs, &ours);
    }
    std::fs::write(node.volume(CONFIG), config).unwrap();
    let pod = Pod::of(&render(&root().join("manifests/prescale/overlays/prod")));
    let doctor = Pod {
        args: ["doctor", "--config", CONFIG].map(ToOwned::to_owned).into(),
        ..Pod::of(&render(&root().join("manifests/prescale/overlays/prod")))
    };
    node.run(&doctor).says(0, &[&format!("ok configuration {CONFIG}"), "ok repository branch `main`", "ok github shop/config"]);
    node.run(&pod).says(0, &["Opened pull request #1"]);
    assert_eq!(node.small.replicas(), 4);
    let pull = forge.pull(1);
    assert_eq!((pull.head.as_str(), pull.base.as_str()), ("prescale/main/floors", "main"));
    node.run(&pod).says(0, &["#1"]);
    assert_eq!(forge.pulls().len(), 1);
    // Without the Secret nothing is done in anybody's name.
    std::fs::remove_dir_all(&key).unwrap();
    node.run(&pod).says(2, &["/run/secrets/prescale/prescale-github-app/private-key.pem"]);
    node.run(&doctor).says(1, &["fail repository mend `github` first", "fail github", "private-key.pem"]);
}

#[test]
fn a_pod_with_its_state_in_a_bucket_runs_and_misses_its_secret_by_name() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(S3::start());
    let (node, mut pod) = (Node::new(), Pod::of(&with_components("manifests/prescale", "base", &["state-s3"])));
    assert_eq!(pod.secrets, ["prescale-s3"]);
    let endpoint = [("AWS_ENDPOINT_URL", store.base.as_str()), ("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "eu-central-1")];
    pod.env.insert("PRESCALE__STATE__URL".into(), "s3://state/prescale".into());
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let ran = Ran::of(&mut node.command(&pod, &[&endpoint[..], &keys[..]].concat(), None));
    ran.says(0, &["Pushed commit"]);
    assert!(runtime.block_on(store.keys()).iter().any(|key| key.starts_with("prescale/records/")));
    // Without the Secret there is nobody to ask for a key on this machine.
    Ran::of(&mut node.command(&pod, &endpoint, None)).says(1, &["the state `s3://state/prescale`", "the Secret `prescale-s3`"]);
}

#[test]
fn the_overlay_to_begin_with_writes_nothing() {
    let (node, pod) = (Node::new(), Pod::of(&render(&root().join("manifests/prescale/overlays/dev"))));
    node.run(&pod).says(0, &["replicas", "proven by render"]);
    assert_eq!(node.small.replicas(), 4);
}

#[test]
fn the_token_of_its_service_account_reads_the_cluster_around_a_pod() {
    let (ours, other) = (Authority::new("kubernetes"), Authority::new("another"));
    let api = KubeApi::start_tls(ours.identity("127.0.0.1"));
    let port = api.address().port().to_string();
    let around = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", port.as_str())];
    let rendered = with_components("manifests/prescale", "base", &["cluster-scope"]);
    api.allow(&rendered);
    api.put(objects::deployment("shop", "web", 4, 4));
    api.put(objects::quota("shop", &[("pods", "5", "4")]));

    let node = Node::new();
    let account = node.volume(ACCOUNT);
    std::fs::create_dir(&account).unwrap();
    for (name, text) in [("ca.crt", ours.pem.as_str()), ("namespace", "prescale"), ("token", TOKEN)] {
        std::fs::write(account.join(name), text).unwrap();
    }
    let run = |rendered: &str, paused: &str| {
        let environment = [&around[..], &[("PRESCALE__PAUSED", paused)]].concat();
        Ran::of(&mut node.command(&Pod::of(rendered), &environment, None))
    };

    // Without a token no cluster is read, although there is one.
    run(&render(&root().join("manifests/prescale/base")), "true").says(0, &["1 held"]);
    assert!(api.log().is_empty());
    // One that it cannot trust, or that does not know the token, is told, once.
    std::fs::write(account.join("ca.crt"), &other.pem).unwrap();
    let mistrusted = run(&rendered, "true");
    mistrusted.says(0, &["does not answer", "invalid peer certificate", "Without it:"]);
    assert_eq!(mistrusted.out.matches("does not answer").count(), 1, "{mistrusted:?}");
    std::fs::write(account.join("ca.crt"), &ours.pem).unwrap();
    std::fs::write(account.join("token"), "expired").unwrap();
    run(&rendered, "true").says(0, &["(401)", "renew those of", ". Without it:"]);
    // With what the kubelet mounts.
    std::fs::write(account.join("token"), TOKEN).unwrap();
    run(&rendered, "false").says(0, &["Pushed commit"]);
    assert_eq!(node.small.replicas(), 5, "the quota leaves room for one");
    assert_eq!(api.writes(), 0);
}

#[test]
fn a_remote_base_is_fetched_over_ssh_with_the_key_of_the_secret() {
    let (ssh, small) = (GitSsh::start(), Small::new(4, "signal: requests, capacityPerReplica: 10"));
    let base = small.path().join("base.git");
    git(small.path(), &["clone", "-q", "--bare", "config.git", "base.git"]);
    let put = |repository: &Path, path: &str, text: &str| commit_at(repository, "main", path, text, start());
    put(&base, "base/kustomization.yaml", "configMapGenerator: [{name: settings, literals: [a=b]}]\n");
    let remote = format!("resources: [web.yaml, '{}//base?ref=main']\n", ssh.url(&base));
    put(&small.bare(), "overlays/prod/kustomization.yaml", &remote);
    let (node, pod) = (Node::with(small), Pod::of(&render(&root().join("manifests/prescale/base"))));
    std::fs::copy(ssh.path("known_hosts"), node.volume(SECRET).join("known_hosts")).unwrap();
    // Without the key it does not render, and so nothing is written.
    node.run(&pod).says(0, &["does not render"]);
    assert_eq!(node.small.replicas(), 4);
    std::fs::copy(ssh.path("user_key"), node.volume(SECRET).join("ssh-key")).unwrap();
    node.run(&pod).says(0, &["proven by render", "Pushed commit"]);
    assert_eq!(node.small.replicas(), 6);
}

#[test]
fn each_index_of_the_sharded_job_runs() {
    let (node, pod) = (Node::new(), Pod::of(&with_components("manifests/prescale", "base", &["sharded"])));
    assert_eq!(pod.env["PRESCALE__SHARD__COUNT"], pod.completions.to_string());
    let pushed = (0..pod.completions).filter(|index| {
        let ran = Ran::of(&mut node.command(&pod, &[("PRESCALE__SHARD__INDEX", &index.to_string())], None));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(node.volume(STATE).join(format!("shards/{index}-of-4")).is_dir());
        ran.out.contains("Pushed commit")
    });
    assert_eq!(pushed.count(), 1, "the workload is one shard's");
    assert_eq!(node.small.replicas(), 6);
}

#[test]
fn what_a_configuration_names_is_mounted() {
    let paths = regex::Regex::new(r"/(?:run|etc|var)/[^\s,\]]+").unwrap();
    for folder in kustomizations("Kustomization").iter().filter(|folder| folder.starts_with("manifests/prescale/")) {
        let pod = Pod::of(&render(&root().join(folder)));
        let config = read(&format!("{folder}/prescale.yaml"));
        let mut named = 0;
        for path in config.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| paths.find_iter(line)) {
            named += 1;
            let mounted = pod.mounts.iter().any(|(at, _)| Path::new(path.as_str()).starts_with(at));
            assert!(mounted, "{folder}: {} is not mounted", path.as_str());
        }
        assert!(named >= 2, "{folder}");
        let file: serde_yaml::Value = serde_yaml::from_str(&config).unwrap();
        let environment = std::collections::HashMap::new();
        let path = root().join(folder).join("prescale.yaml");
        prescale::config::Config::load(Some(&path), environment, &[]).unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert!(file["decision"]["every"] == "10m", "as the schedule says");
    }
}

#[test]
fn what_is_wrong_with_a_pod_is_named_in_its_log() {
    let pod = Pod::of(&render(&root().join("manifests/prescale/base")));
    let wrong = |spoil: &dyn Fn(&Node), code: i32, words: &[&str]| {
        let node = Node::new();
        spoil(&node);
        node.run(&pod).says(code, words);
        assert_eq!(node.small.replicas(), 4, "{words:?}");
    };
    let password = |node: &Node| node.volume(SECRET).join("password");
    // The Secret is not there; it lacks the key; the token in it has expired.
    wrong(&|node| std::fs::remove_dir_all(node.volume(SECRET)).unwrap(), 2, &[&format!("{SECRET}/password"), "cannot be used"]);
    wrong(&|node| std::fs::write(password(node), "").unwrap(), 2, &[&format!("{SECRET}/password"), "empty"]);
    wrong(&|node| std::fs::write(password(node), "expired").unwrap(), 1, &["did not accept who we are", "`passwordFile`"]);
    // Git cannot be reached.
    wrong(
        &|node| node.configure("http://localhost:9/config.git"),
        1,
        &["cannot reach http://localhost:9/config.git", "the network and the proxy"],
    );
    wrong(
        &|node| node.configure("http://nowhere.invalid/config.git"),
        1,
        &["cannot reach http://nowhere.invalid/config.git", "the host name"],
    );
    // The configuration is not there, or not what it should be.
    wrong(&|node| std::fs::remove_file(node.volume(CONFIG)).unwrap(), 2, &[CONFIG]);
    wrong(&|node| std::fs::write(node.volume(CONFIG), "repositry: {}\n").unwrap(), 2, &["did you mean `repository`?"]);
}

#[test]
fn a_volume_without_room_is_named() {
    let rendered = with_components("manifests/prescale", "base", &["state-pvc"]);
    let (node, mut pod) = (Node::new(), Pod::of(&rendered));
    let history = node.volume(STATE).join("history");
    // The volume of the state is small, so that the history lies elsewhere.
    std::fs::rename(history, node.volume("/tmp").join("history")).unwrap();
    pod.env.insert("PRESCALE__METRICS__FILES".into(), "/tmp/history".into());
    let ran = Ran::of(&mut node.command(&pod, &[], Some(16 << 10)));
    ran.says(1, &[STATE, "room"]);
    assert_eq!(node.small.replicas(), 4);
    pod.args = ["doctor", "--config", CONFIG].map(ToOwned::to_owned).into();
    Ran::of(&mut node.command(&pod, &[], Some(16 << 10))).says(1, &["fail state cannot write into", "is there space"]);
}

#[test]
fn a_second_cronjob_on_one_state_says_so_and_writes_nothing() {
    let (node, pod) = (Node::new(), Pod::of(&with_components("manifests/prescale", "base", &["state-pvc"])));
    node.git.fault("info/refs", Fault::Hang);
    let mut first = node.command(&pod, &[], None).stdout(std::process::Stdio::null()).spawn().unwrap();
    while node.git.log().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    node.run(&pod).says(1, &["is in use by another run", STATE]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(node.small.replicas(), 4);
    // One after the other, each looks well: the second one tells of the first.
    node.git.heal();
    assert!(!node.run(&pod).err.contains("a second CronJob"));
    node.run(&pod).says(0, &["two runs on this state decided", "is there a second CronJob?"]);
}

#[test]
fn a_pod_that_is_ended_ends_at_once_and_the_next_one_goes_on() {
    let (node, pod) = (Node::new(), Pod::of(&render(&root().join("manifests/prescale/base"))));
    node.git.fault("info/refs", Fault::Hang);
    let child = Command::new(env!("CARGO_BIN_EXE_prescale"))
        .args(["run", "--config", node.volume(CONFIG).to_str().unwrap()])
        .env("PRESCALE__REPOSITORY__PASSWORD_FILE", node.volume(SECRET).join("password"))
        .env("PRESCALE__STATE__PATH", node.volume(STATE))
        .env("PRESCALE__METRICS__FILES", node.volume(STATE).join("history"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while node.git.log().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let asked = std::time::Instant::now();
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(143));
    assert!(asked.elapsed().as_secs() < 20, "within the grace of a pod, with room for a slow machine");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("stopped by a signal"));
    node.git.heal();
    node.run(&pod).says(0, &["Pushed commit"]);
}
