//! Classifies the end of a call to Testmo as a fact, without deciding what follows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batch::message::text::excerpt;
use crate::batch::written::WrittenFields;

/// The end of a create request; ids are by position in the request.
pub type CreateResult = Result<Vec<Option<u64>>, ApiError>;

/// The end of a create request, and the response differences.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateOutcome {
    /// The end of the request.
    pub end: CreateResult,
    /// Response differences, by position in the request; a difference is not a failure.
    pub differing: Vec<ResponseDifference>,
    /// The fields of each case that is remembered, by position in the request, as written and as the answer shows them.
    pub fields: Vec<Option<WrittenFields>>,
    /// How far the first case's creation time is from the time of the answer, in milliseconds, if the answer has both.
    pub offset: Option<i64>,
}

impl CreateOutcome {
    /// Returns the outcome of a request whose end shows no cases.
    pub fn failed(error: ApiError) -> Self {
        Self { end: Err(error), differing: Vec::new(), fields: Vec::new(), offset: None }
    }
}

/// The highest possible id of a case: numbers in JSON are exact up to this one.
pub const HIGHEST_ID: u64 = 1 << 53;

/// Returns whether a number can be the id of a case.
pub fn is_id(id: u64) -> bool {
    (1..=HIGHEST_ID).contains(&id)
}

/// A part of a created case that Testmo's answer shows differently from how it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseDifference {
    /// The position of the case in the request.
    pub index: usize,
    /// The part that differs: one of [`ResponseDifference::PARTS`].
    pub part: &'static str,
}

impl ResponseDifference {
    /// The parts that are compared.
    pub const PARTS: [&'static str; 5] = ["name", "folder", "state", "tags", "steps"];
}

/// Why a call did not return the requested result.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiError {
    /// The address may not be called, or does not resolve to one that may be called.
    AddressRefused(String),
    /// The host name is not known.
    UnknownHost,
    /// The connection could not be established: refused, no route, or too slow.
    Unreachable(String),
    /// No connection was opened, because this machine or process has no socket left for it.
    NoSocket(String),
    /// The server speaks no TLS, or its certificate is not valid for the host.
    Tls(String),
    /// The server's certificate is for the host, but is not accepted: an authority that is not trusted signed it, or it is
    /// not valid at this time.
    Untrusted(String),
    /// 401: the key is not, or no longer, accepted.
    KeyRefused,
    /// 403: the key's user may not do this.
    Forbidden,
    /// 404: the project or folder does not exist, or is hidden from the key's user.
    Missing,
    /// A redirect, or a success that is not JSON: the host is not Testmo's API.
    NotTestmo {
        /// The status.
        status: u16,
    },
    /// 413: the request is too large.
    TooLarge,
    /// 422: Testmo refused the whole request.
    Invalid(Refusals),
    /// 429: Testmo limits the rate of the account's requests.
    Throttled {
        /// How long to wait, if the answer said so.
        retry_after: Option<Duration>,
    },
    /// 400 or 405 with Testmo's JSON: Testmo refused the whole request.
    Rejected {
        /// The status.
        status: u16,
    },
    /// 421 or 425: the server did not process the request and asks for it again.
    NotProcessed {
        /// The status.
        status: u16,
    },
    /// A status that does not say whether the request was carried out, such as 408 or a page with 403.
    Inconclusive {
        /// The status.
        status: u16,
    },
    /// 5xx.
    Server {
        /// The status.
        status: u16,
    },
    /// The answer, or a part of it, was not received within the time limit.
    TimedOut,
    /// The connection broke after the request had begun.
    Broken(String),
    /// The answer reported success, but its content could not be read.
    Unreadable(String),
}

/// The most refused fields that are kept of one case, and of a whole request.
pub const MOST_SAID: usize = 50;

/// The most characters of all refused fields in words.
const LONGEST_SUMMARY: usize = 1_500;

/// The content of a 422: the refused entries and fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Refused fields by the entry's position in the request.
    pub entries: BTreeMap<usize, Vec<FieldRefusal>>,
    /// Refusals that name no entry.
    pub whole: Vec<FieldRefusal>,
}

