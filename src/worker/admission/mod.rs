//! Turns messages into batches in hand, or shelves messages that cannot be worked on.

pub(super) mod admit;
mod awaiting;
pub(super) mod quarantine;
pub(super) mod reject;
