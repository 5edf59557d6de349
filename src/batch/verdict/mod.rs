//! Decides what follows each end of a call to Testmo (retry, park, dead or done), and is the only place that does.

pub mod answer;
pub mod blame;
#[cfg(test)]
mod fairness;
pub mod patience;
pub mod reason;
mod title;
mod update;

use std::time::Duration;

use crate::account::Signal;
use crate::batch::render::RenderedCase;
use crate::batch::verdict::answer::{ApiError, CreateResult, FieldRefusal};
use crate::batch::verdict::blame::{Blame, Known};
use crate::batch::verdict::reason::Reason;

pub use self::update::{UpdateFailure, after_failed_update};

/// The pause after a 429 without `Retry-After`, as Testmo's documentation asks for.
pub const DEFAULT_THROTTLE_PAUSE: Duration = Duration::from_secs(60);
/// The pause of an account's lane when there was no socket for a request.
pub const NO_SOCKET_PAUSE: Duration = Duration::from_secs(2);

/// Why a parked batch waits whose Testmo fails.
pub const FAILING: [Reason; 4] = [Reason::ServerError, Reason::NoAnswer, Reason::Unreachable, Reason::Unclear];

/// What follows the end of a create request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The cases with an id are created; the outcome of those without one is unknown.
    Created,
    /// Testmo names cases: those at fault themselves are refused, a batch with a case for which the connection is at
    /// fault waits until it is corrected, and the others are sent again.
    Attribute(Blame),
    /// The request is refused as a whole, or too large: send half of it, or refuse its only case.
    Halve {
        /// Why the only case of a request is refused.
        reason: Reason,
        /// What Testmo answered about that case.
        said: Vec<FieldRefusal>,
    },
    /// Every case of the request is refused for the same reason.
    RefuseAll(Reason),
    /// The outcome is unknown: reconcile with Testmo once the settle time is over, then go on.
    Reconcile,
    /// The outcome is unknown as with [`Reconcile`](Self::Reconcile), but Testmo may give this answer for as long as
    /// these cases or this connection stay unchanged: if the answer is repeated, the cause is determined.
    FindCause {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// Nothing was created; retry after a pause, a limited number of times.
    Retry(Reason),
    /// Nothing was created, and who is to blame cannot be found out now: retry likewise.
    Undecided(Reason, String),
    /// Nothing was created; send nothing to the account until the pause is over.
    Throttle(Option<Duration>),
    /// Nothing was sent, because this worker has no socket left: send nothing to the account for a moment. Neither the
    /// batch nor the account is to blame.
    AwaitSocket,
    /// Nothing was created; the batch waits until the connection is fixed.
    Park(Reason),
    /// Cases may have been created, and the batch waits until the connection is fixed: reconcile before the next create
    /// request.
    ParkUnclear(Reason),
}

/// Decides what follows the end of a request that sent these cases over a connection of which this is known.
pub fn after_push(end: &CreateResult, sent: &[&RenderedCase], known: &Known) -> Verdict {
    let Err(error) = end else { return Verdict::Created };
    match error {
        ApiError::Invalid(refusals) => match refusals.blame(sent, known) {
            Some(blame) => Verdict::Attribute(blame),
            None => Verdict::Halve { reason: Reason::CaseRefused, said: refusals.all() },
        },
        ApiError::TooLarge => Verdict::Halve { reason: Reason::CaseTooLarge, said: Vec::new() },
        ApiError::Rejected { .. } => Verdict::RefuseAll(Reason::Rejected),
        ApiError::Throttled { retry_after } => Verdict::Throttle(*retry_after),
        // 402 is about the account: no case can be the cause.
        ApiError::Inconclusive { status: 402 } => Verdict::ParkUnclear(reason_of(error)),
        ApiError::Inconclusive { status } => Verdict::FindCause { status: *status },
        ApiError::NotProcessed { .. } => Verdict::Retry(reason_of(error)),
        ApiError::NotTestmo { .. } if error.may_have_committed() => Verdict::ParkUnclear(reason_of(error)),
        ApiError::KeyRefused
        | ApiError::Forbidden
        | ApiError::Missing
        | ApiError::NotTestmo { .. }
        | ApiError::AddressRefused(_) => Verdict::Park(reason_of(error)),
        ApiError::UnknownHost | ApiError::Tls(_) | ApiError::Untrusted(_) | ApiError::Unreachable(_) => {
            Verdict::Retry(reason_of(error))
        }
        ApiError::NoSocket(_) => Verdict::AwaitSocket,
        ApiError::Server { .. } | ApiError::TimedOut | ApiError::Broken(_) | ApiError::Unreadable(_) => {
            Verdict::Reconcile
        }
    }
}

