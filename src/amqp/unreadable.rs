//! Holds the properties and headers of a message that cannot be read.

/// Properties and headers that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableHeaders {
    /// What is wrong with them.
    pub detail: String,
    /// The payload of the content-header frame as received, at most 262,144 bytes of it.
    pub bytes: Vec<u8>,
}
