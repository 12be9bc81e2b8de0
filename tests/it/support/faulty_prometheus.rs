//! A server that speaks Prometheus' API and misbehaves as told, counting what it is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// One way to answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// JSON as it is, with status 200.
    Json(&'static str),
    /// No series.
    Empty,
    /// A status and a text.
    Status(u16, &'static str),
    /// An API error with this status, as Prometheus gives it.
    Api(u16, &'static str),
    /// 429 with `Retry-After` in seconds.
    Busy(u64),
    /// Nothing for this long.
    Slow(Duration),
    /// A connection that breaks within the body.
    BreaksOff,
    /// A login page with status 200.
    LoginPage,
    /// A redirect to a login page.
    Redirect,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) form: HashMap<String, String>,
}

/// The server; it ends with the test's runtime.
pub(crate) struct FaultyPrometheus {
    pub(crate) url: String,
    state: Arc<Mutex<Script>>,
}

struct Script {
    next: VecDeque<Answer>,
    then: Answer,
    by_query: Vec<(&'static str, Answer)>,
    asked: Vec<Asked>,
    under_way: usize,
    most_under_way: usize,
}

impl FaultyPrometheus {
    /// Gives the answers in order, and the last one ever after.
    pub(crate) async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut next: VecDeque<Answer> = answers.into_iter().collect();
        let then = next.pop_back().expect("an answer");
        let script = Script { next, then, by_query: Vec::new(), asked: Vec::new(), under_way: 0, most_under_way: 0 };
        let state = Arc::new(Mutex::new(script));
        let app = axum::Router::new().fallback(answer).with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    /// Queries that contain `text` get this answer instead.
    pub(crate) fn but_for(self, text: &'static str, answer: Answer) -> Self {
        self.state.lock().unwrap().by_query.push((text, answer));
        self
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How many requests were under way at most.
    pub(crate) fn most_under_way(&self) -> usize {
        self.state.lock().unwrap().most_under_way
    }
}

async fn answer(State(state): State<Arc<Mutex<Script>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let form: HashMap<String, String> =
        reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(&body))).unwrap().query_pairs().into_owned().collect();
    let answer = {
        let mut script = state.lock().unwrap();
        script.under_way += 1;
        script.most_under_way = script.most_under_way.max(script.under_way);
        let query = form.get("query").cloned().unwrap_or_default();
        script.asked.push(Asked { path: uri.path().to_owned(), headers, form });
        let special = script.by_query.iter().find(|(text, _)| query.contains(text)).map(|(_, answer)| answer.clone());
        special.or_else(|| script.next.pop_front()).unwrap_or_else(|| script.then.clone())
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let response = respond(answer).await;
    state.lock().unwrap().under_way -= 1;
    response
}

async fn respond(answer: Answer) -> Response {
    let json = |status: u16, body: String| {
        (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    match answer {
        Answer::Json(body) => json(200, body.to_owned()),
        Answer::Empty => json(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned()),
        Answer::Status(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Answer::Api(status, body) => json(status, body.to_owned()),
        Answer::Busy(seconds) => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], "slow down").into_response(),
        Answer::Slow(wait) => {
            tokio::time::sleep(wait).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Answer::BreaksOff => {
            let begin = Ok::<_, std::io::Error>(Bytes::from_static(br#"{"status":"succ"#));
            let body = futures::stream::iter([begin, Err(std::io::Error::other("broken"))]);
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
        }
        Answer::LoginPage => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<html><title>Sign in</title></html>").into_response(),
        Answer::Redirect => (StatusCode::FOUND, [(header::LOCATION, "https://sso.example/login?next=x")]).into_response(),
    }
}
