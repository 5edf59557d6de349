//! Sends the requests of a probe one after the other, each with a permit, and keeps what failed.

use std::time::Duration;

use crate::batch::verdict::answer::{ApiError, FieldRefusal};
use crate::store::StoreError;
use crate::tenants::{AccountPermits, NoPermit};
use crate::testmo::{Access, Client, ReadPermits};

/// How often a request is sent that Testmo answers with 429.
const MOST_TRIES: usize = 3;
/// The most refused fields that are named.
const MOST_FIELDS: usize = 5;

/// Why a request of a probe showed nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Miss {
    /// It failed.
    Failed(ApiError),
    /// It was not sent.
    NotSent(String),
}

/// What a request of a probe showed.
pub(super) type Seen<T> = Result<T, Miss>;

impl Miss {
    /// Returns the cause, without addresses or texts of Testmo.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Failed(error) => words(error),
            Self::NotSent(why) => format!("not sent: {why}"),
        }
    }

    /// Returns whether Testmo answered that it does not have, or does not allow, what was asked for.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Failed(
                ApiError::Invalid(_)
                    | ApiError::Rejected { .. }
                    | ApiError::Missing
                    | ApiError::Forbidden
                    | ApiError::NotTestmo { .. }
                    | ApiError::Inconclusive { status: 403..=405 }
            )
        )
    }

    /// Returns whether the request may have been carried out.
    pub(super) fn may_have_committed(&self) -> bool {
        matches!(self, Self::Failed(error) if error.may_have_committed())
    }
}

/// Says how a request failed, without addresses or texts of Testmo.
fn words(error: &ApiError) -> String {
    match error {
        ApiError::Invalid(refusals) => {
            let all: Vec<&FieldRefusal> = refusals.entries.values().flatten().chain(&refusals.whole).collect();
            let fields: Vec<&str> = all.iter().map(|refusal| refusal.field.as_str()).take(MOST_FIELDS).collect();
            format!("refused with 422: {}", fields.join(", "))
        }
        ApiError::Forbidden => "refused with 403".into(),
        ApiError::Missing => "refused with 404".into(),
        ApiError::KeyRefused => "refused with 401".into(),
        ApiError::TooLarge => "refused with 413".into(),
        ApiError::Throttled { .. } => "refused with 429".into(),
        ApiError::Rejected { status } | ApiError::NotProcessed { status } => format!("refused with {status}"),
        ApiError::NotTestmo { status } => format!("answered with {status} and something that is not JSON"),
        ApiError::Inconclusive { status } => format!("answered with {status}, and not in Testmo's form"),
        ApiError::Server { status } => format!("answered with {status}"),
        ApiError::TimedOut => "not answered in time".into(),
        ApiError::Broken(_) => "not answered: the connection broke".into(),
        ApiError::Unreadable(_) => "answered with something that cannot be read".into(),
        ApiError::AddressRefused(_)
        | ApiError::UnknownHost
        | ApiError::Unreachable(_)
        | ApiError::NoSocket(_)
        | ApiError::Tls(_)
        | ApiError::Untrusted(_) => "not sent: there was no connection to Testmo".into(),
    }
}

/// Returns whether further requests would fail just the same: Testmo did not answer, or not in its own form.
fn is_down(error: &ApiError) -> bool {
    match error {
        ApiError::Server { .. }
        | ApiError::TimedOut
        | ApiError::Broken(_)
        | ApiError::KeyRefused
        | ApiError::AddressRefused(_)
        | ApiError::UnknownHost
        | ApiError::Unreachable(_)
        | ApiError::NoSocket(_)
        | ApiError::Tls(_)
        | ApiError::Untrusted(_) => true,
        ApiError::Unreadable(_)
        | ApiError::Forbidden
        | ApiError::Missing
        | ApiError::NotTestmo { .. }
        | ApiError::TooLarge
        | ApiError::Invalid(_)
        | ApiError::Throttled { .. }
        | ApiError::Rejected { .. }
        | ApiError::NotProcessed { .. }
        | ApiError::Inconclusive { .. } => false,
    }
}

/// Sends the requests of a probe.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a Client,
    pub(super) access: &'a Access,
    pub(super) project: u64,
    pub(super) permits: AccountPermits<'a>,
    /// For how long each 429 asked for no requests; `None` where it did not say so.
    pub(super) pauses: Vec<Option<Duration>>,
    /// Whether nothing more is sent once Testmo fails.
    gives_up: bool,
    stopped: Option<String>,
}

impl<'a> Asker<'a> {
    /// Returns an asker that only reads, and gives up once Testmo fails.
    pub(super) fn new(client: &'a Client, access: &'a Access, project: u64, permits: AccountPermits<'a>) -> Self {
        Self { client, access, project, permits, pauses: Vec::new(), gives_up: true, stopped: None }
    }

    /// Goes on whatever fails: what a probe has created is looked for, and deleted.
    pub(super) fn persist(&mut self) {
        self.gives_up = false;
    }

    /// Sends a request, up to three times while Testmo answers with 429.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn ask<T>(
        &mut self,
        call: impl AsyncFn(&Client, &Access, u64) -> Result<T, ApiError>,
    ) -> Result<Seen<T>, StoreError> {
        for tried in 1..=MOST_TRIES {
            if let Some(why) = &self.stopped {
                return Ok(Err(Miss::NotSent(why.clone())));
            }
            match self.permits.next().await {
                Ok(()) => {}
                Err(NoPermit::Store(error)) => return Err(error),
                Err(NoPermit::Pause(_, why)) => {
                    if self.gives_up {
                        self.stopped = Some(why.clone());
                    }
                    return Ok(Err(Miss::NotSent(why)));
                }
            }
            let answered = call(self.client, self.access, self.project).await;
            self.permits.note(answered.as_ref().err()).await?;
            match answered {
                Ok(seen) => return Ok(Ok(seen)),
                Err(ApiError::Throttled { retry_after }) => {
                    self.pauses.push(retry_after);
                    if tried == MOST_TRIES {
                        return Ok(Err(Miss::Failed(ApiError::Throttled { retry_after })));
                    }
                }
                Err(error) => {
                    if self.gives_up && is_down(&error) {
                        self.stopped = Some(format!("an earlier request was {}", words(&error)));
                    }
                    return Ok(Err(Miss::Failed(error)));
                }
            }
        }
        Ok(Err(Miss::NotSent("Testmo limits the rate of requests".into())))
    }
}
