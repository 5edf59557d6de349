//! Holds what all requests to `admin.listen` share.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hosts::Hosts;
use crate::app::AppContext;

/// The most entries of the shelf that one request changes.
pub(in crate::http) const MOST_CHANGED: usize = 2_000;

/// What the API and the console work with.
pub(in crate::http) struct Shared {
    pub(in crate::http) context: AppContext,
    pub(in crate::http) hosts: Hosts,
    /// Requests that are being carried out, also where the client has gone.
    pub(in crate::http) tracker: TaskTracker,
    /// Cancelled when nothing is carried out any more.
    pub(in crate::http) over: CancellationToken,
}
