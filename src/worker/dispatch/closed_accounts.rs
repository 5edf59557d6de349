//! Remembers why and until when nothing is sent to an account, and which batches had to wait for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::Reason;
use crate::worker::model::ActiveBatch;

/// The accounts to which nothing was sent for a time.
#[derive(Debug, Default)]
pub(super) struct ClosedAccounts(BTreeMap<Arc<str>, Closed>);

#[derive(Debug)]
struct Closed {
    reason: Reason,
    until: Instant,
    /// Whether it was opened before that time.
    is_reopened: bool,
}

impl ClosedAccounts {
    /// Notes that nothing is sent to an account until a time.
    pub(super) fn close(&mut self, account: &Arc<str>, reason: Reason, until: Instant) {
        let before = self.0.get(account).filter(|closed| !closed.is_reopened).map(|closed| closed.until);
        let until = before.map_or(until, |before| before.max(until));
        self.0.insert(account.clone(), Closed { reason, until, is_reopened: false });
    }

    /// Notes that an account is open again at `now`.
    pub(super) fn reopen(&mut self, account: &str, now: Instant) {
        if let Some(closed) = self.0.get_mut(account) {
            closed.until = closed.until.min(now);
            closed.is_reopened = true;
        }
    }

    /// Returns why an account was closed last, unless it was reopened.
    pub(super) fn reason(&self, account: &str) -> Option<Reason> {
        self.0.get(account).filter(|closed| !closed.is_reopened).map(|closed| closed.reason)
    }

    /// Notes in a batch whose turn it is that it waited for its account.
    pub(super) fn note_wait(&self, batch: &mut ActiveBatch) {
        let closed = self.0.get(batch.account()).filter(|closed| closed.until > batch.in_hand_since);
        if let Some(reason) = closed.map(|closed| closed.reason) {
            batch.message.waits_for(reason);
        }
    }

    /// Forgets the accounts that `is_known` does not return.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.0.retain(|account, _| is_known(account));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::worker::model::{WaitedFor, batch_of};

    #[test]
    fn a_batch_waited_for_its_account_if_that_was_closed_while_the_batch_was_in_hand() {
        let account: Arc<str> = "https://acme.testmo.net".into();
        let second = Duration::from_secs(1);
        let mut batch = batch_of(1, |_| {});
        let start = batch.in_hand_since;
        let waited = |closed: &ClosedAccounts, batch: &mut ActiveBatch| {
            batch.message.waited_for = None;
            closed.note_wait(batch);
            batch.message.waited_for
        };
        let mut closed = ClosedAccounts::default();
        assert_eq!((waited(&closed, &mut batch), closed.reason(&account)), (None, None));
        closed.close(&account, Reason::Throttled, start);
        assert_eq!(waited(&closed, &mut batch), None, "it was over before");
        closed.close(&account, Reason::ServerError, start + second);
        assert_eq!(waited(&closed, &mut batch), Some(WaitedFor::Testmo));
        assert_eq!(closed.reason(&account), Some(Reason::ServerError));
        closed.reopen(&account, start);
        assert_eq!((waited(&closed, &mut batch), closed.reason(&account)), (None, None), "a person opened it");
        closed.close(&account, Reason::Throttled, start + second);
        closed.retain(|_| false);
        assert_eq!((waited(&closed, &mut batch), closed.reason(&account)), (None, None));
    }

    #[test]
    fn a_pause_never_ends_earlier_than_it_was_set_to() {
        let account: Arc<str> = "https://acme.testmo.net".into();
        let mut batch = batch_of(1, |_| {});
        let mut closed = ClosedAccounts::default();
        closed.close(&account, Reason::Throttled, batch.in_hand_since + Duration::from_secs(9));
        closed.close(&account, Reason::ServerError, batch.in_hand_since);
        closed.note_wait(&mut batch);
        assert_eq!(batch.message.waited_for, Some(WaitedFor::Testmo));
    }
}
