//! Works on items that are due, side by side, each within its own time limit.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::every::Every;
use crate::guard::Task;
use crate::store::StoreError;
use crate::worker::context::WorkerContext;
use crate::worker::meanwhile::meanwhile;
use crate::worker::store_retry::patiently;
use crate::worker::unit::unit;

/// The most items of a task that are worked on at once.
const AT_ONCE: usize = 8;

/// The items of a task.
pub(super) struct Items {
    pub(super) task: Task,
    /// How long an item may take: less than its lease, so that nobody else works on it meanwhile.
    pub(super) limit: Duration,
}

/// Takes items whenever `every` is due, as many as there is room for, and works on each at once, until the worker
/// stops. An item for which the store fails is tried again within its time limit. One that panics or takes too long is
/// due again when its lease is over; the others go on.
pub(super) async fn work_on_due<T: Clone, Taking, Work>(
    context: &WorkerContext,
    items: Items,
    mut every: Every,
    take: impl Fn(u32) -> Taking,
    name: impl Fn(&T) -> String,
    work: impl Fn(T) -> Work,
) where
    Taking: Future<Output = Result<Vec<T>, StoreError>>,
    Work: Future<Output = Result<(), StoreError>>,
{
    let Items { task, limit } = items;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = under_way.next() => continue,
            goes_on = every.is_due() => if !goes_on { return },
        }
        let room = u32::try_from(AT_ONCE - under_way.len()).unwrap_or(0);
        if room == 0 {
            continue;
        }
        let taking = timeout(limit, unit(context, task, &"what is due", take(room)));
        match meanwhile(&mut under_way, |()| {}, every.unless_stopped(taking)).await {
            Some(Ok(Ok(taken))) => under_way.extend(taken.into_iter().map(|item| {
                let (what, work) = (name(&item), &work);
                async move {
                    let attempt = || unit(context, task, &what, work(item.clone()));
                    match timeout(limit, patiently(attempt)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(%task, what, %error, "an item is tried again later"),
                        Err(_) => tracing::warn!(%task, what, "an item took too long; it is tried again later"),
                    }
                }
            })),
            Some(Ok(Err(error))) => tracing::warn!(%task, %error, "what is due cannot be read"),
            Some(Err(_)) => tracing::warn!(%task, "what is due cannot be read in time"),
            None => return,
        }
    }
}
