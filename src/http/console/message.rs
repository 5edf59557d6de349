//! Shows the message of an entry: as indented JSON, as text, or byte by byte.

/// The most characters or bytes that a page shows.
const MOST: usize = 200_000;
/// The most bytes that are shown one by one.
const MOST_BYTES: usize = 4_096;

/// A message as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// How many bytes the message has.
    pub(super) bytes: usize,
    /// Whether the page shows only its beginning.
    pub(super) is_cut: bool,
}

/// How a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Text,
    Hex,
}

impl Kind {
    /// Returns what it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON, indented",
            Self::Text => "text",
            Self::Hex => "bytes",
        }
    }
}

impl Shown {
    /// Shows bytes.
    pub(super) fn of(body: &[u8]) -> Self {
        let (kind, text) = match (serde_json::from_slice::<serde_json::Value>(body), std::str::from_utf8(body)) {
            (Ok(value), _) => (Kind::Json, format!("{value:#}")),
            (Err(_), Ok(text)) if !text.is_empty() => (Kind::Text, text.to_owned()),
            (Err(_), _) => (Kind::Hex, hex_of(body.get(..MOST_BYTES).unwrap_or(body))),
        };
        let is_cut = if kind == Kind::Hex { body.len() > MOST_BYTES } else { text.chars().count() > MOST };
        let text = if is_cut && kind != Kind::Hex { text.chars().take(MOST).collect() } else { text };
        Self { kind, text, bytes: body.len(), is_cut }
    }
}

/// Writes bytes in lines of 16, with the characters that they are.
fn hex_of(bytes: &[u8]) -> String {
    let mut lines = String::new();
    for (at, line) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String =
            line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        lines += &format!("{:08x}  {:<47}  {shown}\n", at * 16, digits.join(" "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_by_what_it_is() {
        let json = Shown::of(br#"{"a":[1,"x"]}"#);
        assert_eq!((json.kind, json.text.as_str()), (Kind::Json, "{\n  \"a\": [\n    1,\n    \"x\"\n  ]\n}"));
        assert_eq!(Shown::of(b"{\"a\":").kind, Kind::Text);
        let hex = Shown::of(b"\xff\x00AB");
        assert_eq!(hex.text, format!("00000000  {:<47}  ..AB\n", "ff 00 41 42"));
        assert_eq!((hex.kind, hex.bytes, hex.is_cut), (Kind::Hex, 4, false));
        assert_eq!(Shown::of(b"").kind, Kind::Hex);
        assert!(Shown::of("x".repeat(MOST + 1).as_bytes()).is_cut && Shown::of(&[0xff; 5_000]).is_cut);
    }
}
