//! Defines the permit for each request of a reading that takes several, and the bound on what a reading keeps.

use std::convert::Infallible;

use async_trait::async_trait;

use crate::batch::verdict::answer::ApiError;

/// The most bytes that the entries of one list may take in memory. 100,000 entries of an ordinary size take a fifth.
const MOST_KEPT: usize = 64 * 1024 * 1024;
/// The most entries of one list: as many as the most pages have that are read, of the size that is requested.
const MOST_ENTRIES: usize = 100_000;

/// Gives permits for the requests of a reading. Each page is a request of its own: the account may have been paused
/// since the page before.
#[async_trait]
pub trait ReadPermits: Send {
    /// Why there is no permit.
    type Refused: Send;

    /// Returns once the next request may be sent.
    ///
    /// # Errors
    /// When it may not be sent: then the reading ends.
    async fn next(&mut self) -> Result<(), Self::Refused>;
}

/// The permits of a person's own command and of tests: any number.
#[derive(Clone, Copy, Debug)]
pub struct AnyNumber;

#[async_trait]
impl ReadPermits for AnyNumber {
    type Refused = Infallible;

    async fn next(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// How a reading ended without a result.
#[derive(Debug)]
pub enum ReadError<R> {
    /// A request failed, or its answer reports a failure.
    Failed(ApiError),
    /// There was no permit for a request.
    NotPermitted(R),
}

impl<R> From<ApiError> for ReadError<R> {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl ReadError<Infallible> {
    /// Returns the failure of a reading that needs no permits.
    pub fn failure(self) -> ApiError {
        match self {
            Self::Failed(error) => error,
            Self::NotPermitted(never) => match never {},
        }
    }
}

/// An entry of a list.
pub(super) trait Entry {
    /// Returns about how many bytes the entry takes in memory.
    fn size(&self) -> usize;
}

/// Counts what a reading keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: usize,
    entries: usize,
}

impl Kept {
    /// Counts more entries.
    ///
    /// # Errors
    /// When the list has too many entries, or they take too much memory.
    pub(super) fn add<T: Entry>(&mut self, entries: &[T]) -> Result<(), ApiError> {
        self.entries = self.entries.saturating_add(entries.len());
        if self.entries > MOST_ENTRIES {
            return Err(ApiError::Unreadable(format!("a list has more than {MOST_ENTRIES} entries")));
        }
        self.bytes = entries.iter().fold(self.bytes, |sum, entry| sum.saturating_add(entry.size()));
        if self.bytes > MOST_KEPT {
            let most = MOST_KEPT / 1024 / 1024;
            return Err(ApiError::Unreadable(format!("the entries of a list take more than {most} MB")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry for usize {
        fn size(&self) -> usize {
            *self
        }
    }

    #[test]
    fn what_a_reading_keeps_is_bounded_in_sum() {
        let mut kept = Kept::default();
        assert_eq!(kept.add(&[MOST_KEPT / 2, MOST_KEPT / 4]), Ok(()));
        assert_eq!(kept.add(&[MOST_KEPT / 4]), Ok(()));
        let end = kept.add(&[1_usize]);
        assert_eq!(end, Err(ApiError::Unreadable("the entries of a list take more than 64 MB".into())));
        assert!(Kept::default().add(&[usize::MAX, usize::MAX]).is_err());
        let mut kept = Kept::default();
        assert_eq!(kept.add(&vec![1; MOST_ENTRIES]), Ok(()));
        assert_eq!(kept.add(&[1]), Err(ApiError::Unreadable("a list has more than 100000 entries".into())));
    }
}
