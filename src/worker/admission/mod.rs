//! Turns messages into batches in hand, or shelves what cannot be worked on.

pub(super) mod admit;
pub(super) mod quarantine;
pub(super) mod reject;
