//! Defines the steps that a request goes through, and what reaches its caller.

use serde_json::Value;

use super::rule::{CommitTime, CutAt, Fault, RetryAfter};
use crate::response::Response;
use crate::time::Time;

/// The steps of one request: wait, take effect, wait, be answered. The server, which has a clock, carries them out.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// How long to wait before the model sees the request, in milliseconds.
    pub before_commit_ms: u64,
    /// Whether the model sees the request at all.
    pub reaches_model: bool,
    /// How long to hold the answer back, in milliseconds.
    pub before_answer_ms: u64,
    /// Until when the request is held, in addition to both times.
    pub hold: Option<Hold>,
    /// The fault that decided this, if any.
    pub fault: Option<Fault>,
    /// Whether the token bucket refused the request.
    pub is_throttled: bool,
    instead: Option<Response>,
}

/// A request's wait for the account's faults to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When the request takes effect: before the wait, or after it.
    pub commit: CommitTime,
    /// The number of the set of faults that holds the request; the next set releases it.
    pub orders: u64,
}

/// What is sent on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// The whole answer.
    Whole(Response),
    /// The head and half of the body, then the connection is cut.
    Half(Response),
    /// Nothing: the connection is cut.
    Nothing,
}

impl Course {
    pub(crate) fn throttled(refusal: Response) -> Self {
        Self { reaches_model: false, is_throttled: true, instead: Some(refusal), ..Self::honest(0) }
    }

    pub(crate) fn of(fault: Option<Fault>, orders: u64, latency_ms: u64, now: Time) -> Self {
        let Some(fault) = fault else { return Self::honest(latency_ms) };
        let mut course = Self::honest(latency_ms);
        match &fault {
            Fault::Status { status, after_commit, retry_after, html, delay_ms } => {
                course.reaches_model = *after_commit;
                course.before_answer_ms = *delay_ms;
                course.instead = Some(failure(*status, *retry_after, *html, now));
            }
            Fault::Slow { ms, commit: CommitTime::BeforeDelay } => course.before_answer_ms = *ms,
            Fault::Slow { ms, commit: CommitTime::AfterDelay } => course.before_commit_ms += ms,
            Fault::Held { commit } => course.hold = Some(Hold { commit: *commit, orders }),
            Fault::Cut { at } => course.reaches_model = *at != CutAt::BeforeCommit,
            Fault::Redirect { location } => {
                course.reaches_model = false;
                let page = Response::html(302, "Redirecting").dated(now);
                course.instead = Some(page.with_header("location", location.clone()));
            }
            Fault::Html { after_commit } => {
                course.reaches_model = *after_commit;
                course.instead = Some(Response::html(200, "Sign in").dated(now));
            }
            Fault::DropLast | Fault::Reorder | Fault::Ids { .. } | Fault::Many { .. } | Fault::Garbage => {}
        }
        course.fault = Some(fault);
        course
    }

    /// Turns the model's answer, if there is one, into what is sent.
    pub fn deliver(&self, honest: Option<Response>) -> Delivery {
        if let Some(instead) = &self.instead {
            return Delivery::Whole(instead.clone());
        }
        let Some(honest) = honest else { return Delivery::Nothing };
        match &self.fault {
            Some(Fault::Cut { at: CutAt::BeforeCommit | CutAt::AfterCommit }) => Delivery::Nothing,
            Some(Fault::Cut { at: CutAt::HalfBody }) => Delivery::Half(honest),
            Some(Fault::DropLast) => Delivery::Whole(with_result(honest, |rows| {
                rows.pop();
            })),
            Some(Fault::Reorder) => Delivery::Whole(with_result(honest, |rows| rows.reverse())),
            Some(Fault::Ids { ids }) => Delivery::Whole(with_result(honest, |rows| {
                rows.iter_mut().zip(ids).for_each(|(row, id)| row["id"] = Value::from(*id));
            })),
            Some(Fault::Many { entries }) => Delivery::Whole(with_many(honest, *entries)),
            Some(Fault::Garbage) => Delivery::Whole(garbled(honest)),
            Some(
                Fault::Status { .. }
                | Fault::Slow { .. }
                | Fault::Held { .. }
                | Fault::Redirect { .. }
                | Fault::Html { .. },
            )
            | None => Delivery::Whole(honest),
        }
    }

    /// Returns whether the request waits for nothing.
    pub fn is_immediate(&self) -> bool {
        self.before_commit_ms == 0 && self.before_answer_ms == 0 && self.hold.is_none()
    }

    fn honest(latency_ms: u64) -> Self {
        Self {
            before_commit_ms: latency_ms,
            reaches_model: true,
            before_answer_ms: 0,
            hold: None,
            fault: None,
            is_throttled: false,
            instead: None,
        }
    }
}

/// Returns the answer of an ordered error. The bodies of 5xx and 429 were never recorded, so these are Laravel's.
fn failure(status: u16, retry_after: Option<RetryAfter>, html: bool, now: Time) -> Response {
    let text = match status {
        401 => "Unauthenticated.",
        403 => "This action is unauthorized.",
        402 => "Payment Required",
        404 => "The project does not exist or was deleted.",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        421 => "Misdirected Request",
        425 => "Too Early",
        429 => "Too Many Attempts.",
        503 => "Service Unavailable",
        _ => "Server Error",
    };
    let failure = if html { Response::html(status, text) } else { Response::message(status, text) };
    let failure = failure.dated(now);
    let date = |ms: i64| vec![now.plus(ms).of_header()];
    let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    let values = match retry_after {
        None => Vec::new(),
        Some(RetryAfter::Seconds(seconds)) => vec![seconds.to_string()],
        Some(RetryAfter::DateIn(seconds)) => date(ms(seconds)),
        Some(RetryAfter::DateAgo(seconds)) => date(-ms(seconds)),
        Some(RetryAfter::Fraction(ms)) => vec![format!("{}.{:03}", ms / 1000, ms % 1000)],
        Some(RetryAfter::Minus(seconds)) => vec![format!("-{seconds}")],
        Some(RetryAfter::Huge) => vec!["9".repeat(30)],
        Some(RetryAfter::Word) => vec!["soon".into()],
        Some(RetryAfter::Twice(one, other)) => vec![one.to_string(), other.to_string()],
    };
    values.into_iter().fold(failure, |failure, value| failure.with_header("retry-after", value))
}

fn with_result(mut honest: Response, change: impl FnOnce(&mut Vec<Value>)) -> Response {
    let mut body = honest.value();
    if let Some(rows) = body.get_mut("result").and_then(Value::as_array_mut) {
        change(rows);
        honest.body = body.to_string().into();
    }
    honest
}

fn with_many(honest: Response, entries: usize) -> Response {
    let mut honest = with_result(honest, |rows| *rows = rows.iter().cycle().take(entries).cloned().collect());
    let mut body = honest.value();
    if let Some(errors) = body.get_mut("errors").and_then(Value::as_object_mut) {
        let named: Vec<(String, Value)> = errors.iter().map(|(key, said)| (key.clone(), said.clone())).collect();
        // A number would name one entry of a list.
        let many = named.iter().cycle().enumerate().take(entries);
        *errors = many.map(|(n, (key, said))| (format!("{key}.copy-{n}"), said.clone())).collect();
        honest.body = body.to_string().into();
    }
    honest
}

fn garbled(mut honest: Response) -> Response {
    honest.body = r#"{"result":[{"id":"#.into();
    honest
}
