//! Holds what all requests to the API share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::admin::shared::Shared;

/// What the API works with.
pub(super) struct Api {
    pub(super) shared: Arc<Shared>,
    /// The OpenAPI document as text, which takes a fifth of the memory of its values.
    pub(super) document: String,
    /// Bounds how many requests are carried out at once.
    pub(super) permits: Arc<Semaphore>,
    /// Lets one large body be read at a time.
    pub(super) large: Arc<Semaphore>,
    /// Bounds how many requests read lists from Testmo at once.
    pub(super) slow: Arc<Semaphore>,
}
