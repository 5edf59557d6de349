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
mod tests {
    use amq_protocol::frame::{AMQPFrame, parse_frame};
    use amq_protocol::protocol::AMQPClass;
    use amq_protocol::protocol::basic::AMQPMethod;
    use proptest::prelude::*;

    use super::super::header::tests::{deepest, long, nested, payload, with_table};
    use super::*;
    use crate::amqp::unreadable::UnreadableHeaders;

    const CHANNEL: [u8; 2] = [0, 1];
    const ASKED: u32 = 16_384;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(kind, CHANNEL, payload, &mut out);
        out
    }

    fn deliver(routing_key: &[u8]) -> Vec<u8> {
        let name = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
        frame(1, &[&[0, 60, 0, 60][..], &name(b"tag"), &[0; 9], &name(b"cases"), &name(routing_key)].concat())
    }

    fn tune(frame_max: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let arguments = [&[0, 10, 0, 30, 8, 0][..], &frame_max.to_be_bytes(), &[0, 60]].concat();
        write_frame(1, [0, 0], &arguments, &mut out);
        out
    }

    /// Returns a message with a body of five bytes.
    fn message(header: &[u8]) -> Vec<u8> {
        [deliver(b"batch"), frame(2, header), frame(3, b"body!")].concat()
    }

    fn guard() -> Guard {
        Guard::new(Marker::random(), ASKED)
    }

    /// Returns the output when the input arrives in pieces of these sizes, in turn, and is read into buffers of the
    /// same sizes.
    fn guarded(guard: &mut Guard, input: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut sizes = sizes.iter().copied().cycle();
        let (mut out, mut at) = (Vec::new(), 0);
        loop {
            let size = sizes.next().unwrap().max(1);
            let mut room = vec![0; size];
            if guard.has_ready() {
                let count = guard.give(&mut room);
                out.extend(&room[..count]);
                continue;
            }
            let left = &input[at..];
            if left.is_empty() {
                return out;
            }
            let count = match guard.wanted() {
                0 => size,
                wanted => size.min(wanted),
            };
            let mut bytes = left[..count.min(left.len())].to_vec();
            at += bytes.len();
            if guard.wanted() == 0 {
                let in_place = guard.scan(&mut bytes);
                out.extend(&bytes[..in_place]);
            } else {
                assert_eq!(guard.collect(&bytes), bytes.len());
            }
        }
    }

    fn all_at_once(input: &[u8]) -> Vec<u8> {
        guarded(&mut guard(), input, &[usize::try_from(ASKED).unwrap() * 64])
    }

    /// Returns the messages that lapin makes of the bytes, each with the header that it could not read.
    fn read(marker: &Marker, mut bytes: &[u8]) -> Vec<(Option<UnreadableHeaders>, Vec<u8>)> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let before = bytes.len();
            let (rest, frame) = parse_frame(bytes).expect("a frame that lapin can read");
            bytes = rest;
            assert!(before - rest.len() <= usize::try_from(ASKED).unwrap(), "a frame that lapin takes for too large");
            match frame {
                AMQPFrame::Header(1, header) => {
                    assert_eq!(header.class_id, 60);
                    messages.push((header, Vec::new()));
                }
                AMQPFrame::Body(1, part) => messages.last_mut().unwrap().1.extend(part),
                AMQPFrame::Method(..) | AMQPFrame::Heartbeat => {}
                AMQPFrame::ProtocolHeader(_)
                | AMQPFrame::Header(..)
                | AMQPFrame::Body(..)
                | AMQPFrame::InvalidHeartbeat(_) => panic!("an unexpected frame"),
            }
        }
        let separated = messages.into_iter().map(|(header, mut body)| {
            assert_eq!(header.body_size, u64::try_from(body.len()).unwrap());
            let headers = header.properties.headers().clone().unwrap_or_default();
            (marker.separate(&headers, &mut body), body)
        });
        separated.collect()
    }

    fn hostile() -> Vec<(Vec<u8>, &'static str)> {
        let entry = |value: &[u8]| with_table(&[b"\x01d", value].concat());
        let text = |length| entry(&[&b"S"[..], &long(&vec![b'x'; length])].concat());
        vec![
            (text(16_500), "headers and properties of 16,525 bytes; at most 16,376 can be read"),
            (text(131_000), "headers and properties of 131,025 bytes; at most 16,376 can be read"),
            (entry(&nested(64, b'F')), "the headers are nested more than 64 levels deep"),
            (entry(&nested(2_500, b'A')), "the headers are nested more than 64 levels deep"),
            (entry(&deepest(131_000, b'F').1), "at most 16,376 can be read"),
            (entry(&deepest(131_000, b'A').1), "at most 16,376 can be read"),
            (with_table(b"\x03x-\xffV"), "the header name \"x-\\xff\" is not UTF-8"),
            (payload(1 << 7, b"\x02\xff\xfe"), "the property message_id is not UTF-8"),
            (with_table(b"\x01z?"), "the headers are not valid AMQP 0-9-1 at byte 20 of the header frame"),
            (payload(0, &[7; 16_000]), "the headers are not valid AMQP 0-9-1 at byte 14 of the header frame"),
        ]
    }

    #[test]
    fn what_lapin_can_read_passes_bit_for_bit_and_stays_where_it_is() {
        let largest = with_table(&[&b"\x01dS"[..], &long(&vec![b'x'; 16_351])].concat());
        assert_eq!(frame(2, &largest).len(), 16_384);
        let deep = with_table(&[&b"\x01d"[..], &nested(63, b'F')].concat());
        let mut stream = [tune(131_072), message(&payload(0, &[])), message(&largest), message(&deep)].concat();
        stream.extend([8, 0, 0, 0, 0, 0, 0, FRAME_END]);
        stream.extend(frame(3, &vec![b'x'; 16_376]));
        assert_eq!(all_at_once(&stream), stream);
        let mut guard = guard();
        assert_eq!(guard.scan(&mut stream.clone()), stream.len());
        assert!(!guard.has_ready() && guard.held.capacity() + guard.ready.capacity() == 0);
    }

    #[test]
    fn an_unreadable_header_is_replaced_and_comes_with_the_message() {
        for (header, flaw) in hostile() {
            let mut guard = guard();
            let stream =
                [tune(131_072), message(&payload(0, &[])), message(&header), message(&payload(0, &[]))].concat();
            let out = guarded(&mut guard, &stream, &[65_536]);
            let messages = read(&guard.marker, &out);
            assert_eq!(messages.len(), 3, "{flaw}");
            for (n, (unreadable, body)) in messages.into_iter().enumerate() {
                assert_eq!(body, b"body!");
                assert_eq!(unreadable.is_some(), n == 1, "{flaw}");
                if let Some(UnreadableHeaders { detail, bytes }) = unreadable {
                    assert!(detail.contains(flaw), "{detail}");
                    assert!(bytes == header, "{flaw}");
                }
            }
        }
    }

    #[test]
    fn of_a_header_that_is_larger_than_any_broker_sends_the_start_is_kept() {
        let header = payload(0, &vec![7; 3_000_000]);
        let mut guard = guard();
        let out = guarded(&mut guard, &[message(&header), message(&payload(0, &[]))].concat(), &[65_536]);
        let messages = read(&guard.marker, &out);
        let (unreadable, body) = &messages[0];
        let UnreadableHeaders { detail, bytes } = unreadable.as_ref().unwrap();
        assert!(
            detail.ends_with("3,000,014 bytes; at most 16,376 can be read, and the first 262,144 are kept"),
            "{detail}"
        );
        assert!(header.starts_with(bytes) && bytes.len() == MOST_KEPT);
        assert_eq!((body.as_slice(), messages.len()), (&b"body!"[..], 2));
    }

    #[test]
    fn the_memory_of_unreadable_headers_is_given_back() {
        let mut guard = guard();
        for (header, _) in hostile() {
            let stream = [message(&header), message(&payload(0, &[]))].concat();
            guarded(&mut guard, &stream, &[65_536]);
            assert!(guard.held.capacity() + guard.ready.capacity() <= 2 * SPARE_BYTES);
        }
    }

    #[test]
    fn the_smaller_frame_size_counts() {
        let header = with_table(&[&b"\x01dS"[..], &long(&[b'x'; 5_000])].concat());
        for (asked, offered, passes) in
            [(16_384, 131_072, true), (16_384, 0, true), (0, 4_096, false), (16_384, 4_096, false)]
        {
            let mut guard = Guard::new(Marker::random(), asked);
            let stream = [tune(offered), message(&header)].concat();
            let out = guarded(&mut guard, &stream, &[65_536]);
            assert_eq!(out == stream, passes, "{asked} {offered}");
            assert_eq!(read(&guard.marker, &out)[0].0.is_none(), passes);
        }
    }

    #[test]
    fn names_that_are_not_utf_8_can_be_read() {
        let out = all_at_once(&deliver(b"b\xff\xc3\xbc"));
        let (_, AMQPFrame::Method(1, AMQPClass::Basic(AMQPMethod::Deliver(deliver)))) = parse_frame(&out[..]).unwrap()
        else {
            panic!("no delivery");
        };
        assert_eq!((deliver.exchange.as_str(), deliver.routing_key.as_str()), ("cases", "b?ü"));
    }

    #[test]
    fn a_marker_of_another_connection_means_nothing() {
        let header = payload(1 << 7, b"\x01\xff");
        let forged = all_at_once(&message(&header));
        let mut guard = guard();
        let out = guarded(&mut guard, &forged, &[65_536]);
        assert_eq!(out, forged);
        assert_eq!(read(&guard.marker, &out)[0].0, None);
    }

    #[test]
    fn what_is_not_amqp_passes_at_once() {
        for foreign in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"AMQP\0\0\x09\x01", b"\x15\x03\x01\0\x02\x02\x28"] {
            assert_eq!(guard().scan(&mut foreign.to_vec()), foreign.len());
            assert_eq!(guarded(&mut guard(), foreign, &[1]), foreign);
        }
        let mut broken = frame(2, &payload(1 << 7, b"\x01\xff"));
        *broken.last_mut().unwrap() = 0;
        assert_eq!(all_at_once(&broken), broken, "a frame without its end is not a frame");
    }

    fn any_header() -> impl Strategy<Value = Vec<u8>> {
        let hostile: Vec<_> = hostile().into_iter().map(|(header, _)| header).collect();
        prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| with_table(&bytes)),
            3 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(f, bytes)| payload(f, &bytes)),
            2 => Just(payload(0, &[])),
            2 => prop::sample::select(hostile),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn however_the_stream_is_split_the_same_comes_out(
            headers in prop::collection::vec(any_header(), 1..5),
            keys in prop::collection::vec(any::<u8>(), 0..20),
            sizes in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..40_000], 1..20),
        ) {
            let mut stream = tune(131_072);
            for header in &headers {
                stream.extend(deliver(&keys));
                stream.extend(message(header));
            }
            let marker = Marker::random();
            let once = guarded(&mut Guard::new(marker.clone(), ASKED), &stream, &[1_000_000]);
            let split = guarded(&mut Guard::new(marker.clone(), ASKED), &stream, &sizes);
            prop_assert!(once == split);
            let messages = read(&marker, &once);
            prop_assert_eq!(messages.len(), headers.len());
            for ((unreadable, body), header) in messages.into_iter().zip(&headers) {
                prop_assert_eq!(body, b"body!");
                prop_assert!(unreadable.is_none_or(|unreadable| unreadable.bytes == *header));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            kinds in prop::collection::vec(prop::sample::select(vec![1_u8, 2, 3, 8]), 0..5),
            sizes in prop::collection::vec(1_usize..50, 1..10),
        ) {
            let mut stream: Vec<u8> = kinds.iter().flat_map(|kind| frame(*kind, &bytes)).collect();
            stream.extend(&bytes);
            let marker = Marker::random();
            let once = guarded(&mut Guard::new(marker.clone(), ASKED), &stream, &[1_000_000]);
            let split = guarded(&mut Guard::new(marker, ASKED), &stream, &sizes);
            // Part of a frame may be held to the end.
            prop_assert!(once == split);
        }
    }
}
