//! Counts the create requests that go to an account at once, and notes where they are too many.

use std::sync::Arc;

use super::Testmo;
use crate::diary::lock;

/// A case create request whose end a worker waits for.
pub(super) struct Pushing {
    testmo: Arc<Testmo>,
    account: String,
}

impl Pushing {
    pub(super) fn begin(testmo: Arc<Testmo>, account: &str) -> Self {
        let count = {
            let mut pushing = lock(&testmo.pushing);
            let count = pushing.entry(account.to_owned()).or_default();
            *count += 1;
            *count
        };
        if count > testmo.account_limit {
            lock(&testmo.broken)
                .push(format!("{count} requests went to {account} at once, of {}", testmo.account_limit));
        }
        Self { testmo, account: account.to_owned() }
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        if let Some(count) = lock(&self.testmo.pushing).get_mut(&self.account) {
            *count -= 1;
        }
    }
}
