//! Replaces bytes that are not UTF-8 in the names that methods of the broker carry.
//!
//! Exchange and routing key of a delivery are chosen by its publisher, and the broker cuts its own long texts at a
//! byte. lapin ends the connection because of such a name.

/// The part of a method's arguments up to its last name.
#[derive(Clone, Copy)]
enum Part {
    /// So many bytes.
    Bytes(usize),
    /// A short string by which lapin finds something again; the broker or the worker chose it.
    Reference,
    /// A short string that is only shown.
    Name,
}

use Part::{Bytes, Name, Reference};

/// The arguments of a method. Source: AMQP 0-9-1 with RabbitMQ's extensions.
fn parts(class: u16, method: u16) -> &'static [Part] {
    match (class, method) {
        // basic.deliver: consumer tag, delivery tag and redelivered, exchange, routing key.
        (60, 60) => &[Reference, Bytes(9), Name, Name],
        // basic.return: reply code, reply text, exchange, routing key.
        (60, 50) => &[Bytes(2), Name, Name, Name],
        // basic.get-ok: delivery tag and redelivered, exchange, routing key.
        (60, 71) => &[Bytes(9), Name, Name],
        // channel.close and connection.close: reply code, reply text.
        (20, 40) | (10, 50) => &[Bytes(2), Name],
        // connection.blocked: reason.
        (10, 60) => &[Name],
        _ => &[],
    }
}

/// Replaces what is not UTF-8 in the names of a method, in place; `arguments` follow its class and number.
pub(super) fn clean(class: u16, method: u16, arguments: &mut [u8]) {
    let mut rest = arguments;
    for part in parts(class, method) {
        let length = match part {
            Bytes(count) => *count,
            Reference | Name => 1 + rest.first().map_or(0, |length| usize::from(*length)),
        };
        let Some((bytes, after)) = rest.split_at_mut_checked(length) else { return };
        if let (Name, Some(name)) = (part, bytes.get_mut(1..)) {
            make_text(name);
        }
        rest = after;
    }
}

/// Puts a `?` in place of each byte that is not part of a UTF-8 character.
fn make_text(mut bytes: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(bytes) {
        let (start, length) = (error.valid_up_to(), error.error_len());
        let end = length.map_or(bytes.len(), |length| start + length);
        bytes[start..end].fill(b'?');
        bytes = &mut bytes[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
        let mut arguments = arguments.to_vec();
        clean(class, method, &mut arguments);
        arguments
    }

    #[test]
    fn only_the_names_of_a_delivery_become_readable() {
        let delivery = b"\x03t\xff1\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02e\xff\x04\xc3\xbck\xc3";
        assert_eq!(cleaned(60, 60, delivery), b"\x03t\xff1\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02e?\x04\xc3\xbck?");
    }

    #[test]
    fn a_text_that_the_broker_has_cut_becomes_readable() {
        assert_eq!(cleaned(20, 40, b"\x01\x94\x05no \xe2\x82\0\x3c\0\x28"), b"\x01\x94\x05no ??\0\x3c\0\x28");
        assert_eq!(cleaned(10, 60, b"\x01\xff"), b"\x01?");
    }

    #[test]
    fn other_methods_and_broken_ones_stay_as_they_are() {
        assert_eq!(cleaned(60, 80, b"\xff\xff\xff"), b"\xff\xff\xff");
        for broken in [&b""[..], b"\xff", b"\x01a\0", b"\x01a\0\0\0\0\0\0\0\0\0\x09\xff"] {
            assert_eq!(cleaned(60, 60, broken), broken);
        }
    }
}
