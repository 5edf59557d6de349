//! Classifies an answer by its status, headers and body, never by the wording of a message.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};

use super::bounded::exceeded;
use super::refusal::{refusals, words};
use crate::batch::verdict::answer::{ApiError, Refusals};

/// Upper bound for `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3_600);
/// Lower bound for `Retry-After`: a date that is over, or a number that is nearly 0, must not lead to one request after
/// the other.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// An answer of Testmo as received.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
    /// When it was received, in milliseconds since 1970 on our clock.
    pub at: i64,
}

impl Answer {
    /// Returns the content of a successful answer, or the failure that the answer reports.
    pub(super) fn content<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        if let Some(trouble) = trouble(self) {
            return Err(trouble);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let at = format!("at line {}, column {} of {} bytes", error.line(), error.column(), self.body.len());
            ApiError::Unreadable(match exceeded(&error) {
                Some(most) => format!("a list has more than {most} entries, {at}"),
                None => at,
            })
        })
    }

    /// Returns how far the server's clock is ahead of ours, in milliseconds, by its `Date` header.
    pub(super) fn clock_skew(&self) -> Option<i64> {
        self.server_time().map(|theirs| theirs.saturating_sub(self.at))
    }

    /// Returns the server's time in milliseconds since 1970, by its `Date` header (RFC 9110).
    pub(super) fn server_time(&self) -> Option<i64> {
        let date = self.headers.get(hyper::header::DATE)?.to_str().ok()?;
        http_date_ms(date)
    }

    fn is_json(&self) -> bool {
        self.kind().starts_with("application/json") || self.kind().starts_with("application/problem+json")
    }

    /// Returns what the answer refuses, if it has the form of Testmo's refusals. A proxy in front of Testmo answers with
    /// a page, or with another object.
    fn refusals(&self) -> Option<Refusals> {
        if self.is_json() { refusals(&self.body) } else { None }
    }

    fn kind(&self) -> String {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_default().to_ascii_lowercase()
    }
}

fn trouble(answer: &Answer) -> Option<ApiError> {
    Some(match answer.status {
        201 => return None,
        200..=299 if answer.is_json() => return None,
        // A page of HTML in place of the API: a login page or another host.
        status @ 200..=399 => ApiError::NotTestmo { status },
        // A server or proxy that answers with one of these has not carried out the request.
        401 => ApiError::KeyRefused,
        413 => ApiError::TooLarge,
        429 => ApiError::Throttled { retry_after: retry_after(answer) },
        status @ (421 | 425) => ApiError::NotProcessed { status },
        status @ (400 | 403 | 404 | 405 | 422) => match (status, answer.refusals()) {
            (403, Some(_)) => ApiError::Forbidden,
            (404, Some(_)) => ApiError::Missing,
            (422, Some(refusals)) => ApiError::Invalid(refusals),
            (_, Some(_)) => ApiError::Rejected { status },
            (_, None) => ApiError::Inconclusive { status },
        },
        status @ 500..=599 => ApiError::Server { status },
        status => ApiError::Inconclusive { status },
    })
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3). Of several values the longest pause counts; a value
/// in another form counts as missing.
fn retry_after(answer: &Answer) -> Option<Duration> {
    // Both times are the server's, so a difference between the clocks does no harm.
    let now = answer.server_time().unwrap_or(answer.at);
    let values = answer.headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    let pauses = values.filter_map(|text| match http_date_ms(text.trim()) {
        Some(date) => Some(Duration::from_millis(u64::try_from(date.saturating_sub(now)).unwrap_or(0))),
        // A proxy may have joined several headers.
        None => text.split(',').filter_map(seconds).max(),
    });
    pauses.max().map(|pause| pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE))
}

/// Reads a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let is_number =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(LONGEST_PAUSE))
}

