//! Waits for a store that does not answer, for a limited time.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::StoreError;

/// How long a worker keeps what it has in hand while the store does not answer.
pub(super) const STORE_PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two attempts to reach a store that does not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Repeats a request until the store answers, for at most [`STORE_PATIENCE`].
///
/// # Errors
/// When the store does not answer by then, was closed, holds a row that cannot be read, refuses a value, or a defect
/// made it panic.
pub(super) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, StoreError> {
    let since = Instant::now();
    let mut is_first = true;
    loop {
        match attempt().await {
            Err(
                error
                @ (StoreError::Closed | StoreError::Unreadable(_) | StoreError::Data(_) | StoreError::Panicked(_)),
            ) => return Err(error),
            Err(error) if since.elapsed() < STORE_PATIENCE => {
                // Each of many waiting tasks comes here every second.
                if std::mem::take(&mut is_first) {
                    tracing::warn!(%error, "the store failed; trying again every second");
                } else {
                    tracing::debug!(%error, "the store failed again");
                }
                tokio::time::sleep(STORE_PAUSE).await;
            }
            end => return end,
        }
    }
}
