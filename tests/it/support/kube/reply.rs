//! What is answered.

use serde_json::{Value as Json, json};

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content: &'static str,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(text: String) -> Self {
        Self { status: 200, content: "application/json", text }
    }

    /// No handler is at this path.
    pub(super) fn not_served() -> Self {
        Self { status: 404, content: "text/plain; charset=utf-8", text: "404 page not found\n".to_owned() }
    }

    /// A `Status`, with one more field than all have.
    pub(super) fn failure(code: u16, reason: &str, message: &str, more: Option<(&str, Json)>) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code,
        });
        if let Some((field, value)) = more {
            status[field] = value;
        }
        Self { status: code, ..Self::json(status.to_string()) }
    }

    /// The `Status` of a server that fails.
    pub(super) fn fault(code: u16) -> Self {
        let (reason, message) = match code {
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted, but may still be processing the request"),
            _ => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
        };
        Self::failure(code, reason, message, None)
    }
}
