//! Decides whether lapin can read a content header, without recursion.
//!
//! Accepts what the parser of `amq-protocol` accepts, except for tables that are nested deeper than [`DEEPEST`].

use std::fmt;

/// The deepest nesting of tables and arrays that is passed on; the table of headers is the first level. lapin's parser
/// recurses, and 200 levels overflow the stack of its thread in a debug build.
pub(super) const DEEPEST: usize = 64;

/// Bytes of a content header before the property flags: class, weight, and body size. Source: AMQP 0-9-1, 4.2.6.1.
pub(super) const FIXED_BYTES: usize = 12;

/// The most characters that are shown of a name that is not UTF-8.
const SHOWN_OF_NAME: usize = 60;

/// The properties in the order of their flags, from the highest bit. Source: AMQP 0-9-1, class basic.
const PROPERTIES: [(&str, Kind); 14] = [
    ("content_type", Kind::Text),
    ("content_encoding", Kind::Text),
    ("headers", Kind::Table),
    ("delivery_mode", Kind::Bytes(1)),
    ("priority", Kind::Bytes(1)),
    ("correlation_id", Kind::Text),
    ("reply_to", Kind::Text),
    ("expiration", Kind::Text),
    ("message_id", Kind::Text),
    ("timestamp", Kind::Bytes(8)),
    ("type", Kind::Text),
    ("user_id", Kind::Text),
    ("app_id", Kind::Text),
    ("cluster_id", Kind::Text),
];

