//! Checks, previews and publishes messages.

pub mod preview;
