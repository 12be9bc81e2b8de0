//! The state: what earlier runs recorded, in an object store. Losing it costs warm-up, and vetoes on what was written longer ago than vetoes last.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::model::{Learned, Record, Study, Written};

/// The folder of records within the store.
const RECORDS: &str = "records";
/// The studies within the store: one JSON array.
const STUDIES: &str = "studies.json";
/// The folder of what was learned: one object a signal.
const LEARNED: &str = "learned";
/// The folder of reports on branches that have no pull request.
const REPORTS: &str = "reports";
/// The last value of each field that reached the tracked branch within the store: a line each.
const WRITTEN: &str = "written.jsonl";
/// The folder of what people declined where there is no forge to say so: one object a branch that they deleted.
const DECLINED: &str = "declined";
/// How the second of a run is written as part of a name.
const SECOND: &str = "%Y%m%dT%H%M%SZ";
/// So many bytes are written to see whether it can be done.
const PROBE: usize = 64 << 10;
/// How an instant is written as part of a name.
const INSTANT: &str = "%Y%m%dT%H%M%S%.6fZ";
/// What was learned is learned anew each day; what was not for so long is of a signal that is gone.
const UNUSED: TimeDelta = TimeDelta::days(3);
/// For so long a bucket is asked again that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Objects that are asked for at a time.
const AT_ONCE: usize = 16;
/// Records are kept this long.
const KEEP: TimeDelta = TimeDelta::days(35);

/// Where the state is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The folder of the bare clone, and without a bucket of all else. Default: `prescale-state`.
    pub path: PathBuf,
    /// A bucket instead, as `s3://bucket/prefix`; who asks and where is told as the AWS SDKs are told. Default: none.
    pub url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: PathBuf::from("prescale-state"), url: None }
    }
}

impl Settings {
    /// Opens it. A bucket is not asked yet.
    pub fn open(&self) -> anyhow::Result<Store> {
        match &self.url {
            Some(url) => Store::bucket(url),
            None => Store::open(&self.path),
        }
    }
}

/// An open store.
#[derive(Clone, Debug)]
pub struct Store {
    /// What is kept, of this part.
    objects: Arc<dyn ObjectStore>,
    /// What is kept of all parts.
    whole: Arc<dyn ObjectStore>,
    /// What messages call it.
    label: String,
}

