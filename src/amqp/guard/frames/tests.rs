//! Checks what passes the guard unchanged and what it replaces, however the bytes are cut.

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
        let stream = [tune(131_072), message(&payload(0, &[])), message(&header), message(&payload(0, &[]))].concat();
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
