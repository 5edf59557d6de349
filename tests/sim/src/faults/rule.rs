//! Defines how a fault is ordered.

use serde::{Deserialize, Serialize};

use crate::api::Route;
use crate::request::{Method, Request};

/// One order: the requests that it applies to, how often, and its fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only requests with this verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Only requests to this kind of path.
    #[serde(default)]
    pub path: PathKind,
    /// Only requests whose body contains this text, as a firewall checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_has: Option<String>,
    /// Only from the nth matching request on, counted from 1; earlier ones pass.
    #[serde(default = "first")]
    pub nth: u32,
    /// For how many requests; by default until the rule is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The fault.
    pub fault: Fault,
}

/// Kinds of paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Every path.
    #[default]
    Any,
    /// `/user`
    User,
    /// `/projects`
    Projects,
    /// `/projects/{id}`
    Project,
    /// `/projects/{id}/folders`
    Folders,
    /// `/projects/{id}/cases`
    Cases,
    /// `/projects/{id}/` `templates`, `fields`, `states`, `tags`, `users`, and `/issues/connections`
    Lookups,
    /// Paths that are not a route.
    Other,
}

/// The fault of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An answer with this status instead of the honest one.
    Status {
        /// The status code.
        status: u16,
        /// Whether the request takes effect nevertheless.
        #[serde(default)]
        after_commit: bool,
        /// The value of `Retry-After`; by default there is no such header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
        /// Whether the body is an HTML page, as from a proxy.
        #[serde(default)]
        html: bool,
        /// How long the answer takes, in milliseconds; with `after_commit` the request takes effect first.
        #[serde(default)]
        delay_ms: u64,
    },
    /// The honest answer, late.
    Slow {
        /// How long the answer takes, in milliseconds.
        ms: u64,
        /// When the request takes effect, even if the caller has gone by then.
        commit: CommitTime,
    },
    /// The honest answer, after the account's faults are replaced or cleared: for tests that do something meanwhile.
    Held {
        /// When the request takes effect, even if the caller has gone by then.
        commit: CommitTime,
    },
    /// The connection is cut.
    Cut {
        /// The moment of the cut.
        at: CutAt,
    },
    /// 302 to a login page; nothing takes effect.
    Redirect {
        /// The address of the page.
        #[serde(default = "login_page")]
        location: String,
    },
    /// 200 with an HTML page.
    Html {
        /// Whether the request takes effect nevertheless.
        #[serde(default)]
        after_commit: bool,
    },
    /// The honest answer without the last entry of its `result`.
    DropLast,
    /// The honest answer with its `result` in reverse order.
    Reorder,
    /// The honest answer with these ids in place of the first ones.
    Ids {
        /// The ids, in the order of the request.
        ids: Vec<u64>,
    },
    /// The honest answer with this many entries in its `result` or its `errors`, those it has again and again.
    Many {
        /// How many.
        entries: usize,
    },
    /// The honest status with a body that is not JSON.
    Garbage,
}

/// When a slow request takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitTime {
    /// At once; then the answer is delayed.
    BeforeDelay,
    /// After the delay, right before the answer: later than a caller may expect.
    AfterDelay,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutAt {
    /// Before the request takes effect.
    BeforeCommit,
    /// After the request took effect, before any byte of the answer.
    AfterCommit,
    /// After the head and half of the body of the honest answer.
    HalfBody,
}

/// The value of a `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date, this many seconds from now.
    DateIn(u64),
    /// An HTTP date, this many seconds ago.
    DateAgo(u64),
    /// A number of seconds with a fraction, given in milliseconds.
    Fraction(u64),
    /// A negative number of seconds.
    Minus(u64),
    /// A number that fits into no integer.
    Huge,
    /// A word.
    Word,
    /// Two headers with numbers of seconds.
    Twice(u64, u64),
}

impl Rule {
    /// Returns a rule for every request, until it is removed.
    pub fn always(fault: Fault) -> Self {
        Self { method: None, path: PathKind::Any, body_has: None, nth: 1, times: None, fault }
    }

    /// Returns the same rule, only for this verb and kind of path.
    #[must_use]
    pub fn on(mut self, method: Method, path: PathKind) -> Self {
        self.method = Some(method);
        self.path = path;
        self
    }

