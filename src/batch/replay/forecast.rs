//! Decides what is to be expected of a batch that is replayed, before it is.

use std::str::FromStr;

use crate::batch::Reason;

/// What is to be expected of one batch of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Forecast {
    /// What is missing is created.
    Ready,
    /// Every case is in Testmo already; nothing is sent.
    AlreadyInTestmo,
    /// Cases of it may be in Testmo; it is reconciled before anything is sent.
    OutcomeUnknown,
    /// It would fail as before: nothing has changed since, as far as this program can see.
    RefusedAgain,
    /// It cannot be sent yet.
    NotYet,
    /// It cannot be replayed at all.
    Impossible,
}

impl Forecast {
    /// Every forecast.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::AlreadyInTestmo, Self::OutcomeUnknown, Self::RefusedAgain, Self::NotYet, Self::Impossible];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::AlreadyInTestmo => "already_in_testmo",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::RefusedAgain => "refused_again",
            Self::NotYet => "not_yet",
            Self::Impossible => "impossible",
        }
    }

    /// Says why it is expected, where that is not about one batch or its account.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Self::RefusedAgain => {
                Some("neither its message nor the connection nor its verification has changed since Testmo refused it")
            }
            Self::OutcomeUnknown => Some("cases of it may be in Testmo: it is reconciled first"),
            Self::Ready | Self::AlreadyInTestmo | Self::NotYet | Self::Impossible => None,
        }
    }

    /// Returns whether a replay tries such a batch: what would be refused again only on request.
    pub fn is_tried(self, unchanged_too: bool) -> bool {
        match self {
            Self::Ready | Self::OutcomeUnknown | Self::NotYet => true,
            Self::RefusedAgain => unchanged_too,
            Self::AlreadyInTestmo | Self::Impossible => false,
        }
    }
}

impl FromStr for Forecast {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let forecast = Self::ALL.into_iter().find(|forecast| forecast.name() == text);
        forecast.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a forecast; the forecasts are {names}")
        })
    }
}

/// What the ledger says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// Nothing of it was ever sent.
    Unknown,
    /// Some of its cases are still to be sent; none of them has an unknown outcome.
    Known,
    /// Cases of it may be in Testmo although that is not recorded.
    Unclear,
    /// Every case is in Testmo.
    Delivered,
}

/// What is known of the connection that a batch would be sent with; times are milliseconds on the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionState {
    /// Whether it is verified.
    pub verified: bool,
    /// Whether it is the one that the batch was tried with.
    pub is_same: bool,
    /// When it was verified.
    pub verified_at: Option<i64>,
}

/// What keeps an account from taking requests; times are milliseconds on the store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Whether a person has paused the account or the tenant.
    pub paused: bool,
    /// The end of its rate-limit pause, if that is not over.
    pub rate_limited_until: Option<i64>,
    /// When it is tried again, if it fails.
    pub failing_until: Option<i64>,
}

/// Everything on which the forecast for a batch depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Why it is on the shelf.
    pub reason: Reason,
    /// When it was put there, in milliseconds on the store's clock.
    pub shelved_at: i64,
    /// What the ledger says of it.
    pub ledger: LedgerState,
    /// Its tenant's connection, if there is one.
    pub connection: Option<ConnectionState>,
    /// The account.
    pub account: AccountState,
}

/// Why a batch cannot be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// Its tenant has no connection.
    NoConnection,
    /// Its connection is not verified.
    NotVerified,
    /// A person has paused the account or the tenant.
    Paused,
    /// The account asked for a pause until then, in milliseconds on the store's clock.
    RateLimited(i64),
    /// The account fails, and is tried again then, likewise.
    Failing(i64),
}

impl Circumstances {
    /// Returns what is to be expected, and why a batch cannot be sent yet.
    pub fn forecast(&self) -> (Forecast, Option<NotYet>) {
        if self.ledger == LedgerState::Delivered {
            return (Forecast::AlreadyInTestmo, None);
        }
        if let Some(why) = self.not_yet() {
            return (Forecast::NotYet, Some(why));
        }
        let forecast = match self.ledger {
            LedgerState::Unclear => Forecast::OutcomeUnknown,
            LedgerState::Unknown | LedgerState::Known if self.is_refused_again() => Forecast::RefusedAgain,
            LedgerState::Unknown | LedgerState::Known | LedgerState::Delivered => Forecast::Ready,
        };
        (forecast, None)
    }

    fn not_yet(&self) -> Option<NotYet> {
        let Some(connection) = self.connection else { return Some(NotYet::NoConnection) };
        let AccountState { paused, rate_limited_until, failing_until } = self.account;
        match (rate_limited_until, failing_until) {
            _ if !connection.verified => Some(NotYet::NotVerified),
            _ if paused => Some(NotYet::Paused),
            (Some(until), _) => Some(NotYet::RateLimited(until)),
            (None, Some(until)) => Some(NotYet::Failing(until)),
            (None, None) => None,
        }
    }