impl Store {
    /// Opens a local folder, which is created where it is missing.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let label = folder.display().to_string();
        let remedy = || format!("cannot use the state folder `{label}`: give a folder that this user may write as `state.path`");
        std::fs::create_dir_all(folder).with_context(remedy)?;
        let objects = LocalFileSystem::new_with_prefix(folder).with_context(remedy)?;
        Ok(Self::new(Arc::new(objects), label))
    }

    /// Opens a bucket by its `s3://` address. Region, keys, roles and another endpoint are found as the AWS SDKs find them: `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ENDPOINT_URL` and so on, or from the instance.
    pub fn bucket(address: &str) -> anyhow::Result<Self> {
        // What is wrong with it may be that it holds a key: it is not repeated.
        let wrong =
            || "cannot use `state.url`: write s3://BUCKET or s3://BUCKET/PREFIX, and give credentials as AWS_… variables".to_owned();
        let url = Url::parse(address).with_context(wrong)?;
        let prefix = Key::from_url_path(url.path()).with_context(wrong)?;
        let bare = url.scheme() == "s3" && url.host_str().is_some() && url.username().is_empty() && url.password().is_none();
        anyhow::ensure!(bare && url.query().is_none(), wrong());
        super::tls::install_provider();
        let retry = RetryConfig { max_retries: 4, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let bucket = AmazonS3Builder::from_env().with_url(address).with_retry(retry).build().with_context(wrong)?;
        Ok(Self::new(Arc::new(PrefixStore::new(bucket, prefix)), address.to_owned()))
    }

    fn new(objects: Arc<dyn ObjectStore>, label: String) -> Self {
        Self { whole: Arc::clone(&objects), objects, label }
    }

    /// A part of it, in which nothing of the rest is seen.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self {
            objects: Arc::new(PrefixStore::new(Arc::clone(&self.whole), name)),
            whole: Arc::clone(&self.whole),
            label: format!("{}/{name}", self.label),
        }
    }

    /// What it is a part of.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { objects: Arc::clone(&self.whole), ..self.clone() }
    }

    /// What to do where it cannot be read.
    fn hint(&self) -> &'static str {
        if self.label.starts_with("s3://") {
            ": are its name, region and credentials right (AWS_… variables; in a cluster the Secret `prescale-s3`, or web identity)?"
        } else {
            ": may this user read it?"
        }
    }

    /// What messages call it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Tries out whether the state can be written: more than an empty file, which a full volume takes.
    pub async fn probe(&self) -> anyhow::Result<()> {
        let context = || format!("cannot write into the state `{}`: is there space, and may this user write?", self.label);
        let key = Key::from(format!("probe-{}", std::process::id()));
        self.objects.put(&key, vec![b'.'; PROBE].into()).await.with_context(context)?;
        match self.objects.delete(&key).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()), // another probe of this name did it
            deleted => deleted.with_context(context),
        }
    }

    /// When the runs of the last `span` before `now` decided, in order.
    pub async fn runs(&self, now: DateTime<Utc>, span: TimeDelta) -> anyhow::Result<Vec<DateTime<Utc>>> {
        let at = |key: &Key| {
            let (at, _) = key.filename()?.split_once('-')?;
            Some(NaiveDateTime::parse_from_str(at, SECOND).ok()?.and_utc())
        };
        let from = now - span;
        let offset = Key::from(format!("{RECORDS}/{}/{}", from.format("%Y-%m-%d"), from.format(SECOND)));
        let keys = self.listed(self.objects.list_with_offset(Some(&Key::from(RECORDS)), &offset)).await?;
        Ok(keys.iter().filter_map(at).filter(|at| *at < now).collect())
    }

    /// Writes one run's records as one new object of JSON lines, and forgets what is too old.
    pub async fn put(&self, at: DateTime<Utc>, records: &[Record]) -> anyhow::Result<()> {
        let mut lines = String::new();
        for record in records {
            writeln!(lines, "{}", serde_json::to_string(record)?)?;
        }
        // Two runs at one second differ in what they recorded; a re-run of the same inputs writes the same object.
        let digest = Sha256::digest(lines.as_bytes());
        let name = format!("{RECORDS}/{}/{}-{:02x}{:02x}.jsonl", at.format("%Y-%m-%d"), at.format(SECOND), digest[0], digest[1]);
        self.objects
            .put(&Key::from(name.as_str()), lines.into_bytes().into())
            .await
            .with_context(|| format!("cannot write `{name}` into the state `{}`: is there space, and may this user write?", self.label))?;
        self.forget(at - KEEP).await
    }

    /// The records of the last `span` before `now`, the oldest first. A line that does not parse is passed over with a warning: an older or
    /// newer version wrote it, and it can be done without.
    pub async fn records(&self, now: DateTime<Utc>, span: TimeDelta) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        let keys = self.keys().await?.into_iter().filter(|key| day_of(key).is_some_and(|day| day >= (now - span).date_naive()));
        // A week has a thousand of them, and a bucket takes its time for each.
        let read = stream::iter(keys).map(async |key: Key| {
            let context = || format!("cannot read `{key}` from the state `{}`{}", self.label, self.hint());
            let bytes = self.objects.get(&key).await.with_context(context)?.bytes().await.with_context(context)?;
            anyhow::Ok((key, bytes))
        });
        let mut read = std::pin::pin!(read.buffered(AT_ONCE));
        while let Some((key, bytes)) = read.try_next().await? {
            for line in String::from_utf8_lossy(&bytes).lines() {
                match serde_json::from_str::<Record>(line) {
                    Ok(record) => records.push(record),
                    Err(error) => tracing::warn!(%key, %error, "passing over a record that does not parse"),
                }
            }
        }
        records.retain(|record| record.at >= now - span && record.at <= now);
        records.sort_by_key(|record| record.at);
        Ok(records)
    }

    /// The studies, by overlay, workload and signal. What does not parse is passed over with a warning: it can be made anew.
    pub async fn studies(&self) -> anyhow::Result<Vec<Study>> {
        let context = || format!("cannot read `{STUDIES}` from the state `{}`{}", self.label, self.hint());
        let bytes = match self.objects.get(&Key::from(STUDIES)).await {
            Ok(object) => object.bytes().await.with_context(context)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(context),
        };
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(state = self.label, %error, "`{STUDIES}` does not parse: workloads are studied anew");
            Vec::new()
        });
        let study = |entry| {
            serde_json::from_value(entry).inspect_err(|error| tracing::warn!(%error, "passing over a study that does not parse")).ok()
        };
        Ok(entries.into_iter().filter_map(study).collect())
    }

    /// Keeps studies beside those of other workloads, and forgets what is too old. Writes nothing where there is nothing new.
    pub async fn keep(&self, new: &[Study], now: DateTime<Utc>) -> anyhow::Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        // Read anew: another run may have kept its own meanwhile.
        let mut studies = self.studies().await?;
        let is_of = |a: &Study, b: &Study| a.key() == b.key();
        studies.retain(|old| !old.is_outdated(now) && !new.iter().any(|new| is_of(old, new)));
        studies.extend_from_slice(new);
        studies.sort_by(|a, b| a.key().cmp(&b.key()));
        let text = serde_json::to_string_pretty(&studies)? + "\n";
        let context = || format!("cannot write `{STUDIES}` into the state `{}`: is there space, and may this user write?", self.label);
        self.objects.put(&Key::from(STUDIES), text.into_bytes().into()).await.map(|_| ()).with_context(context)
    }

    /// Writes the report on a branch of ours, or removes what was there; tells where it is.
    pub async fn put_report(&self, branch: &str, text: Option<&str>) -> anyhow::Result<Option<String>> {
        let name = format!("{REPORTS}/{}.md", branch.replace('/', "-"));
        let key = Key::from(name.as_str());
        let done = match text {
            Some(text) => self.objects.put(&key, text.to_owned().into_bytes().into()).await.map(|_| ()),
            None => match self.objects.delete(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            },
        };
        done.with_context(|| format!("cannot write `{name}` into the state `{}`: is there space, and may this user write?", self.label))?;
        Ok(text.map(|_| format!("{}/{name}", self.label)))
    }

    /// The last values that reached the tracked branch. What does not parse is done without.
    pub async fn written(&self) -> anyhow::Result<Vec<Written>> {
        let text = self.text(WRITTEN).await?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Keeps what was written beside what was written of other fields. Writes nothing where there is nothing new.
    pub async fn keep_written(&self, new: &[Written]) -> anyhow::Result<()> {
        // Read anew: another run may have written meanwhile.
        let kept = self.written().await?;
        let last = Written::last(kept.iter().chain(new));
        if last.values().copied().eq(&kept) {
            return Ok(());
        }
        let mut lines = String::new();
        for one in last.values() {
            writeln!(lines, "{}", serde_json::to_string(one)?)?;
        }
        let context = || format!("cannot write `{WRITTEN}` into the state `{}`: is there space, and may this user write?", self.label);
        self.objects.put(&Key::from(WRITTEN), lines.into_bytes().into()).await.map(|_| ()).with_context(context)
    }

    /// The report on a branch of ours.
    pub async fn report(&self, branch: &str) -> anyhow::Result<Option<String>> {
        self.text(&format!("{REPORTS}/{}.md", branch.replace('/', "-"))).await
    }

    /// What people declined, and when, by deleting a branch of ours.
    pub async fn declined(&self) -> anyhow::Result<Vec<(DateTime<Utc>, String)>> {
        let prefix = Key::from(DECLINED);
        let context = || format!("cannot list `{DECLINED}` of the state `{}`{}", self.label, self.hint());
        let found: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await.with_context(context)?;
        let mut declined = Vec::new();
        for key in found.into_iter().map(|object| object.location) {
            if let (Some(at), Some(text)) = (instant_of(&key), self.text(key.as_ref()).await?) {
                declined.push((at, text));
            }
        }
        Ok(declined)
    }

    /// Keeps what people declined, and forgets what they did before `forget`.
    pub async fn decline(&self, at: DateTime<Utc>, what: &str, forget: DateTime<Utc>) -> anyhow::Result<()> {
        let digest = Sha256::digest(what.as_bytes());
        let name = format!("{DECLINED}/{}-{:02x}{:02x}", at.format(INSTANT), digest[0], digest[1]);
        let context = || format!("cannot write `{name}` into the state `{}`: is there space, and may this user write?", self.label);
        self.objects.put(&Key::from(name.as_str()), what.to_owned().into_bytes().into()).await.with_context(context)?;
        self.forget_instants(DECLINED, forget).await;
        Ok(())
    }

    /// An object's text; `None` where there is none.
    async fn text(&self, name: &str) -> anyhow::Result<Option<String>> {
        let context = || format!("cannot read `{name}` from the state `{}`{}", self.label, self.hint());
        match self.objects.get(&Key::from(name)).await {
            Ok(object) => Ok(Some(String::from_utf8_lossy(&object.bytes().await.with_context(context)?).into_owned())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(context),
        }
    }

    /// What an earlier run learned under a name. What cannot be read is learned anew.
    pub async fn learned(&self, name: &str) -> Option<Vec<u8>> {
        match self.objects.get(&Key::from_iter([LEARNED, name])).await {
            Ok(object) => Some(object.bytes().await.ok()?.into()),
            Err(error) => {
                tracing::debug!(name, %error, "nothing learned is at hand");
                None
            }
        }
    }

    /// Keeps what was learned instead of what was under its name.
    pub async fn keep_learned(&self, learned: &Learned) -> anyhow::Result<()> {
        let put = self.objects.put(&Key::from_iter([LEARNED, learned.name.as_str()]), learned.bytes.clone().into()).await;
        put.map(|_| ()).with_context(|| format!("cannot write into `{LEARNED}` of the state `{}`", self.label))
    }

    /// Forgets what was learned of signals that are gone.
    pub async fn forget_learned(&self, now: DateTime<Utc>) {
        let prefix = Key::from(LEARNED);
        let old = self.objects.list(Some(&prefix)).try_filter(|object| std::future::ready(object.last_modified < now - UNUSED));
        let forgotten =
            old.map_err(anyhow::Error::from).try_for_each(async |object| Ok(self.objects.delete(&object.location).await?)).await;
        if let Err(error) = forgotten {
            tracing::warn!(state = self.label, %error, "cannot clean up what was learned of signals that are gone");
        }
    }

    /// The instants that runs noted under a name.
    pub async fn instants(&self, name: &str) -> anyhow::Result<Vec<DateTime<Utc>>> {
        let prefix = Key::from(name);
        let listed = self.objects.list(Some(&prefix)).try_filter_map(|object| std::future::ready(Ok(instant_of(&object.location))));
        listed.try_collect().await.with_context(|| format!("cannot list `{name}` of the state `{}`{}", self.label, self.hint()))
    }

    /// Notes an instant under a name. Each is an object of its own, so that runs at the same time lose none.
    pub async fn note(&self, name: &str, at: DateTime<Utc>) -> anyhow::Result<()> {
        let key = Key::from(format!("{name}/{}-{}", at.format(INSTANT), std::process::id()));
        let put = self.objects.put(&key, Vec::new().into()).await;
        put.map(|_| ()).with_context(|| format!("cannot write into `{name}` of the state `{}`", self.label))
    }

    /// Forgets the instants under a name that are before this one.
    pub async fn forget_instants(&self, name: &str, before: DateTime<Utc>) {
        let prefix = Key::from(name);
        let is_old = |key: &Key| instant_of(key).is_some_and(|at| at < before);
        let old = self.objects.list(Some(&prefix)).try_filter(|object| std::future::ready(is_old(&object.location)));
        let forgotten = old.try_for_each(async |object| self.objects.delete(&object.location).await).await;
        if let Err(error) = forgotten {
            tracing::debug!(state = self.label, name, %error, "what has passed stays noted");
        }
    }

    async fn keys(&self) -> anyhow::Result<Vec<Key>> {
        self.listed(self.objects.list(Some(&Key::from(RECORDS)))).await
    }

    async fn listed(&self, list: BoxStream<'static, object_store::Result<ObjectMeta>>) -> anyhow::Result<Vec<Key>> {
        let context = || format!("cannot list the state `{}`{}", self.label, self.hint());
        let listed: Vec<_> = list.try_collect().await.with_context(context)?;
        let mut keys: Vec<Key> = listed.into_iter().map(|object| object.location).collect();
        keys.sort();
        Ok(keys)
    }

    async fn forget(&self, before: DateTime<Utc>) -> anyhow::Result<()> {
        for key in self.keys().await?.iter().filter(|key| day_of(key).is_some_and(|day| day < before.date_naive())) {
            self.objects.delete(key).await.with_context(|| format!("cannot delete `{key}` from the state `{}`", self.label))?;
        }
        Ok(())
    }
}

/// When what a key names was, or is to be.
fn instant_of(key: &Key) -> Option<DateTime<Utc>> {
    let (at, _) = key.filename()?.rsplit_once('-')?;
    Some(chrono::NaiveDateTime::parse_from_str(at, INSTANT).ok()?.and_utc())
}

fn day_of(key: &Key) -> Option<NaiveDate> {
    key.parts().nth(1)?.as_ref().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{WorkloadId, WorkloadKind};

    fn record(at: DateTime<Utc>) -> Record {
        let workload = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() };
        let overlay = Some(crate::model::RepoPath::root());
        Record {
            at,
            overlay,
            workload,
            model: None,
            peak: Some(1.5),
            floor: None,
            changed: vec![],
            held: vec!["unchanged".into()],
            commit: None,
            settled: None,
        }
    }

    #[tokio::test]
    async fn records_come_back_in_order_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("new/state")).unwrap();
        let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        for days in [0, 1, 40] {
            store.put(now - TimeDelta::days(days), &[record(now - TimeDelta::days(days))]).await.unwrap();
        }
        store.put(now, &[record(now)]).await.unwrap(); // the same inputs: the same object
        std::fs::write(folder.path().join("new/state/records/2026-11-22/broken.jsonl"), "{\"at\": 3}\n").unwrap();
        let read = store.records(now, TimeDelta::days(2)).await.unwrap();
        assert_eq!(read, [record(now - TimeDelta::days(1)), record(now)]);
        assert!(
            !folder.path().join("new/state/records").join((now - TimeDelta::days(40)).format("%Y-%m-%d").to_string()).join("x").exists()
        );
        assert_eq!(store.records(now, TimeDelta::days(400)).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn studies_are_kept_beside_others_and_broken_ones_are_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        let study = |name: &str, days| {
            let text = format!(
                r#"{{"overlay": "overlays/prod", "workload": {{"namespace": "shop", "kind": "Deployment", "name": "{name}"}},
                "at": "{}", "replayed": 1209600, "subject": {{"signal": "cpu", "capacity": 0.1, "aim": {{"price": 100.0}}, "hpa": null,
                "most": null, "tuned": false, "every": 600, "lead": 360, "calendar": {{}}}}, "model": "linear", "price": 25.0, "stretch": 1.0, "hpa": null,
                "models": [{{"model": "linear", "cost": 3.3, "short": 0.001}}], "gain": 0.0}}"#,
                (now - TimeDelta::days(days)).to_rfc3339()
            );
            serde_json::from_str::<Study>(&text).unwrap()
        };
        assert_eq!(store.studies().await.unwrap(), []);
        store.keep(&[], now).await.unwrap();
        assert!(!folder.path().join(STUDIES).exists(), "nothing new, nothing written");
        store.keep(&[study("web", 8), study("old", 36)], now - TimeDelta::days(8)).await.unwrap();
        store.keep(&[study("web", 0), study("api", 0)], now).await.unwrap();
        assert_eq!(store.studies().await.unwrap(), [study("api", 0), study("web", 0)]);
        let mut entries: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(folder.path().join(STUDIES)).unwrap()).unwrap();
        entries[0]["price"] = "high".into();
        std::fs::write(folder.path().join(STUDIES), serde_json::to_vec(&entries).unwrap()).unwrap();
        assert_eq!(store.studies().await.unwrap(), [study("web", 0)]);
        std::fs::write(folder.path().join(STUDIES), "[{").unwrap();
        assert_eq!(store.studies().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_was_learned_is_kept_until_its_signal_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let learned = |bytes: &[u8]| Learned { name: "0123".into(), bytes: bytes.into() };
        assert_eq!(store.learned("0123").await, None);
        store.keep_learned(&learned(b"first")).await.unwrap();
        store.keep_learned(&learned(b"second")).await.unwrap();
        let now: DateTime<Utc> = std::fs::metadata(folder.path().join("learned/0123")).unwrap().modified().unwrap().into();
        store.forget_learned(now + TimeDelta::days(2)).await;
        assert_eq!((store.learned("0123").await, store.learned("other").await), (Some(b"second".to_vec()), None));
        store.forget_learned(now + TimeDelta::days(4)).await;
        assert_eq!(store.learned("0123").await, None);
    }

    #[tokio::test]
    async fn instants_are_noted_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (early, late) = (at("2026-11-22T10:00:00.000001Z"), at("2026-11-22T10:00:00.5Z"));
        assert!(store.instants("github/writes").await.unwrap().is_empty());
        for noted in [late, early, late] {
            store.note("github/writes", noted).await.unwrap();
        }
        let mut noted = store.instants("github/writes").await.unwrap();
        noted.sort_unstable();
        assert_eq!(noted, [early, late]);
        store.forget_instants("github/writes", late).await;
        assert_eq!(store.instants("github/writes").await.unwrap(), [late]);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(&file.path().join("state")).unwrap_err();
        assert!(error.to_string().contains("state.path"), "{error}");
    }
}
