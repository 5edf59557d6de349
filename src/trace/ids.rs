//! Holds the ids of traces and spans, which are never zero.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The id of a trace: 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// The id of a span within a trace: 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Returns an id of these bytes; nothing if all are zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Returns its bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Reads 32 lowercase hexadecimal digits.
    pub(super) fn read(digits: &str) -> Option<Self> {
        hex(digits).and_then(Self::new)
    }
}

impl TraceId {
    /// Returns the span in which a trace is said to begin that begins in a worker. It is not recorded: the batch is the first one.
    pub(super) fn root_span(self) -> SpanId {
        SpanId::derived(&[b"root", &self.0])
    }
}

impl SpanId {
    /// Returns the id that follows from these parts, the same one each time.
    pub(super) fn derived(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut ids = digest.chunks_exact(8).filter_map(|bytes| Self::new(bytes.try_into().ok()?));
        // No text is known whose hash is zero throughout.
        ids.next().unwrap_or_else(Self::random)
    }

    /// Returns an id of these bytes; nothing if all are zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Returns a random id. A UUID of version 4 has 60 random bits in these bytes, and its version is not zero.
    pub fn random() -> Self {
        let (first, _) = Uuid::new_v4().as_u64_pair();
        Self(first.to_be_bytes())
    }

    /// Returns its bytes.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Reads 16 lowercase hexadecimal digits.
    pub(super) fn read(digits: &str) -> Option<Self> {
        hex(digits).and_then(Self::new)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads exactly two lowercase hexadecimal digits for each byte.
pub(super) fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let digits = digits.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
