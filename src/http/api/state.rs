//! Holds what all requests to the API share.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hosts::Hosts;
use crate::app::AppContext;

/// What the API works with.
pub(super) struct Api {
    pub(super) context: AppContext,
    pub(super) hosts: Hosts,
    /// The OpenAPI document.
    pub(super) document: Value,
    /// Bounds how many requests are carried out at once.
    pub(super) permits: Arc<Semaphore>,
    /// Lets one large body be read at a time.
    pub(super) large: Arc<Semaphore>,
    /// Bounds how many requests read lists from Testmo at once.
    pub(super) slow: Arc<Semaphore>,
    /// Requests that are being carried out, also where the client has gone.
    pub(super) tracker: TaskTracker,
    /// Cancelled when nothing is carried out any more.
    pub(super) over: CancellationToken,
}
