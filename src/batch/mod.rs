//! Decides everything about a batch with pure functions on values: how it is read, rendered and packed, what its record
//! says, what follows each end of a request, and which events are published.
//!
//! Invariant: nothing here waits, reads a clock or draws a random number.

pub mod cause;
pub mod compared;
pub mod event;
pub mod generation;
pub mod ledger;
pub mod message;
mod packed;
pub mod render;
pub mod replay;
pub mod restored;
pub mod search;
pub mod undo;
pub mod verdict;
pub mod written;

pub use message::Batch;
pub use message::fault::Fault;
pub use message::fingerprint::{batch_tag, fingerprint, is_batch_tag, raw_hash};
pub use message::folder_name::folded_folder_name;
pub use message::identity::{BatchId, BatchKey, MAX_BATCH_ID, MAX_TENANT_ID, NotAnId, TenantId};
pub use message::text::{excerpt, one_line};
pub use render::RenderedCase;
pub use render::pack::{fitting, push_body, size_in_push};
pub use verdict::reason::Reason;

/// Returns the JSON form of a value whose type always has one: every key is a string.
///
/// # Panics
/// If there is none after all. That is a defect, and ends the unit of work: an empty text in its place would make
/// different batches equal, or a batch without cases.
pub fn json_of<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| no_json(&error))
}

/// Writes the JSON form of a value, as [`json_of`] returns it, to memory or into a hash: neither fails.
fn write_json<T: serde::Serialize + ?Sized>(to: impl std::io::Write, value: &T) {
    serde_json::to_writer(to, value).unwrap_or_else(|error| no_json(&error));
}

fn no_json(error: &serde_json::Error) -> ! {
    panic!("a value has no JSON form: {error}")
}

/// Returns bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
