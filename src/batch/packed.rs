//! Packs values as compressed JSON, in which the store keeps them.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json_of;

/// The most bytes that a value is unpacked to.
const LARGEST: u64 = 64 << 20;

/// Returns a value as compressed JSON.
pub(in crate::batch) fn packed<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    drop(encoder.write_all(json_of(value).as_bytes()));
    encoder.finish().unwrap_or_default()
}

/// Reads what [`packed`] returned; `None` if it cannot be read.
pub(in crate::batch) fn unpacked<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let mut text = Vec::new();
    GzDecoder::new(body).take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
