//! The core: values and pure functions. What a batch is, how it is rendered, packed, pushed in thought, and settled.
//!
//! Invariant: nothing here waits, reads a clock, draws a random number, or names another module of this package.

pub mod answer;
pub mod decode;
pub mod duplicates;
pub mod event;
mod fingerprint;
mod folder_name;
mod identity;
mod json;
pub mod ledger;
pub mod lint;
pub mod mapping;
pub mod message;
pub mod pace;
mod pack;
pub mod preview;
mod reader;
pub mod reason;
pub mod reconcile;
pub mod render;
mod text;
pub mod verdict;
pub mod written;

pub use fingerprint::{fingerprint, is_mark, mark, raw_hash};
pub use folder_name::folded_folder_name;
pub use identity::{BatchId, BatchKey, MAX_BATCH_ID, MAX_TENANT_ID, NotAnId, TenantId};
pub use message::Batch;
pub use pack::{fitting, push_body, size_in_push};
pub use reader::Fault;
pub use reason::Reason;
pub use render::RenderedCase;
pub use text::{excerpt, one_line};

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