    /// Returns whether Testmo refused what the batch contains or what its connection supplies, and neither the connection
    /// nor its verification has changed since.
    fn is_refused_again(&self) -> bool {
        let is_unchanged = self.connection.is_some_and(|connection| {
            connection.is_same && connection.verified_at.is_none_or(|at| at <= self.shelved_at)
        });
        is_refusal(self.reason) && is_unchanged
    }
}

/// Returns whether a reason is a decision of Testmo about what was sent.
fn is_refusal(reason: Reason) -> bool {
    match reason {
        Reason::CaseRefused
        | Reason::Rejected
        | Reason::AllRefused
        | Reason::ConnectionRejected
        | Reason::CaseInvalid
        | Reason::CaseTooLarge
        | Reason::RejectedUnclear => true,
        Reason::NotJson
        | Reason::InvalidMessage
        | Reason::BatchConflict
        | Reason::TooLarge
        | Reason::Undeliverable
        | Reason::UnreadableHeaders
        | Reason::CrashLoop
        | Reason::Suspect
        | Reason::UnknownTenant
        | Reason::Unverified
        | Reason::Forbidden
        | Reason::UnexpectedStatus
        | Reason::KeyRefused
        | Reason::TargetMissing
        | Reason::WrongHost
        | Reason::NotTestmo
        | Reason::AddressRefused
        | Reason::FolderMissing
        | Reason::FolderUnconfirmed
        | Reason::Throttled
        | Reason::ServerError
        | Reason::NoAnswer
        | Reason::Unreachable
        | Reason::ReadFailed
        | Reason::Unclear
        | Reason::Paused
        | Reason::NoRoom
        | Reason::EarlierGeneration
        | Reason::ExistsAlready
        | Reason::ReplacedUnknown
        | Reason::RetriesExhausted
        | Reason::UnclearInTestmo
        | Reason::UnclearElsewhere
        | Reason::StoreRowUnreadable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELVED_AT: i64 = 1_000;

    fn refused() -> Circumstances {
        Circumstances {
            reason: Reason::CaseRefused,
            shelved_at: SHELVED_AT,
            ledger: LedgerState::Known,
            connection: Some(ConnectionState { verified: true, is_same: true, verified_at: Some(500) }),
            account: AccountState::default(),
        }
    }

    fn with(change: impl Fn(&mut Circumstances)) -> (Forecast, Option<NotYet>) {
        let mut circumstances = refused();
        change(&mut circumstances);
        circumstances.forecast()
    }

    #[test]
    fn what_was_refused_is_refused_again_until_something_changes() {
        assert_eq!(with(|_| {}), (Forecast::RefusedAgain, None));
        let connection = |verified_at, is_same| Some(ConnectionState { verified: true, is_same, verified_at });
        assert_eq!(with(|c| c.connection = connection(Some(2_000), true)), (Forecast::Ready, None));
        assert_eq!(with(|c| c.connection = connection(Some(500), false)), (Forecast::Ready, None));
        assert_eq!(with(|c| c.reason = Reason::RetriesExhausted), (Forecast::Ready, None));
        assert_eq!(with(|c| c.reason = Reason::CrashLoop), (Forecast::Ready, None));
    }

    #[test]
    fn what_the_ledger_knows_goes_before_what_the_reason_says() {
        assert_eq!(with(|c| c.ledger = LedgerState::Delivered), (Forecast::AlreadyInTestmo, None));
        assert_eq!(with(|c| c.ledger = LedgerState::Unclear), (Forecast::OutcomeUnknown, None));
        let unknown = |c: &mut Circumstances| (c.ledger, c.reason) = (LedgerState::Unknown, Reason::Undeliverable);
        assert_eq!(with(unknown), (Forecast::Ready, None));
    }

    #[test]
    fn what_cannot_be_sent_yet_says_why_and_until_when() {
        let not_yet = |why| (Forecast::NotYet, Some(why));
        assert_eq!(with(|c| c.connection = None), not_yet(NotYet::NoConnection));
        let red = ConnectionState { verified: false, is_same: false, verified_at: None };
        assert_eq!(with(|c| c.connection = Some(red)), not_yet(NotYet::NotVerified));
        assert_eq!(with(|c| c.account.paused = true), not_yet(NotYet::Paused));
        assert_eq!(with(|c| c.account.rate_limited_until = Some(9)), not_yet(NotYet::RateLimited(9)));
        assert_eq!(with(|c| c.account.failing_until = Some(9)), not_yet(NotYet::Failing(9)));
    }

    #[test]
    fn what_would_be_refused_again_is_tried_on_request_alone() {
        let tried: Vec<Forecast> = Forecast::ALL.into_iter().filter(|forecast| forecast.is_tried(false)).collect();
        assert_eq!(tried, [Forecast::Ready, Forecast::OutcomeUnknown, Forecast::NotYet]);
        assert!(Forecast::RefusedAgain.is_tried(true) && !Forecast::Impossible.is_tried(true));
        for forecast in Forecast::ALL {
            assert_eq!(forecast.name().parse(), Ok(forecast));
        }
    }
}