/// One field that Testmo refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct FieldRefusal {
    /// The field, such as `tags`; empty if Testmo named none.
    pub field: String,
    /// The message of Testmo, in Testmo's words.
    pub message: String,
}

impl FieldRefusal {
    /// Returns whether it names an id of a request for existing cases, such as one of a case that was just deleted.
    pub fn names_an_id(&self) -> bool {
        self.field == "ids" || self.field.starts_with("ids.")
    }
}

impl ApiError {
    /// Returns whether a create request with this end may nevertheless have created its cases, now or soon.
    pub fn may_have_committed(&self) -> bool {
        match self {
            Self::Server { .. }
            | Self::TimedOut
            | Self::Broken(_)
            | Self::Unreadable(_)
            | Self::Inconclusive { .. } => true,
            // A proxy may show its own page in place of Testmo's answer, and 302 and 303 may lead to the result of a
            // request that was carried out. Only 301, 307 and 308 state that the request has to go elsewhere instead
            // (RFC 9110, 15.4).
            Self::NotTestmo { status } => !matches!(status, 301 | 307 | 308),
            Self::AddressRefused(_)
            | Self::UnknownHost
            | Self::Unreachable(_)
            | Self::NoSocket(_)
            | Self::Tls(_)
            | Self::Untrusted(_)
            | Self::KeyRefused
            | Self::Forbidden
            | Self::Missing
            | Self::TooLarge
            | Self::Invalid(_)
            | Self::Throttled { .. }
            | Self::Rejected { .. }
            | Self::NotProcessed { .. } => false,
        }
    }

    /// Returns how long after this end the request may still create cases.
    ///
    /// A server that answers 500 or 503 has ended its work; after any other end the server may still be working for as
    /// long as a request may take.
    pub fn settle_time(&self, answered: Duration, unanswered: Duration) -> Duration {
        if self.has_ended() {
            answered
        } else if self.may_have_committed() {
            unanswered
        } else {
            Duration::ZERO
        }
    }

    /// Returns whether Testmo itself reported that it stopped working on the request; this does not say whether the
    /// request was carried out.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Server { status: 500 | 503 })
    }

    /// Returns the class for metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::AddressRefused(_) => "address_refused",
            Self::UnknownHost => "unknown_host",
            Self::Unreachable(_) => "unreachable",
            Self::NoSocket(_) => "no_socket",
            Self::Tls(_) | Self::Untrusted(_) => "tls",
            Self::KeyRefused => "401",
            Self::Forbidden => "403",
            Self::Missing => "404",
            Self::NotTestmo { .. } => "not_testmo",
            Self::TooLarge => "413",
            Self::Invalid(_) => "422",
            Self::Throttled { .. } => "429",
            Self::Rejected { .. } => "4xx",
            Self::NotProcessed { .. } => "not_processed",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Server { .. } => "5xx",
            Self::TimedOut => "timeout",
            Self::Broken(_) => "broken",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Returns what the history of a batch shows of this end: the status, where one was received that the class does not
    /// state, and the class otherwise.
    pub fn received(&self) -> String {
        match self {
            Self::Server { status } | Self::Rejected { status } => status.to_string(),
            Self::NotTestmo { status } | Self::NotProcessed { status } | Self::Inconclusive { status } => {
                format!("{status} ({})", self.class())
            }
            Self::AddressRefused(_)
            | Self::UnknownHost
            | Self::Unreachable(_)
            | Self::NoSocket(_)
            | Self::Tls(_)
            | Self::Untrusted(_)
            | Self::KeyRefused
            | Self::Forbidden
            | Self::Missing
            | Self::TooLarge
            | Self::Invalid(_)
            | Self::Throttled { .. }
            | Self::TimedOut
            | Self::Broken(_)
            | Self::Unreadable(_) => self.class().to_owned(),
        }
    }

    /// Every class, with `2xx` for success.
    pub const CLASSES: [&'static str; 20] = [
        "2xx",
        "address_refused",
        "unknown_host",
        "unreachable",
        "no_socket",
        "tls",
        "401",
        "403",
        "404",
        "not_testmo",
        "413",
        "422",
        "429",
        "4xx",
        "not_processed",
        "inconclusive",
        "5xx",
        "timeout",
        "broken",
        "unreadable",
    ];
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AddressRefused(why) => write!(f, "the address is not allowed: {why}"),
            Self::UnknownHost => f.write_str("the host name is unknown"),
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
            Self::NoSocket(why) => write!(f, "this machine has no socket left for a connection: {why}"),
            Self::Tls(why) | Self::Untrusted(why) => write!(f, "no secure connection: {why}"),
            Self::KeyRefused => f.write_str("Testmo answered 401 Unauthorized"),
            Self::Forbidden => f.write_str("Testmo answered 403 Forbidden"),
            Self::Missing => f.write_str("Testmo answered 404 Not Found"),
            Self::NotTestmo { status } => write!(f, "the response ({status}) does not come from Testmo's API"),
            Self::TooLarge => f.write_str("Testmo answered 413 Content Too Large"),
            Self::Invalid(refusals) => write!(f, "Testmo answered 422: {}", refusals.summary()),
            Self::Throttled { retry_after: Some(wait) } => {
                write!(f, "Testmo answered 429 Too Many Requests and asked for a pause of {} s", wait.as_secs())
            }
            Self::Throttled { retry_after: None } => f.write_str("Testmo answered 429 Too Many Requests"),
            Self::Rejected { status }
            | Self::NotProcessed { status }
            | Self::Inconclusive { status }
            | Self::Server { status } => write!(f, "Testmo answered {status}"),
            Self::TimedOut => f.write_str("no response within the time limit"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Unreadable(why) => write!(f, "Testmo's response could not be read: {why}"),
        }
    }
}