    /// Returns the same rule, only for requests whose body contains this text.
    #[must_use]
    pub fn with_body(mut self, text: &str) -> Self {
        self.body_has = Some(text.to_owned());
        self
    }

    /// Returns the same rule, only for this many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Returns the same rule, from the nth matching request on.
    #[must_use]
    pub fn from_nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    /// Uses the rule once if it applies to this request, and returns its fault.
    pub(crate) fn claim(&mut self, request: &Request) -> Option<Fault> {
        let is_verb = self.method.is_none_or(|method| method == request.method);
        let is_path = self.path == PathKind::Any || self.path == PathKind::of(&request.path);
        let is_content = self.body_has.as_deref().is_none_or(|text| request.body_has(text));
        if !is_verb || !is_path || !is_content || self.times == Some(0) {
            return None;
        }
        if self.nth > 1 {
            self.nth -= 1;
            return None;
        }
        self.times = self.times.map(|left| left - 1);
        Some(self.fault.clone())
    }
}

impl Fault {
    /// Returns an answer with this status, before anything takes effect.
    pub fn status(status: u16) -> Self {
        Self::Status { status, after_commit: false, retry_after: None, html: false, delay_ms: 0 }
    }

    /// Returns an answer with this status, although the request takes effect.
    pub fn status_after_commit(status: u16) -> Self {
        Self::Status { status, after_commit: true, retry_after: None, html: false, delay_ms: 0 }
    }

    /// Returns a page of HTML with this status, as from a proxy, before anything takes effect.
    pub fn page(status: u16) -> Self {
        Self::Status { status, after_commit: false, retry_after: None, html: true, delay_ms: 0 }
    }

    /// Returns 429 with this `Retry-After`, or without one.
    pub fn throttled(retry_after: Option<RetryAfter>) -> Self {
        Self::Status { status: 429, after_commit: false, retry_after, html: false, delay_ms: 0 }
    }
}

impl PathKind {
    /// Returns the kind of a path such as `/api/v1/projects/1/cases`.
    pub fn of(path: &str) -> Self {
        match Route::of(path) {
            None => Self::Other,
            Some(Route::User) => Self::User,
            Some(Route::Projects) => Self::Projects,
            Some(Route::Project(_)) => Self::Project,
            Some(Route::Folders(_)) => Self::Folders,
            Some(Route::Cases(_)) => Self::Cases,
            Some(
                Route::Templates(_)
                | Route::Fields(_)
                | Route::States(_)
                | Route::Tags(_)
                | Route::Users(_)
                | Route::Statuses(_)
                | Route::Configs(_)
                | Route::Repos(_)
                | Route::IssueConnections,
            ) => Self::Lookups,
        }
    }
}

fn first() -> u32 {
    1
}

fn login_page() -> String {
    "/login".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_lets_earlier_requests_pass_and_ends_after_its_times() {
        let mut rule = Rule::always(Fault::status(503)).on(Method::Post, PathKind::Cases).from_nth(2).times(2);
        let post = Request::with_json(Method::Post, "/projects/1/cases", &serde_json::json!({}));
        let get = Request::get("/projects/1/cases");
        let hits: Vec<bool> = [&post, &get, &post, &post, &post].map(|request| rule.claim(request).is_some()).to_vec();
        assert_eq!(hits, [false, false, true, true, false]);
    }

    #[test]
    fn a_rule_about_a_text_is_about_bodies_that_have_it_in_any_string() {
        let mut rule = Rule::always(Fault::page(403)).with_body("<script>");
        let with = |name: &str| {
            Request::with_json(Method::Post, "/projects/1/cases", &serde_json::json!({"cases": [{"name": name}]}))
        };
        let requests = [with("a <script> b"), with("script"), Request::get("/user?name=<script>")];
        assert_eq!(requests.map(|request| rule.claim(&request).is_some()), [true, false, false]);
    }

    #[test]
    fn a_rule_with_an_unknown_key_is_refused() {
        let text = r#"{"fault": {"kind": "status", "status": 503, "after_comit": true}}"#;
        let refusal = serde_json::from_str::<Rule>(text).unwrap_err().to_string();
        assert!(refusal.contains("after_comit"), "{refusal}");
    }
}
