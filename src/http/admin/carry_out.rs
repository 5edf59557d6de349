//! Carries requests out beside each other, each on a thread of its own and for a bounded time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::problem::{Code, Problem};
use super::shared::Shared;

/// The most bytes of a body that has no message.
pub(in crate::http) const SMALL: usize = 256 * 1024;
/// How long a request waits for others before it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the body of a request may take.
const LONGEST_BODY: Duration = Duration::from_secs(30);
/// How long reading from the store may take.
const LONGEST_READ: Duration = Duration::from_secs(30);
/// How long is waited for what may ask Testmo; a change goes on after that.
const LONGEST_CHANGE: Duration = Duration::from_secs(120);

/// What decides how long a request is waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Course {
    /// Whether it changes nothing, so that it ends with the wait of its client.
    pub(in crate::http) is_read: bool,
    /// Whether it reads from Testmo.
    pub(in crate::http) reads_testmo: bool,
}

/// Waits for others before a request.
///
/// # Errors
/// When that takes too long.
pub(in crate::http) async fn turn(
    permits: &Arc<Semaphore>,
    busy: &'static str,
) -> Result<OwnedSemaphorePermit, Problem> {
    let permit = timeout(LONGEST_WAIT, permits.clone().acquire_owned()).await;
    permit.map_err(|_| Problem::new(Code::Busy, busy).remedy("Try again."))?.map_err(|_| Problem::defect())
}

/// Returns the media type of a body, without its parameters.
pub(in crate::http) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// When it is too large, or takes too long.
pub(in crate::http) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    too_large: impl Fn() -> Problem,
) -> Result<Bytes, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let read = timeout(LONGEST_BODY, to_bytes(body, most)).await;
    read.map_err(|_| Problem::new(Code::InvalidHeader, "The request was not sent in time."))?.map_err(|_| too_large())
}

/// Does the work of a request on a thread that nothing else waits for, and waits for its end.
///
/// # Errors
/// When the work fails, takes too long, or is ended because the worker stops.
pub(in crate::http) async fn carry_out<T, F, W>(
    shared: &Shared,
    course: Course,
    too_long: impl FnOnce() -> Problem,
    work: W,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Problem>>,
    W: FnOnce() -> F + Send + 'static,
{
    let gone = shared.over.child_token();
    // What is read for a client is not read on once the client has gone; a change goes on.
    let _left = course.is_read.then(|| gone.clone().drop_guard());
    let (end, ended) = oneshot::channel();
    let runtime = Handle::current();
    drop(shared.tracker.spawn_blocking(move || {
        let done = runtime.block_on(gone.run_until_cancelled(work()));
        // The client may have gone.
        drop(end.send(done));
    }));
    let longest = if course.is_read && !course.reads_testmo { LONGEST_READ } else { LONGEST_CHANGE };
    let ended = timeout(longest, ended).await.map_err(|_| too_long())?.map_err(|_| Problem::defect())?;
    ended.unwrap_or_else(|| Err(Problem::new(Code::StoreUnavailable, "The worker is stopping.").remedy("Try again.")))
}
