//! Follows the frames in the bytes of the broker, and replaces content headers that lapin cannot read.

use super::header::{self, FIXED_BYTES};
use super::marker::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_OVERHEAD, Marker, write_frame};
use super::names;

const FRAME_METHOD: u8 = 1;
const FRAME_HEARTBEAT: u8 = 8;
/// Type, channel and size of a frame.
const PREFIX: usize = 7;
/// The smallest frame size that two peers may agree on. Source: AMQP 0-9-1, frame-min-size.
const FRAME_MIN_SIZE: usize = 4_096;
/// The largest frame with a method that holds names: larger ones cannot be one of those.
const LARGEST_METHOD: usize = 1_024;
/// The largest header frame that is collected whole, whatever frame size was agreed on.
const LARGEST_WHOLE: usize = 1_048_576;
/// The most bytes of an unreadable header that are kept; RabbitMQ's own frame size is 131,072.
pub(super) const MOST_KEPT: usize = 262_144;
/// Memory above this size, in bytes, is released once nothing waits in it.
const SPARE_BYTES: usize = 4_096;

/// What happens to the bytes that come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A frame begins.
    Prefix,
    /// So many bytes of a frame pass through.
    Passing(usize),
    /// A frame of so many bytes is collected and judged.
    Whole(usize),
    /// A header frame begins that is too large, with a payload of so many bytes.
    Oversized(usize),
    /// So many bytes of its payload become body frames on this channel; after them, as many are left out.
    Carrying { channel: [u8; 2], kept: usize, left_out: usize },
    /// So many bytes are left out.
    Skipping(usize),
    /// Everything passes, because the peer does not send frames.
    Foreign,
}

/// The judgement of a frame.
enum FrameVerdict {
    Unchanged,
    Replaced,
}

/// One direction of one connection. Bytes that need not change stay where they are.
pub(super) struct Guard {
    marker: Marker,
    /// The largest frame in bytes, with everything around its payload; 0 until the peers agree, where nothing was
    /// configured.
    frame_max: usize,
    state: State,
    /// The part of a frame that has arrived so far.
    held: Vec<u8>,
    /// The bytes that are to be given out before anything else is read.
    ready: Vec<u8>,
    given: usize,
}

impl Guard {
    /// Creates a guard; `frame_max` is the frame size that the worker asks for.
    pub(super) fn new(marker: Marker, frame_max: u32) -> Self {
        let frame_max = usize::try_from(frame_max).unwrap_or(usize::MAX);
        Self { marker, frame_max, state: State::Prefix, held: Vec::new(), ready: Vec::new(), given: 0 }
    }

    /// Returns how many bytes have to be taken by [`collect`](Self::collect) next; 0 if the next ones go to
    /// [`scan`](Self::scan).
    pub(super) fn wanted(&self) -> usize {
        if self.state == State::Prefix && self.held.is_empty() { 0 } else { self.needed() }
    }

    /// Returns whether bytes are ready to be given out.
    pub(super) fn has_ready(&self) -> bool {
        self.given < self.ready.len()
    }

    /// Gives out the bytes that are ready, as many as there is room for.
    pub(super) fn give(&mut self, room: &mut [u8]) -> usize {
        let ready = &self.ready[self.given..];
        let count = ready.len().min(room.len());
        room[..count].copy_from_slice(&ready[..count]);
        self.given += count;
        if self.given == self.ready.len() {
            self.given = 0;
            self.ready.clear();
            if self.ready.capacity() > SPARE_BYTES {
                self.ready = Vec::new();
            }
        }
        count
    }

    /// Follows the frames in bytes that have come, changing names in place. Returns how many bytes at the start can be
    /// used where they are; the guard has taken over the others.
    pub(super) fn scan(&mut self, bytes: &mut [u8]) -> usize {
        let mut in_place = None;
        let mut at = 0;
        while at < bytes.len() {
            let passed = self.pass(&mut bytes[at..]);
            if passed > 0 {
                if in_place.is_some() {
                    self.ready.extend(&bytes[at..at + passed]);
                }
                at += passed;
            } else {
                in_place.get_or_insert(at);
                at += self.collect(&bytes[at..]);
            }
        }
        in_place.unwrap_or(bytes.len())
    }

