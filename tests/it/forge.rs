//! The fake GitHub itself: it does as GitHub does.

use std::time::Duration;

use base64::Engine;
use chrono::{TimeZone, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::support::forge::{BOT, Fault, Forge, INSTALLATION, TOKEN};
use crate::support::git::{Upstream, git};

const PULLS: &str = "/repos/shop/config/pulls";

/// A forge, and a client of it.
struct World {
    upstream: Upstream,
    forge: Forge,
    client: reqwest::Client,
    token: String,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Json,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Fails unless it has this status and says these words.
    fn says(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.to_string().contains(words), "`{words}` is not in {self:?}");
    }
}

impl World {
    fn new() -> Self {
        let upstream = Upstream::new();
        let forge = Forge::start(&upstream.bare());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().user_agent("test").no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { upstream, forge, client, token: TOKEN.to_owned() }
    }

    async fn try_ask(&self, method: Method, path: &str, body: Option<&Json>) -> reqwest::Result<Answer> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.forge.api()) };
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Json::String(text));
        Ok(Answer { status, headers, body })
    }

    async fn get(&self, path: &str) -> Answer {
        self.try_ask(Method::GET, path, None).await.unwrap()
    }

    async fn post(&self, path: &str, body: Json) -> Answer {
        self.try_ask(Method::POST, path, Some(&body)).await.unwrap()
    }

    async fn patch(&self, path: &str, body: Json) -> Answer {
        self.try_ask(Method::PATCH, path, Some(&body)).await.unwrap()
    }

    /// Opens a pull request for a new branch.
    async fn open(&self, branch: &str) -> u64 {
        self.forge.commit_on(branch, &format!("{branch}.yaml"), "a: 1\n");
        let answer = self.post(PULLS, json!({"title": branch, "head": branch, "base": "main", "body": "Why"})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["number"].as_u64().unwrap()
    }

    /// The numbers of what a list holds.
    async fn list(&self, query: &str) -> Vec<u64> {
        let answer = self.get(&format!("{PULLS}?{query}")).await;
        answer.body.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_pull_request_lives_as_on_github() {
    let world = World::new();
    let new = |head: &str| json!({"title": "Raise", "head": head, "base": "main"});
    world.post(PULLS, new("prescale/a")).await.says(422, r#"{"resource":"PullRequest","field":"head","code":"invalid"}"#);
    world.post(PULLS, new("staging")).await.says(422, "No commits between main and staging");
    world.post(PULLS, json!({"head": "staging", "base": "main"})).await.says(422, "missing_field");
    let head = world.forge.commit_on("prescale/a", "a.yaml", "a: 1\n");
    let made = world.post(PULLS, json!({"title": "Raise", "head": "prescale/a", "base": "main", "body": "Why", "draft": true})).await;
    made.says(201, &head);
    world.post(PULLS, new("shop:prescale/a")).await.says(422, "A pull request already exists for shop:prescale/a.");
    let tip = world.upstream.tip();
    let shown = |pull: &Json| {
        let [head, base] = ["head", "base"].map(|side| (pull[side]["ref"].clone(), pull[side]["sha"].clone()));
        (pull["state"].clone(), pull["draft"].clone(), pull["merged_at"].clone(), head, base)
    };
    let expected = (json!("open"), json!(true), json!(null), (json!("prescale/a"), json!(head)), (json!("main"), json!(tip)));
    assert_eq!(shown(&made.body), expected);
    assert_eq!(made.body["user"]["login"], BOT);
    assert_eq!((&made.body["changed_files"], &made.body["additions"], &made.body["mergeable"]), (&json!(1), &json!(1), &json!(true)));

    // The branch goes on, and so does what is shown.
    world.forge.at(Utc.with_ymd_and_hms(2026, 11, 2, 6, 0, 0).unwrap());
    let head = world.forge.commit_on("prescale/a", "a.yaml", "a: 2\n");
    let one = format!("{PULLS}/1");
    let now = world.get(&one).await.body;
    assert_eq!((&now["head"]["sha"], &now["updated_at"]), (&json!(head), &json!("2026-11-02T06:00:00Z")));
    world.patch(&one, json!({"title": "Raise two", "body": "Because", "base": "staging"})).await.says(200, "Because");
    world.forge.edit_body(1, |body| format!("{body}\n\nLooks good."));
    world.get(&one).await.says(200, "Because\\n\\nLooks good.");

    // What closes it, and what does not open it again.
    world.patch(&one, json!({"state": "closed"})).await.says(200, "closed");
    let second = world.post(PULLS, json!({"title": "Again", "head": "prescale/a", "base": "staging"})).await;
    assert_eq!(second.body["number"], 2);
    world.patch(&one, json!({"state": "open"})).await.says(422, "already an open pull request");
    world.forge.close(2);
    world.forge.reopen(1);
    world.forge.delete_branch("prescale/a");
    let gone = world.get(&one).await.body;
    assert_eq!((&gone["state"], &gone["head"]["sha"], &gone["merged"]), (&json!("closed"), &json!(head), &json!(false)));
    world.patch(&one, json!({"state": "open"})).await.says(422, "branch has been deleted");
    world.get(&format!("{PULLS}/9")).await.says(404, "Not Found");

    // Merging by people, with a real commit.
    let third = world.open("prescale/b").await;
    let merge = world.forge.merge(third);
    assert_eq!(world.upstream.tip(), merge);
    assert_eq!(git(&world.upstream.bare(), &["show", "main:prescale/b.yaml"]), "a: 1");
    let merged = world.get(&format!("{PULLS}/{third}")).await.body;
    assert_eq!((&merged["merged"], &merged["state"], &merged["merge_commit_sha"]), (&json!(true), &json!("closed"), &json!(merge)));
    assert_eq!(merged["merged_at"], "2026-11-02T06:00:00Z");
    let fourth = world.open("prescale/c").await;
    let squashed = world.forge.squash(fourth);
    assert_eq!(git(&world.upstream.bare(), &["rev-list", "--parents", "-1", &squashed]), format!("{squashed} {merge}"));
    world.patch(&format!("{PULLS}/{fourth}"), json!({"state": "open"})).await.says(422, "cannot be reopened");

    // Merging by a push, and closing by a push that takes all away.
    let (fifth, sixth) = (world.open("prescale/d").await, world.open("prescale/e").await);
    git(&world.upstream.bare(), &["update-ref", "refs/heads/main", "prescale/d"]);
    git(&world.upstream.bare(), &["update-ref", "refs/heads/prescale/e", &squashed]);
    let state = |number| {
        let pull = world.forge.pull(number);
        (pull.open, pull.merged.is_some())
    };
    assert_eq!((state(fifth), state(sixth)), ((false, true), (false, false)));
    world.upstream.check();
}

#[tokio::test]
async fn lists_filter_sort_and_come_in_pages() {
    let world = World::new();
    for branch in ["a", "b", "c", "d", "e"] {
        world.open(branch).await;
    }
    world.forge.at(Utc.with_ymd_and_hms(2026, 11, 3, 0, 0, 0).unwrap());
    world.forge.close(2);
    assert_eq!(world.list("").await, [5, 4, 3, 1]);
    assert_eq!(world.list("state=all&direction=asc").await, [1, 2, 3, 4, 5]);
    assert_eq!(world.list("state=closed").await, [2]);
    assert_eq!(world.list("state=all&sort=updated&direction=desc&per_page=1").await, [2]);
    assert_eq!(world.list("head=shop:c").await, [3]);
    assert_eq!(world.list("head=else:c").await, [] as [u64; 0]);
    assert_eq!(world.list("head=c").await, [5, 4, 3, 1], "without an owner it filters nothing");
    assert_eq!(world.list("base=staging").await, [] as [u64; 0]);

    // The links lead through all pages.
    let mut seen = Vec::new();
    let mut next = Some(format!("{PULLS}?state=all&direction=asc&per_page=2"));
    while let Some(path) = next {
        let answer = world.get(&path).await;
        seen.extend(answer.body.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()));
        let link = answer.header("link").to_owned();
        next = link.split(", ").find(|link| link.ends_with("rel=\"next\"")).map(|link| link[1..].split('>').next().unwrap().to_owned());
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn labels_people_and_comments_stay() {
    let world = World::new();
    world.open("a").await;
    let issue = "/repos/shop/config/issues/1";
    world.post(&format!("{issue}/labels"), json!({"labels": ["prescale", "hold"]})).await.says(200, "hold");
    world.patch(issue, json!({"labels": ["prescale"], "assignees": ["ann"], "milestone": 1})).await.says(200, "Peak season");
    world.patch(issue, json!({"assignees": ["nobody"]})).await.says(422, "assignees");
    world.patch(issue, json!({"milestone": 7})).await.says(422, "milestone");
    let reviewers = format!("{PULLS}/1/requested_reviewers");
    world.post(&reviewers, json!({"reviewers": ["ben"], "team_reviewers": ["platform"]})).await.says(201, "platform");
    world.post(&reviewers, json!({"reviewers": [BOT]})).await.says(422, "pull request author");
    world.post(&reviewers, json!({"reviewers": ["nobody"]})).await.says(422, "not a collaborator");
    world.post(&format!("{issue}/assignees"), json!({"assignees": ["cleo", "nobody"]})).await.says(201, "cleo");
    world.post(&format!("{issue}/comments"), json!({"body": "Held."})).await.says(201, "Held.");
    world.patch("/repos/shop/config/issues/comments/1", json!({"body": "Held no more."})).await.says(200, "no more");
    world.get(&format!("{issue}/comments")).await.says(200, "Held no more.");
    world.forge.label(1, "urgent");
    world.forge.unlabel(1, "prescale");
    world.get(issue).await.says(200, "urgent");

    let pull = world.forge.pull(1);
    assert_eq!(pull.labels, ["urgent"]);
    assert_eq!(
        (pull.assignees, pull.reviewers, pull.team_reviewers),
        (vec!["ann".into(), "cleo".into()], vec!["ben".into()], vec!["platform".into()])
    );
    assert_eq!(pull.milestone, Some(1));
    assert_eq!((pull.comments[0].author.as_str(), pull.comments[0].body.as_str()), (BOT, "Held no more."));

    // Texts that are too long.
    let long = "é".repeat(65_537);
    world.patch(&format!("{PULLS}/1"), json!({"body": long})).await.says(422, "body is too long (maximum is 65536 characters)");
    world.patch(&format!("{PULLS}/1"), json!({"title": "x".repeat(257)})).await.says(422, "title is too long (maximum is 256 characters)");
    world.post(&format!("{issue}/comments"), json!({"body": long})).await.says(422, "body is too long");
}

#[tokio::test]
async fn graphql_knows_the_merge_queue_and_merging_by_itself() {
    let world = World::new();
    world.open("a").await;
    let api = world.forge.graphql();
    let query = "query($number: Int!) { repository(owner: \"shop\", name: \"config\") { pullRequest(number: $number) { id isInMergeQueue \
                 autoMergeRequest { mergeMethod } mergeStateStatus } } }";
    let ask = async || {
        world.post(&api, json!({"query": query, "variables": {"number": 1}})).await.body["data"]["repository"]["pullRequest"].clone()
    };
    let first = ask().await;
    assert_eq!(
        (&first["isInMergeQueue"], &first["autoMergeRequest"], &first["mergeStateStatus"]),
        (&json!(false), &json!(null), &json!("BLOCKED"))
    );
    let mutation = json!({
        "query": "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: SQUASH}) { pullRequest { id } } }",
        "variables": {"id": first["id"]},
    });
    world.forge.allow_auto_merge(false);
    world.post(&api, mutation.clone()).await.says(200, "Auto merge is not allowed for this repository");
    world.forge.allow_auto_merge(true);
    world.forge.waits_for(1, "clean");
    world.post(&api, mutation.clone()).await.says(200, "clean status");
    world.forge.waits_for(1, "blocked");
    world.post(&api, mutation).await.says(200, "pullRequest");
    world.forge.queue(1);
    let then = ask().await;
    assert_eq!((&then["isInMergeQueue"], &then["autoMergeRequest"]["mergeMethod"]), (&json!(true), &json!("SQUASH")));
    let pull = world.forge.pull(1);
    assert_eq!((pull.auto_merge.as_deref(), pull.queued), (Some("SQUASH"), true));
    assert_eq!(world.forge.mutations().len(), 4, "one pull request and three mutations");
}

#[tokio::test]
async fn only_known_callers_are_let_in() {
    let mut world = World::new();
    world.forge.at(Utc.with_ymd_and_hms(2026, 11, 2, 8, 0, 0).unwrap());
    world.token = "wrong".to_owned();
    world.get(PULLS).await.says(401, "Bad credentials");
    let anonymous = world.client.get(format!("{}{PULLS}", world.forge.api())).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let old_style = world.client.get(format!("{}{PULLS}", world.forge.api())).header("authorization", format!("token {TOKEN}"));
    assert_eq!(old_style.send().await.unwrap().status(), StatusCode::OK);
    let nameless = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}{PULLS}", world.forge.api())).bearer_auth(TOKEN);
    assert_eq!(nameless.send().await.unwrap().status(), StatusCode::FORBIDDEN, "GitHub wants a user agent");

    // An app, its installation, and a token of that.
    let claim = |claims: Json| {
        let encode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{}", encode(r#"{"alg":"RS256","typ":"JWT"}"#), encode(&claims.to_string()), encode("signed"))
    };
    let tokens = format!("/app/installations/{INSTALLATION}/access_tokens");
    for (token, why) in [
        (TOKEN.to_owned(), "could not be decoded"),
        (claim(json!({"iat": 100, "exp": 600})), "issuer"),
        (claim(json!({"iss": "1", "iat": 100})), "expiration time"),
        (claim(json!({"iss": "1", "iat": 100, "exp": 9000})), "too far in the future"),
    ] {
        world.token = token;
        world.post(&tokens, json!({})).await.says(401, why);
    }
    world.token = claim(json!({"iss": "1", "iat": 100, "exp": 640}));
    world.get("/app").await.says(200, "prescale-app");
    world.get("/repos/shop/config/installation").await.says(200, "4242");
    world.get(PULLS).await.says(401, "Bad credentials");
    world.post("/app/installations/9/access_tokens", json!({})).await.says(404, "Not Found");
    world.post(&tokens, json!({"repositories": ["other"]})).await.says(422, "not accessible");
    let app = world.token.clone();
    let issued = world.post(&tokens, json!({"repositories": ["config"], "permissions": {"pull_requests": "write"}})).await;
    issued.says(201, "2026-11-02T09:00:00Z");
    issued.body["token"].as_str().unwrap().clone_into(&mut world.token);
    world.open("a").await;
    assert_eq!(world.forge.pull(1).author, "prescale-app[bot]");
    world.forge.at(Utc.with_ymd_and_hms(2026, 11, 2, 9, 0, 0).unwrap());
    world.get(PULLS).await.says(401, "Bad credentials");
    world.token = app;
    let read = world.post(&tokens, json!({"permissions": {"pull_requests": "read"}})).await;
    read.body["token"].as_str().unwrap().clone_into(&mut world.token);
    world.patch(&format!("{PULLS}/1"), json!({"title": "x"})).await.says(403, "Resource not accessible by integration");
    assert_eq!(world.forge.mutations().len(), 2);
}

#[tokio::test]
async fn limits_are_githubs() {
    let world = World::new();
    world.open("a").await;
    world.forge.limit_creations();
    let comments = "/repos/shop/config/issues/1/comments";
    let mut at = Utc.with_ymd_and_hms(2026, 11, 2, 0, 0, 0).unwrap();
    for _ in 1..80 {
        world.post(comments, json!({"body": "x"})).await.says(201, "x");
    }
    let refused = world.post(comments, json!({"body": "x"})).await;
    refused.says(403, "You have exceeded a secondary rate limit");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(world.get(comments).await.status, 200, "reading goes on");
    for _ in 0..6 {
        at += chrono::Duration::minutes(2);
        world.forge.at(at);
        for _ in 0..70 {
            world.post(comments, json!({"body": "x"})).await.says(201, "x");
        }
    }
    at += chrono::Duration::minutes(2);
    world.forge.at(at);
    world.post(comments, json!({"body": "x"})).await.says(403, "secondary rate limit");

    world.forge.requests_left(1);
    let last = world.get(PULLS).await;
    assert_eq!((last.status, last.header("x-ratelimit-remaining"), last.header("x-ratelimit-reset")), (200, "0", "1793581200"));
    world.get(PULLS).await.says(403, "API rate limit exceeded");
    world.get("/rate_limit").await.says(200, r#""remaining":0"#);
    world.forge.at(at + chrono::Duration::hours(1));
    assert_eq!(world.get(PULLS).await.header("x-ratelimit-remaining"), "4999");
}

#[tokio::test]
async fn what_is_to_go_wrong_goes_wrong() {
    let world = World::new();
    world.forge.commit_on("a", "a.yaml", "a: 1\n");
    let body = json!({"title": "a", "head": "a", "base": "main"});
    let create = async || world.try_ask(Method::POST, PULLS, Some(&body)).await.map(|answer| answer.status).ok();
    world.forge.fault("POST /repos", Fault::DropBefore);
    assert_eq!(create().await, None);
    assert!(world.forge.pulls().is_empty());
    world.forge.fault("POST /repos", Fault::DropAfter);
    assert_eq!((create().await, world.forge.pulls().len()), (None, 1));
    world.forge.fault_times("GET", 1, Fault::Status(429, &[("retry-after", "1")], "slow down"));
    let busy = world.get(PULLS).await;
    assert_eq!((busy.status, busy.header("retry-after"), &busy.body), (429, "1", &json!("slow down")));
    assert_eq!(world.list("").await, [1]);
    world.forge.fault("GET", Fault::Status(502, &[], ""));
    assert_eq!((world.get(PULLS).await.status, world.get(PULLS).await.status), (502, 502));
    world.forge.heal();
    world.forge.fault("state=closed", Fault::First(Box::new(|people| people.close(1))));
    assert_eq!(world.list("state=closed").await, [1]);
    world.forge.fault("GET", Fault::Hang);
    let hung = world.client.get(format!("{}{PULLS}", world.forge.api())).timeout(Duration::from_millis(100)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    let log = world.forge.log();
    let statuses: Vec<_> = log.iter().map(|logged| (logged.method.as_str(), logged.status)).collect();
    let get = |status| ("GET", Some(status));
    assert_eq!(statuses, [("POST", None), ("POST", None), get(429), get(200), get(502), get(502), get(200), ("GET", None)]);
    assert_eq!((log[0].path.as_str(), log[0].body.as_ref(), log[0].token()), (PULLS, Some(&body), Some(TOKEN)));
    assert_eq!(log[6].query, [("state".to_owned(), "closed".to_owned())]);
}

#[tokio::test]
async fn what_github_would_not_understand_is_told() {
    let world = World::new();
    world.open("a").await;
    assert_eq!(world.forge.violations(), [] as [&str; 0]);
    let one = format!("{PULLS}/1");
    let new = json!({"title": "b", "head": "b", "base": "main"});
    let with = |field: &str, value: Json| {
        let mut body = new.clone();
        body[field] = value;
        Some(body)
    };
    for (method, path, body, why) in [
        (Method::POST, PULLS, with("reviewer", json!("ann")), "('reviewer' was unexpected)"),
        (Method::POST, PULLS, with("title", json!(5)), "at `/title`: 5 is not of type \"string\""),
        (Method::POST, PULLS, Some(json!({"title": "b", "head": "b"})), "\"base\" is a required property"),
        (Method::POST, PULLS, None, "there is no body"),
        (Method::PATCH, &one, Some(json!({"state": "merged"})), "\"merged\" is not one of"),
        (Method::PATCH, &one, Some(json!({"title": null})), "null is not of type \"string\""),
        (Method::GET, &format!("{PULLS}?stat=all"), None, "the query has no parameter `stat`"),
        (Method::GET, &format!("{PULLS}?state=opened"), None, "the query's `state` cannot be `opened`"),
        (Method::GET, &format!("{PULLS}?per_page=many"), None, "the query's `per_page` cannot be `many`"),
        (Method::GET, &format!("{PULLS}/one"), None, "the path's `pull_number` cannot be `one`"),
        (Method::GET, &one, Some(json!({"state": "open"})), "there is a body"),
        (Method::PUT, &one, None, "GitHub knows no PUT"),
        (Method::GET, "/repos/shop/config/pull/1", None, "GitHub has no such path"),
        (Method::GET, "/repos/shop/config/branches", None, "the fake was not taught this"),
        (Method::POST, &world.forge.graphql(), Some(json!({"query": "query { viewer { login } }"})), "the fake was not taught this"),
        (Method::POST, &world.forge.graphql(), Some(json!({"mutation": "x"})), "no query"),
    ] {
        world.forge.forget();
        world.try_ask(method, path, body.as_ref()).await.unwrap();
        let told = world.forge.violations().join("\n");
        assert!(told.contains(why), "`{why}` is not in: {told}");
    }
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.forge.check()));
    assert!(wrong.is_err(), "a wrong request fails the test");
    world.forge.forget();
    // Null is understood where GitHub takes it.
    world.patch("/repos/shop/config/issues/1", json!({"milestone": null, "body": null})).await.says(200, "\"body\":null");
}