impl std::fmt::Display for FieldRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.field.is_empty(), self.message.is_empty()) {
            (true, _) => f.write_str(&self.message),
            (false, true) => f.write_str(&self.field),
            (false, false) => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl Refusals {
    /// Returns all refused fields in words.
    pub fn summary(&self) -> String {
        let all: Vec<String> = self.all().iter().map(ToString::to_string).collect();
        if all.is_empty() { "no field named".into() } else { excerpt(&all.join(", "), LONGEST_SUMMARY) }
    }

    /// Returns the refusals of entries and of the whole request, as many as are kept of one case.
    pub fn all(&self) -> Vec<FieldRefusal> {
        self.entries.values().flatten().chain(&self.whole).take(MOST_SAID).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answered_500_or_503_settles_soon() {
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(60));
        for (trouble, expected) in [
            (ApiError::Server { status: 500 }, soon),
            (ApiError::Server { status: 503 }, soon),
            (ApiError::Server { status: 502 }, late),
            (ApiError::Server { status: 504 }, late),
            (ApiError::TimedOut, late),
            (ApiError::Broken(String::new()), late),
            (ApiError::Unreadable(String::new()), late),
            (ApiError::NotTestmo { status: 200 }, late),
            (ApiError::NotTestmo { status: 303 }, late),
            (ApiError::NotTestmo { status: 308 }, Duration::ZERO),
            (ApiError::Inconclusive { status: 408 }, late),
            (ApiError::NotProcessed { status: 425 }, Duration::ZERO),
            (ApiError::KeyRefused, Duration::ZERO),
        ] {
            assert_eq!(trouble.settle_time(soon, late), expected, "{trouble}");
        }
    }

    #[test]
    fn a_history_shows_the_status_that_was_received() {
        for (end, shown) in [
            (ApiError::Server { status: 503 }, "503"),
            (ApiError::Rejected { status: 405 }, "405"),
            (ApiError::NotTestmo { status: 302 }, "302 (not_testmo)"),
            (ApiError::NotProcessed { status: 425 }, "425 (not_processed)"),
            (ApiError::Inconclusive { status: 408 }, "408 (inconclusive)"),
            (ApiError::Forbidden, "403"),
            (ApiError::TimedOut, "timeout"),
        ] {
            assert_eq!(end.received(), shown);
        }
    }
}