    /// Takes over at most as many bytes as the frame under way needs, and returns how many.
    pub(super) fn collect(&mut self, bytes: &[u8]) -> usize {
        let count = self.needed().min(bytes.len());
        if let State::Skipping(left) = self.state {
            self.state = if count == left { State::Prefix } else { State::Skipping(left - count) };
            return count;
        }
        self.held.extend(&bytes[..count]);
        if self.needed() == 0 {
            self.complete();
        }
        count
    }

    /// Returns how many of these bytes stay where they are; 0 if some have to be collected.
    fn pass(&mut self, bytes: &mut [u8]) -> usize {
        match self.state {
            State::Passing(left) => {
                let passed = left.min(bytes.len());
                self.state = if passed == left { State::Prefix } else { State::Passing(left - passed) };
                passed
            }
            State::Foreign => bytes.len(),
            State::Prefix if self.held.is_empty() => self.pass_frame(bytes),
            State::Prefix | State::Whole(_) | State::Oversized(_) | State::Carrying { .. } | State::Skipping(_) => 0,
        }
    }

    fn pass_frame(&mut self, bytes: &mut [u8]) -> usize {
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return 0 };
        match self.begin(prefix) {
            State::Whole(length) => match bytes.get_mut(..length).map(|frame| self.judge(frame)) {
                Some(FrameVerdict::Unchanged) => length,
                Some(FrameVerdict::Replaced) | None => 0,
            },
            state @ (State::Passing(_) | State::Foreign) => {
                self.state = state;
                self.pass(bytes)
            }
            State::Prefix | State::Oversized(_) | State::Carrying { .. } | State::Skipping(_) => 0,
        }
    }

    /// Returns what has to be done with a frame.
    fn begin(&self, prefix: &[u8; PREFIX]) -> State {
        let [kind, _, _, size @ ..] = *prefix;
        let payload = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        let length = payload.saturating_add(FRAME_OVERHEAD);
        match kind {
            FRAME_METHOD if length <= LARGEST_METHOD => State::Whole(length),
            FRAME_HEADER if length > self.largest_header() => State::Oversized(payload),
            FRAME_HEADER => State::Whole(length),
            FRAME_METHOD | FRAME_BODY | FRAME_HEARTBEAT => State::Passing(length),
            _ => State::Foreign,
        }
    }

    /// Returns how many bytes have to be collected; 0 where they pass.
    fn needed(&self) -> usize {
        let wanted = match self.state {
            State::Prefix => PREFIX,
            State::Whole(length) => length,
            State::Oversized(_) => PREFIX + FIXED_BYTES,
            State::Carrying { kept, .. } => kept.min(self.largest_payload()),
            State::Skipping(left) => left,
            State::Passing(_) | State::Foreign => 0,
        };
        wanted.saturating_sub(self.held.len())
    }

    /// Goes on once the collected part is complete.
    fn complete(&mut self) {
        match self.state {
            State::Prefix => {
                let Some(prefix) = self.held.first_chunk::<PREFIX>() else { return };
                self.state = self.begin(prefix);
                match &mut self.state {
                    State::Passing(left) => {
                        *left -= PREFIX;
                        self.ready.append(&mut self.held);
                    }
                    State::Foreign => self.ready.append(&mut self.held),
                    State::Prefix
                    | State::Whole(_)
                    | State::Oversized(_)
                    | State::Carrying { .. }
                    | State::Skipping(_) => {}
                }
            }
            State::Whole(_) => {
                let mut frame = std::mem::take(&mut self.held);
                match self.judge(&mut frame) {
                    FrameVerdict::Unchanged => self.ready.extend(&frame),
                    FrameVerdict::Replaced => self.replace(&frame),
                }
                frame.clear();
                if frame.capacity() <= SPARE_BYTES {
                    self.held = frame;
                }
                self.state = State::Prefix;
            }
            State::Oversized(payload) => {
                let kept = payload.min(MOST_KEPT);
                let channel = [self.held[1], self.held[2]];
                let flaw = self.too_large(payload);
                self.marker.write(channel, &self.held[PREFIX..], kept, &flaw, &mut self.ready);
                self.held.drain(..PREFIX);
                self.state = State::Carrying { channel, kept, left_out: payload - kept };
            }
            State::Carrying { channel, kept, left_out } => {
                write_frame(FRAME_BODY, channel, &self.held, &mut self.ready);
                let kept = kept - self.held.len();
                self.held.clear();
                self.state = match kept {
                    // The end octet is left out with the rest.
                    0 => State::Skipping(left_out + 1),
                    kept => State::Carrying { channel, kept, left_out },
                };
                if kept == 0 {
                    self.held = Vec::new();
                }
            }
            State::Passing(_) | State::Skipping(_) | State::Foreign => {}
        }
    }

    /// Judges a whole frame, and makes the names of a method readable.
    fn judge(&mut self, frame: &mut [u8]) -> FrameVerdict {
        let end = frame.len() - 1;
        if frame[end] != FRAME_END {
            // Not a frame: lapin ends the connection because of it, as it should.
            return FrameVerdict::Unchanged;
        }
        let kind = frame[0];
        let payload = &mut frame[PREFIX..end];
        if kind == FRAME_HEADER {
            return match payload.len() >= FIXED_BYTES && header::check(payload).is_err() {
                true => FrameVerdict::Replaced,
                false => FrameVerdict::Unchanged,
            };
        }
        if let Some((&mut [c, d, m, e], arguments)) = payload.split_first_chunk_mut() {
            let (class, method) = (u16::from_be_bytes([c, d]), u16::from_be_bytes([m, e]));
            if (class, method) == (10, 30) {
                self.agree(arguments);
            }
            names::clean(class, method, arguments);
        }
        FrameVerdict::Unchanged
    }

    /// Applies the frame size that the broker names in connection.tune, as lapin does: the smaller one, if both have
    /// one.
    fn agree(&mut self, arguments: &[u8]) {
        let Some(&[_, _, a, b, c, d]) = arguments.first_chunk() else { return };
        let theirs = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if theirs != 0 && (self.frame_max == 0 || theirs < self.frame_max) {
            self.frame_max = theirs;
        }
    }

    /// Writes the replacement of a header frame: the marker, and the frame's payload as the start of the body.
    fn replace(&mut self, frame: &[u8]) {
        let payload = &frame[PREFIX..frame.len() - 1];
        let channel = [frame[1], frame[2]];
        let flaw = header::check(payload).err().map_or_else(String::new, |flaw| flaw.to_string());
        let payload = &payload[..payload.len().min(MOST_KEPT)];
        self.marker.write(channel, payload, payload.len(), &flaw, &mut self.ready);
        for part in payload.chunks(self.largest_payload()) {
            write_frame(FRAME_BODY, channel, part, &mut self.ready);
        }
    }

    fn too_large(&self, payload: usize) -> String {
        let (size, limit) = (grouped(payload), grouped(self.largest_header() - FRAME_OVERHEAD));
        let text = format!("headers and properties of {size} bytes; at most {limit} can be read");
        match payload > MOST_KEPT {
            true => format!("{text}, and the first {} are kept", grouped(MOST_KEPT)),
            false => text,
        }
    }

    fn largest_header(&self) -> usize {
        self.largest_frame().min(LARGEST_WHOLE)
    }

    fn largest_payload(&self) -> usize {
        self.largest_header() - FRAME_OVERHEAD
    }

    fn largest_frame(&self) -> usize {
        if self.frame_max == 0 { usize::MAX } else { self.frame_max.max(FRAME_MIN_SIZE) }
    }
}

/// Returns a number with its thousands separated.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.char_indices() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
