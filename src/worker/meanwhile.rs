//! Lets work go on while its loop waits for something else.

use std::pin::pin;

use futures_util::{Stream, StreamExt};

/// Waits for `other` while `under_way` goes on; `ended` takes each end.
///
/// Work that its loop does not poll stands still with whatever it holds. If that is the only connection that may write
/// to the store, and `other` needs it, nobody in the process writes until a timeout ends the wait.
pub(super) async fn meanwhile<S: Stream + Unpin, T>(
    under_way: &mut S,
    mut ended: impl FnMut(S::Item),
    other: impl Future<Output = T>,
) -> T {
    let mut other = pin!(other);
    loop {
        tokio::select! {
            biased;
            done = &mut other => return done,
            Some(end) = under_way.next() => ended(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_may_need_what_the_work_holds() {
        let writer = Semaphore::new(1);
        let writing = |n: u32| {
            let writer = &writer;
            async move {
                let _held = writer.acquire().await.expect("open");
                yield_now().await;
                n
            }
        };
        let mut under_way: FuturesUnordered<_> = [writing(1), writing(2)].into_iter().collect();
        assert_eq!(under_way.next().now_or_never(), None);
        let mut ends = Vec::new();
        assert_eq!(meanwhile(&mut under_way, |end| ends.push(end), writing(3)).await, 3);
        assert_eq!(ends, [1, 2]);
    }

    #[tokio::test]
    async fn without_any_work_the_other_is_waited_for() {
        let mut nothing = FuturesUnordered::<std::future::Ready<()>>::new();
        assert_eq!(meanwhile(&mut nothing, |()| {}, async { yield_now().await }).await, ());
    }
}
