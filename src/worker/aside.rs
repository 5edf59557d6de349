//! Who waits while a large message is read? Nobody: what takes long is computed on a thread of its own.

use std::panic::resume_unwind;

/// Smaller messages are read faster than a thread is woken up for them would be worth.
const LARGE: usize = 256 * 1024;

/// Computes something from a message of so many bytes. A defect that makes it panic does so here, too.
pub(super) async fn aside<T, F>(bytes: usize, compute: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if bytes < LARGE {
        return compute();
    }
    match tokio::task::spawn_blocking(compute).await {
        Ok(computed) => computed,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is going away, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_large_is_computed_on_another_thread_and_what_is_small_is_not() {
        let here = std::thread::current().id();
        for (bytes, is_here) in [(0, true), (LARGE - 1, true), (LARGE, false), (8_000_000, false)] {
            assert_eq!(aside(bytes, || std::thread::current().id()).await == here, is_here, "{bytes}");
        }
    }
}