/// Decides what follows if reading from Testmo failed: reading never creates a case.
pub fn after_failed_read(error: &ApiError) -> Verdict {
    match error {
        ApiError::Throttled { retry_after } => Verdict::Throttle(*retry_after),
        ApiError::KeyRefused
        | ApiError::Forbidden
        | ApiError::Missing
        | ApiError::NotTestmo { .. }
        | ApiError::AddressRefused(_) => Verdict::Park(reason_of(error)),
        ApiError::Invalid(_) | ApiError::TooLarge | ApiError::Rejected { .. } | ApiError::Unreadable(_) => {
            Verdict::Retry(Reason::ReadFailed)
        }
        ApiError::NoSocket(_) => Verdict::AwaitSocket,
        ApiError::UnknownHost
        | ApiError::Tls(_)
        | ApiError::Untrusted(_)
        | ApiError::Unreachable(_)
        | ApiError::NotProcessed { .. }
        | ApiError::Inconclusive { .. }
        | ApiError::Server { .. }
        | ApiError::TimedOut
        | ApiError::Broken(_) => Verdict::Retry(reason_of(error)),
    }
}

/// Decides what follows if a folder could not be created; after an unknown outcome the folder is searched for before
/// the next try.
pub fn after_failed_folder(error: &ApiError) -> Verdict {
    if matches!(error, ApiError::Invalid(_) | ApiError::TooLarge | ApiError::Rejected { .. }) {
        return Verdict::Park(Reason::FolderMissing);
    }
    if matches!(error, ApiError::Unreadable(_)) {
        return Verdict::Retry(Reason::Unclear);
    }
    after_failed_read(error)
}

/// Returns what the end of a request shows about its account; `None` if it shows nothing.
pub fn signal_of(error: Option<&ApiError>) -> Option<Signal> {
    let Some(error) = error else { return Some(Signal::Answered) };
    match error {
        ApiError::Throttled { retry_after } => Some(Signal::Throttled(retry_after.unwrap_or(DEFAULT_THROTTLE_PAUSE))),
        ApiError::Server { .. }
        | ApiError::NotProcessed { .. }
        | ApiError::Inconclusive { .. }
        | ApiError::TimedOut
        | ApiError::Broken(_)
        | ApiError::Unreachable(_) => Some(Signal::Failed),
        ApiError::KeyRefused
        | ApiError::Forbidden
        | ApiError::Missing
        | ApiError::TooLarge
        | ApiError::Invalid(_)
        | ApiError::Rejected { .. }
        | ApiError::Unreadable(_) => Some(Signal::Answered),
        // These errors are about the address, which may be right for other tenants of the account.
        ApiError::AddressRefused(_)
        | ApiError::UnknownHost
        | ApiError::Tls(_)
        | ApiError::Untrusted(_)
        | ApiError::NotTestmo { .. } => None,
        // The account was not asked.
        ApiError::NoSocket(_) => None,
    }
}

/// Returns how many whole requests in a row, without a case being named, have to be refused until the connection counts
/// as the cause: halving `sent` cases down to one bad case takes at most half that number plus one.
pub fn most_refusals(sent: usize) -> u32 {
    sent.saturating_mul(sent).max(8).ilog2()
}

