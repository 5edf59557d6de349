//! Holds what this worker knows of a create request whose outcome is unknown.

use tokio::time::Instant;

/// What is known of a create request whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct UnclearPush {
    /// When an answer showed that Testmo no longer works on the request; `None` where no answer came.
    pub(in crate::worker) ended_at: Option<Instant>,
}