fn http_date_ms(text: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// Returns the target of a redirect, for the person who has to fix the base URL.
pub(super) fn redirect_of(answer: &Answer) -> Option<String> {
    answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer { status, headers: map, body: body.into(), at: 0 }
    }

    const JSON: (&str, &str) = ("content-type", "application/json");
    const SAID: &str = r#"{"message": "No."}"#;
    /// Content types and bodies; only the first pair has the form of Testmo's refusals.
    const BODIES: [((&str, &str), &str); 7] = [
        (JSON, SAID),
        (JSON, "{}"),
        (JSON, r#"["message"]"#),
        (JSON, r#"{"message": 7}"#),
        (JSON, "{"),
        (("content-type", "text/html; charset=UTF-8"), "<html>"),
        (("content-type", "text/plain"), SAID),
    ];

    #[test]
    fn every_status_has_its_meaning() {
        let html = ("content-type", "text/html");
        let table = [
            (answer(200, &[JSON], "{}"), None),
            (answer(201, &[], "{}"), None),
            (answer(200, &[html], "<html>"), Some(ApiError::NotTestmo { status: 200 })),
            (answer(302, &[], ""), Some(ApiError::NotTestmo { status: 302 })),
            (answer(400, &[JSON], SAID), Some(ApiError::Rejected { status: 400 })),
            (answer(403, &[JSON], SAID), Some(ApiError::Forbidden)),
            (answer(404, &[JSON], SAID), Some(ApiError::Missing)),
            (answer(405, &[JSON], SAID), Some(ApiError::Rejected { status: 405 })),
            (answer(500, &[], ""), Some(ApiError::Server { status: 500 })),
            (answer(504, &[], ""), Some(ApiError::Server { status: 504 })),
        ];
        for (answer, expected) in table {
            assert_eq!(trouble(&answer), expected, "{}", answer.status);
        }
    }

    #[test]
    fn what_says_that_nothing_was_carried_out_is_believed_whatever_its_body() {
        for body in BODIES {
            for (status, expected) in [
                (401, ApiError::KeyRefused),
                (413, ApiError::TooLarge),
                (421, ApiError::NotProcessed { status: 421 }),
                (425, ApiError::NotProcessed { status: 425 }),
                (429, ApiError::Throttled { retry_after: None }),
            ] {
                assert_eq!(trouble(&answer(status, &[body.0], body.1)), Some(expected), "{status} {body:?}");
            }
        }
    }

    #[test]
    fn a_refusal_is_believed_only_in_testmos_own_words() {
        for status in [400, 403, 404, 405, 422] {
            let own = trouble(&answer(status, &[("content-type", "Application/JSON; charset=utf-8")], SAID));
            assert!(own.is_some_and(|trouble| !trouble.may_have_committed()), "{status}");
            for body in BODIES.into_iter().filter(|body| *body != (JSON, SAID)) {
                let read = trouble(&answer(status, &[body.0], body.1));
                assert_eq!(read, Some(ApiError::Inconclusive { status }), "{status} {body:?}");
            }
        }
    }

    #[test]
    fn any_other_status_does_not_tell_whether_the_request_was_carried_out() {
        for status in
            [100, 101, 199, 402, 406, 408, 409, 410, 411, 414, 418, 423, 424, 426, 428, 431, 451, 499, 600, 999]
        {
            for body in BODIES {
                let read = trouble(&answer(status, &[body.0], body.1));
                assert_eq!(read, Some(ApiError::Inconclusive { status }), "{status} {body:?}");
            }
        }
    }

    #[test]
    fn a_pause_is_read_in_every_form_and_bounded() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (headers, seconds) in [
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", "0")], Some(1)),
            (vec![("retry-after", "0.2")], Some(1)),
            (vec![("retry-after", " 2.0 ")], Some(2)),
            (vec![("retry-after", "5, 9")], Some(9)),
            (vec![date, ("retry-after", "5"), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30)),
            (vec![("retry-after", "soon"), ("retry-after", "3")], Some(3)),
            (vec![date, ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30)),
            (vec![date, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(1)),
            (vec![("retry-after", "999999999")], Some(86_400)),
            (vec![("retry-after", "99999999999999999999999999")], Some(86_400)),
            (vec![date, ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(86_400)),
            (vec![("retry-after", "-5")], None),
            (vec![("retry-after", "inf")], None),
            (vec![("retry-after", "1.2.3")], None),
            (vec![("retry-after", "soon")], None),
            (vec![], None),
        ] {
            let read = retry_after(&answer(429, &headers, ""));
            assert_eq!(read, seconds.map(Duration::from_secs), "{headers:?}");
        }
    }
}
