//! Moves long computations over large messages and answers to a thread of their own, so that no other batch waits for
//! them.

use std::panic::resume_unwind;

/// Below this size, in bytes, a computation takes less time than waking up a thread.
const LARGE: usize = 256 * 1024;

/// Computes something from a message or an answer of so many bytes. A panic of the computation is passed on.
pub(crate) async fn run_blocking_if_large<T, F>(bytes: usize, compute: F) -> T
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
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_large_messages_are_computed_on_another_thread() {
        let here = std::thread::current().id();
        for (bytes, is_here) in [(0, true), (LARGE - 1, true), (LARGE, false), (8_000_000, false)] {
            assert_eq!(run_blocking_if_large(bytes, || std::thread::current().id()).await == here, is_here, "{bytes}");
        }
    }
}
