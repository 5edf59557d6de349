//! Remembers when the store was last written, or why it could not be.

use crate::guard::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::super::StoreError;

/// The latest end of writing to the store.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Written(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    written_at: Option<Instant>,
    failure: Option<StoreError>,
}

impl Written {
    /// Records the end of a transaction, which is now. A failure by a request says nothing about the store.
    pub(in crate::store) fn note(&self, end: Result<(), &StoreError>, now: Instant) {
        let mut latest = lock(&self.0);
        match end {
            Ok(()) => *latest = Latest { written_at: Some(now), failure: None },
            Err(error) if !error.is_of_request() => latest.failure = Some(error.clone()),
            Err(_) => {}
        }
    }

    /// Returns whether the latest write failed, or none has succeeded for `proven_for`.
    pub(in crate::store) fn is_doubtful(&self, proven_for: Duration, now: Instant) -> bool {
        let latest = lock(&self.0);
        latest.failure.is_some() || latest.written_at.is_none_or(|at| now.saturating_duration_since(at) >= proven_for)
    }

    /// Returns when a transaction last succeeded in this process.
    pub(in crate::store) fn last(&self) -> Option<Instant> {
        lock(&self.0).written_at
    }

    /// Returns why the latest write failed, if it did.
    pub(in crate::store) fn failure(&self) -> Option<StoreError> {
        lock(&self.0).failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_proves_that_the_store_works_until_one_fails_or_it_is_long_ago() {
        const LONG: Duration = Duration::from_secs(30);
        let (written, start) = (Written::default(), Instant::now());
        let almost = start + LONG - Duration::from_millis(1);
        assert!(written.is_doubtful(LONG, start), "nothing was written yet");
        written.note(Ok(()), start);
        written.note(Err(&StoreError::NoRoom("a large request".into())), start);
        assert!(!written.is_doubtful(LONG, almost));
        written.note(Err(&StoreError::Locked("busy".into())), almost);
        assert!(written.is_doubtful(LONG, almost) && written.failure().unwrap().to_string().contains("busy"));
        written.note(Ok(()), almost);
        assert!(!written.is_doubtful(LONG, start + LONG) && written.failure().is_none());
        assert!(written.is_doubtful(LONG, almost + LONG));
    }
}