/// Why lapin cannot read a content header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A property is not UTF-8.
    Property(&'static str),
    /// The name of a header is not UTF-8.
    Name(String),
    /// Tables or arrays are nested too deeply.
    Depth,
    /// The bytes are not a content header of AMQP 0-9-1.
    Form {
        /// Where, counted from the first byte of the header frame's payload.
        at: usize,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Table,
    Bytes(usize),
}

/// What a table or an array holds.
#[derive(Clone, Copy)]
struct Level {
    end: usize,
    named: bool,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Checks the payload of a content-header frame.
pub(super) fn check(payload: &[u8]) -> Result<(), Flaw> {
    let mut cursor = Cursor { bytes: payload, at: 0 };
    let end = payload.len();
    cursor.skip(FIXED_BYTES, end)?;
    let [high, low] = cursor.array(end)?;
    let flags = u16::from_be_bytes([high, low]);
    for (n, (name, kind)) in PROPERTIES.into_iter().enumerate() {
        if flags & (1 << (15 - n)) == 0 {
            continue;
        }
        match kind {
            Kind::Text => {
                let text = cursor.short_text(end)?;
                std::str::from_utf8(text).map_err(|_| Flaw::Property(name))?;
            }
            Kind::Bytes(count) => cursor.skip(count, end)?,
            Kind::Table => cursor.table(end)?,
        }
    }
    if cursor.at == end { Ok(()) } else { Err(cursor.malformed()) }
}

impl<'a> Cursor<'a> {
    /// Passes over a table with everything in it.
    fn table(&mut self, end: usize) -> Result<(), Flaw> {
        let mut levels = [Level { end: 0, named: true }; DEEPEST];
        levels[0] = Level { end: self.length(end)?, named: true };
        let mut depth = 1;
        while depth > 0 {
            let level = levels[depth - 1];
            if self.at == level.end {
                depth -= 1;
                continue;
            }
            if level.named {
                let name = self.short_text(level.end)?;
                if std::str::from_utf8(name).is_err() {
                    return Err(Flaw::Name(shown(name)));
                }
            }
            if let Some(inner) = self.value(level.end)? {
                *levels.get_mut(depth).ok_or(Flaw::Depth)? = inner;
                depth += 1;
            }
        }
        Ok(())
    }

    /// Passes over a value, or into it if it is a table or an array. Types as RabbitMQ and `amq-protocol` read them.
    fn value(&mut self, end: usize) -> Result<Option<Level>, Flaw> {
        let at = self.at;
        let [kind] = self.array(end)?;
        match kind {
            b'V' => {}
            b't' | b'b' | b'B' => self.skip(1, end)?,
            b's' | b'U' | b'u' => self.skip(2, end)?,
            b'I' | b'i' | b'f' => self.skip(4, end)?,
            b'D' => self.skip(5, end)?,
            b'l' | b'L' | b'd' | b'T' => self.skip(8, end)?,
            b'S' | b'x' => self.at = self.length(end)?,
            b'A' => return Ok(Some(Level { end: self.length(end)?, named: false })),
            b'F' => return Ok(Some(Level { end: self.length(end)?, named: true })),
            _ => return Err(Flaw::Form { at }),
        }
        Ok(None)
    }

    /// Reads a long length, and returns where what it measures ends.
    fn length(&mut self, end: usize) -> Result<usize, Flaw> {
        let at = self.at;
        let length = u32::from_be_bytes(self.array(end)?);
        let length = usize::try_from(length).map_err(|_| Flaw::Form { at })?;
        self.at.checked_add(length).filter(|inner| *inner <= end).ok_or(Flaw::Form { at })
    }

    fn short_text(&mut self, end: usize) -> Result<&'a [u8], Flaw> {
        let [length] = self.array(end)?;
        let start = self.at;
        self.skip(usize::from(length), end)?;
        Ok(&self.bytes[start..self.at])
    }

    fn array<const N: usize>(&mut self, end: usize) -> Result<[u8; N], Flaw> {
        let start = self.at;
        self.skip(N, end)?;
        self.bytes[start..self.at].try_into().map_err(|_| self.malformed())
    }

    fn skip(&mut self, count: usize, end: usize) -> Result<(), Flaw> {
        match self.at.checked_add(count).filter(|next| *next <= end) {
            Some(next) => {
                self.at = next;
                Ok(())
            }
            None => Err(self.malformed()),
        }
    }

    fn malformed(&self) -> Flaw {
        Flaw::Form { at: self.at }
    }
}

fn shown(name: &[u8]) -> String {
    let text = name.escape_ascii().to_string();
    match text.get(..SHOWN_OF_NAME) {
        Some(start) => format!("{start}…"),
        None => text,
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => write!(f, "the property {name} is not UTF-8"),
            Self::Name(name) => write!(f, "the header name \"{name}\" is not UTF-8"),
            Self::Depth => write!(f, "the headers are nested more than {DEEPEST} levels deep"),
            Self::Form { at } => write!(f, "the headers are not valid AMQP 0-9-1 at byte {at} of the header frame"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use amq_protocol::frame::parse_frame;
    use proptest::prelude::*;

    use super::*;

    /// Returns the payload of a content header with these property flags and bytes.
    pub(in crate::amqp::guard) fn payload(flags: u16, properties: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        payload.extend(flags.to_be_bytes());
        payload.extend(properties);
        payload
    }

    /// Returns the payload of a content header with a table of headers.
    pub(in crate::amqp::guard) fn with_table(table: &[u8]) -> Vec<u8> {
        payload(1 << 13, &long(table))
    }

    pub(in crate::amqp::guard) fn long(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        [&length.to_be_bytes()[..], bytes].concat()
    }

    /// Returns a value that is nested so many levels deep, as a table in a table or an array in an array.
    pub(in crate::amqp::guard) fn nested(levels: usize, kind: u8) -> Vec<u8> {
        let mut value = vec![b'V'];
        for _ in 0..levels {
            let entry = if kind == b'F' { [&[0][..], &value].concat() } else { value };
            value = [&[kind][..], &long(&entry)].concat();
        }
        value
    }

    /// Returns the deepest value that fits in so many bytes.
    pub(in crate::amqp::guard) fn deepest(bytes: usize, kind: u8) -> (usize, Vec<u8>) {
        let each = if kind == b'F' { 6 } else { 5 };
        let levels = (bytes - 1) / each;
        let mut value = Vec::with_capacity(bytes);
        for level in 0..levels {
            let inside = (levels - level - 1) * each + 1 + usize::from(kind == b'F');
            value.push(kind);
            value.extend(u32::try_from(inside).unwrap().to_be_bytes());
            value.extend((kind == b'F').then_some(0));
        }
        value.push(b'V');
        assert!(value.len() <= bytes);
        (levels, value)
    }

    fn named(name: &[u8], value: &[u8]) -> Vec<u8> {
        [&[u8::try_from(name.len()).unwrap()][..], name, value].concat()
    }

    /// Returns whether the parser that lapin uses reads a header frame with this payload.
    fn lapin_reads(payload: &[u8]) -> bool {
        let frame = [&[2, 0, 1][..], &long(payload), &[0xCE]].concat();
        parse_frame(&frame[..]).is_ok()
    }

    #[test]
    fn what_publishers_send_is_accepted() {
        for payload in [
            payload(0, &[]),
            payload(1 << 15, b"\x10application/json"),
            with_table(&[]),
            with_table(&named("größe".as_bytes(), b"S\0\0\0\x02\xff\xfe")),
            with_table(&[named(b"a", b"t\x01"), named(b"a", b"l\0\0\0\0\0\0\0\x01"), named(b"", b"V")].concat()),
            with_table(&named(b"d", &nested(DEEPEST - 1, b'F'))),
            with_table(&named(b"d", &nested(DEEPEST - 1, b'A'))),
        ] {
            assert_eq!(check(&payload), Ok(()), "{payload:?}");
            assert!(lapin_reads(&payload), "{payload:?}");
        }
    }

    #[test]
    fn what_lapin_cannot_read_is_named() {
        let form = |at| Flaw::Form { at };
        for (payload, flaw) in [
            (payload(1 << 7, b"\x02\xff\xfe"), Flaw::Property("message_id")),
            (with_table(&named(b"x-\xff", b"V")), Flaw::Name("x-\\xff".into())),
            (with_table(&named(b"n", &[&b"F"[..], &long(&named(b"\xc3", b"V"))].concat())), Flaw::Name("\\xc3".into())),
            (with_table(&named(b"d", &nested(DEEPEST, b'F'))), Flaw::Depth),
            (with_table(&named(b"d", &nested(DEEPEST, b'A'))), Flaw::Depth),
            (with_table(&named(b"z", b"z\0")), form(20)),
            (with_table(&named(b"s", b"S\xff\xff\xff\xff")), form(21)),
            (payload(1 << 15, b"\x10appl"), form(15)),
            (payload(0, b"more"), form(14)),
            (vec![0, 60], form(0)),
        ] {
            assert_eq!(check(&payload), Err(flaw), "{payload:?}");
        }
    }

    #[test]
    fn the_deepest_tables_that_fit_a_frame_are_refused_without_recursion() {
        // A stack that would not bear one recursion in a hundred of these levels.
        let checked = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
            for kind in [b'F', b'A'] {
                let (levels, value) = deepest(131_072 - 30, kind);
                assert!(levels > 21_000, "{levels}");
                assert_eq!(check(&with_table(&named(b"d", &value))), Err(Flaw::Depth));
            }
        });
        checked.unwrap().join().unwrap();
    }

    fn any_value() -> impl Strategy<Value = Vec<u8>> {
        let flat = (prop::sample::select(b"tbBsUuIilLfdDSxVz".to_vec()), prop::collection::vec(any::<u8>(), 8))
            .prop_map(|(kind, bytes)| {
                let bytes = match kind {
                    b'V' => vec![],
                    b't' | b'b' | b'B' => bytes[..1].to_vec(),
                    b's' | b'U' | b'u' => bytes[..2].to_vec(),
                    b'I' | b'i' | b'f' => bytes[..4].to_vec(),
                    b'D' => bytes[..5].to_vec(),
                    b'S' | b'x' => long(&bytes),
                    _ => bytes,
                };
                [&[kind][..], &bytes].concat()
            });
        flat.prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof![Just(b"name".to_vec()), prop::collection::vec(any::<u8>(), 0..4)];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| [&b"A"[..], &long(&values.concat())].concat()),
                prop::collection::vec((name, inner).prop_map(|(name, value)| named(&name, &value)), 0..4)
                    .prop_map(|entries| [&b"F"[..], &long(&entries.concat())].concat()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_exactly_what_lapin_reads(
            flags: u16,
            value in any_value(),
            texts in prop::collection::vec(prop::collection::vec(prop_oneof![9 => b'a'..=b'z', 1 => any::<u8>()], 0..6), 14),
            cut in prop::option::weighted(0.2, 0_usize..60),
        ) {
            let mut properties = Vec::new();
            for (n, (_, kind)) in PROPERTIES.into_iter().enumerate() {
                if flags & (1 << (15 - n)) != 0 {
                    match kind {
                        Kind::Text => properties.extend(named(&texts[n], &[])),
                        Kind::Bytes(count) => properties.extend(vec![0; count]),
                        Kind::Table => properties.extend(long(&named(b"h", &value))),
                    }
                }
            }
            let mut payload = payload(flags, &properties);
            cut.into_iter().for_each(|cut| payload.truncate(cut));
            prop_assert_eq!(check(&payload).is_ok(), lapin_reads(&payload));
        }

        #[test]
        fn arbitrary_bytes_are_judged_as_lapin_judges_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(check(&bytes).is_ok(), lapin_reads(&bytes));
            let table = with_table(&bytes);
            prop_assert_eq!(check(&table).is_ok(), lapin_reads(&table));
        }
    }
}
