//! Waits for events and conditions, with one deadline for all tests.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The longest wait for any event; a restarted broker needs up to ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two checks of a condition that cannot notify, so that checking does not slow down the checked
/// process.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits for an event that must come; if it does not, the test fails with the place of the wait.
#[track_caller]
pub(crate) fn patient<T>(event: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let event = timeout(PATIENCE, event).await;
        event.unwrap_or_else(|_| panic!("what {place} waits for did not happen within {PATIENCE:?}"))
    }
}

/// Waits until a condition of another process, or of the store, is true. Nothing notifies of these conditions, so they
/// are checked again and again.
#[track_caller]
pub(crate) fn until(condition: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
    patient(async move {
        while !condition().await {
            sleep(PAUSE).await;
        }
    })
}