/// Returns the reason that is reported for the end of a create request.
pub fn reason_of(error: &ApiError) -> Reason {
    match error {
        ApiError::AddressRefused(_) => Reason::AddressRefused,
        // For lack of a socket only a verification fails; it is repeated like one of a host that was not reached.
        ApiError::UnknownHost
        | ApiError::Unreachable(_)
        | ApiError::NoSocket(_)
        | ApiError::Tls(_)
        | ApiError::Untrusted(_) => Reason::Unreachable,
        ApiError::KeyRefused => Reason::KeyRefused,
        ApiError::Forbidden => Reason::Forbidden,
        ApiError::Missing => Reason::TargetMissing,
        ApiError::NotTestmo { .. } => Reason::NotTestmo,
        ApiError::TooLarge => Reason::CaseTooLarge,
        ApiError::Invalid(_) => Reason::CaseRefused,
        ApiError::Throttled { .. } => Reason::Throttled,
        ApiError::Rejected { .. } => Reason::Rejected,
        // A host that does not belong to Testmo has no such route, and answers 404 in its own words.
        ApiError::Inconclusive { status: 404 } => Reason::NotTestmo,
        ApiError::Inconclusive { .. } => Reason::UnexpectedStatus,
        ApiError::NotProcessed { .. } | ApiError::Server { .. } => Reason::ServerError,
        ApiError::TimedOut | ApiError::Broken(_) => Reason::NoAnswer,
        ApiError::Unreadable(_) => Reason::Unclear,
    }
}

/// Returns the reason why verifying a connection failed, which only reads: a host that was never reached counts as
/// mistyped.
pub fn verification_failure(error: &ApiError) -> Reason {
    if matches!(error, ApiError::UnknownHost | ApiError::Tls(_)) {
        return Reason::WrongHost;
    }
    if after_failed_read(error) == Verdict::Retry(Reason::ReadFailed) { Reason::ReadFailed } else { reason_of(error) }
}

/// Returns whether only a created case can show that what refused a request of a batch has passed. Verifying reads, so it
/// shows whether a key is valid, but not whether its user may write or whether a value is accepted.
pub fn is_seen_only_by_creating(reason: Reason) -> bool {
    reason != Reason::KeyRefused
}

/// Returns how long until a failed connection is re-verified automatically, after it was verified `times` times.
///
/// A refused key is never tried again. Causes that people fix inside Testmo are re-verified after 5 minutes, growing to 6
/// hours.
pub fn reverify_after(reason: Reason, times: u32) -> Option<Duration> {
    match reason {
        Reason::Forbidden
        | Reason::TargetMissing
        | Reason::WrongHost
        | Reason::NotTestmo
        | Reason::UnexpectedStatus
        | Reason::AddressRefused
        | Reason::ConnectionRejected
        | Reason::Throttled
        | Reason::ServerError
        | Reason::NoAnswer
        | Reason::Unreachable
        | Reason::ReadFailed
        | Reason::Unclear => {
            let minutes = 5_u64.saturating_mul(2_u64.saturating_pow(times.min(16)));
            Some(Duration::from_secs(60 * minutes.min(360)))
        }
        Reason::KeyRefused
        | Reason::Unverified
        | Reason::UnknownTenant
        | Reason::FolderMissing
        | Reason::FolderUnconfirmed
        | Reason::NotJson
        | Reason::InvalidMessage
        | Reason::TooLarge
        | Reason::Undeliverable
        | Reason::UnreadableHeaders
        | Reason::Suspect
        | Reason::CrashLoop
        | Reason::BatchConflict
        | Reason::NoRoom
        | Reason::EarlierGeneration
        | Reason::ExistsAlready
        | Reason::ReplacedUnknown
        | Reason::Paused
        | Reason::StoreRowUnreadable
        | Reason::CaseRefused
        | Reason::CaseInvalid
        | Reason::CaseTooLarge
        | Reason::Rejected
        | Reason::AllRefused
        | Reason::RetriesExhausted
        | Reason::UnclearInTestmo
        | Reason::RejectedUnclear
        | Reason::UnclearElsewhere => None,
    }
}

/// Returns whether a batch that keeps failing for this reason is marked dead in the end. A status that is not
/// understood says nothing against the batch, so the batch waits until the status no longer occurs.
pub fn is_given_up(reason: Reason) -> bool {
    reason != Reason::UnexpectedStatus && reason != Reason::NotTestmo
}

/// Returns after how many answers in a row that leave the outcome unknown, to requests without other batches' cases,
/// the worker determines whether the connection or a case is the cause.
///
/// The first request of a batch and a case alone are tried again before; each part of a batch that is being halved has
/// already failed together with others.
pub fn tries_before_cause(sent: usize, halved: bool) -> u32 {
    match (halved, sent) {
        (false, _) => 3,
        (true, 1) => 2,
        (true, _) => 1,
    }
}

#[cfg(test)]
mod tests;
