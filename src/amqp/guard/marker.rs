//! Writes the header that replaces an unreadable one, and finds it again in a delivery.

use std::sync::Arc;

use lapin::types::FieldTable;

use super::header::FIXED_BYTES;
use crate::amqp::unreadable::UnreadableHeaders;

/// Bytes of a frame around its payload: type, channel and size before it, and the end octet.
pub(super) const FRAME_OVERHEAD: usize = 8;
pub(super) const FRAME_HEADER: u8 = 2;
pub(super) const FRAME_BODY: u8 = 3;
pub(super) const FRAME_END: u8 = 0xCE;

/// The bit of the property flags that announces a table of headers.
const HEADERS_FLAG: u16 = 1 << 13;

/// The name of the only header of a replaced content header, random for each connection.
#[derive(Clone, Debug)]
pub(in crate::amqp) struct Marker(Arc<str>);

impl Marker {
    /// Creates a name that no publisher can know.
    pub(in crate::amqp) fn random() -> Self {
        Self(format!("unreadable-{}", uuid::Uuid::new_v4().simple()).into())
    }

    /// Writes a header frame with the class of `payload` and a body that is longer by `kept` bytes. `payload` is the
    /// start of the unreadable header, at least [`FIXED_BYTES`] of it.
    pub(super) fn write(&self, channel: [u8; 2], payload: &[u8], kept: usize, flaw: &str, out: &mut Vec<u8>) {
        let size = payload[4..FIXED_BYTES].try_into().map_or(0, u64::from_be_bytes);
        let size = size.saturating_add(u64::try_from(kept).unwrap_or(u64::MAX));
        let value = format!("{kept} {flaw}");
        let mut table = vec![u8::try_from(self.0.len()).unwrap_or(u8::MAX)];
        table.extend(self.0.as_bytes());
        table.push(b'S');
        extend_long(&mut table, value.as_bytes());
        let mut header = payload[..4].to_vec();
        header.extend(size.to_be_bytes());
        header.extend(HEADERS_FLAG.to_be_bytes());
        extend_long(&mut header, &table);
        write_frame(FRAME_HEADER, channel, &header, out);
    }

    /// Separates the bytes of a replaced header from the body that follows them; `None` for a header that lapin has
    /// read unchanged.
    pub(in crate::amqp) fn separate(&self, headers: &FieldTable, data: &mut Vec<u8>) -> Option<UnreadableHeaders> {
        let value = headers.inner().get(&*self.0)?.as_long_string()?.to_string();
        let (kept, detail) = value.split_once(' ')?;
        let kept = kept.parse::<usize>().ok()?.min(data.len());
        let body = data.split_off(kept);
        let bytes = std::mem::replace(data, body);
        Some(UnreadableHeaders { detail: detail.to_owned(), bytes })
    }
}

/// Writes one frame.
pub(super) fn write_frame(kind: u8, channel: [u8; 2], payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(channel);
    extend_long(out, payload);
    out.push(FRAME_END);
}

fn extend_long(out: &mut Vec<u8>, bytes: &[u8]) {
    // These bytes are part of a frame, whose length has four bytes.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}
