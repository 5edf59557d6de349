//! Decodes the body of a message that its publisher compressed, at most up to the size of a plain message.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::batch::message::fault::Fault;
use crate::batch::message::text::excerpt;

/// The property of a message that names its encoding; kept with the message under this name.
pub const CONTENT_ENCODING: &str = "content_encoding";
/// The words that name no compression. Some libraries write the character set here.
const PLAIN: [&str; 9] = ["", "identity", "utf-8", "utf8", "us-ascii", "ascii", "7bit", "8bit", "binary"];
/// The names of the encoding that is decoded.
const GZIP: [&str; 2] = ["gzip", "x-gzip"];
/// The first bytes of every gzip stream.
const GZIP_BEGIN: &[u8] = b"\x1f\x8b";
/// The most bytes that one compressed byte can become, rounded up.
const MOST_TIMES: usize = 1_040;
/// The most characters of an unknown encoding that a sentence shows.
const LONGEST_NAME: usize = 64;

/// The encoding of a body, as its message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding<'a> {
    /// The body is the JSON.
    Plain,
    /// The body is one gzip stream.
    Gzip,
    /// The worker does not know the encoding of this name.
    Unknown(&'a str),
}

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The body is not what its message says.
    Broken(Fault),
    /// The body becomes larger than this number of bytes.
    TooLarge(usize),
}

impl<'a> Encoding<'a> {
    /// Reads the name of an encoding; a character set beside it, as in `gzip:UTF-8`, does not count.
    pub fn of(name: Option<&'a str>) -> Self {
        let name = name.unwrap_or_default();
        let is_one_of = |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
        let mut words = name.split([',', ':']).map(str::trim).filter(|word| !is_one_of(word, &PLAIN));
        match (words.next(), words.next()) {
            (None, _) => Self::Plain,
            (Some(word), None) if is_one_of(word, &GZIP) => Self::Gzip,
            (Some(_), _) => Self::Unknown(name),
        }
    }

    /// Returns the most bytes that a body of `bytes` can become where at most `most` are decoded.
    pub fn most_decoded(self, bytes: usize, most: usize) -> usize {
        match self {
            Self::Gzip => bytes.saturating_mul(MOST_TIMES).min(most),
            Self::Plain | Self::Unknown(_) => bytes.min(most),
        }
    }

    /// Decodes a body; `None` if it is plain. At most one byte more than `most` is decoded.
    ///
    /// # Errors
    /// When the body is not of the encoding, is cut short or damaged, or becomes larger than `most` bytes.
    pub fn decode(self, body: &[u8], most: usize) -> Result<Option<Vec<u8>>, Encoded> {
        match self {
            Self::Plain => Ok(None),
            Self::Gzip => gunzip(body, most).map(Some),
            Self::Unknown(name) => {
                let name: String = excerpt(name, LONGEST_NAME).chars().map(visible).collect();
                let what = format!("has the {CONTENT_ENCODING} `{name}`, which is not supported");
                let remedy =
                    format!("compress the JSON with gzip, or publish the JSON uncompressed without {CONTENT_ENCODING}");
                Err(broken(&what, &remedy))
            }
        }
    }
}

impl Encoded {
    /// Returns what is wrong, for the shelf and the log.
    pub fn detail(&self) -> String {
        match self {
            Self::Broken(fault) => fault.to_string(),
            Self::TooLarge(most) => {
                format!("the message has more than {most} bytes when decompressed; at most {most} are allowed")
            }
        }
    }

    /// Returns the fault of a body on which the decoder failed by a defect of its own.
    pub fn defect() -> Self {
        broken("could not be decompressed because of a defect in the worker", "publish the JSON uncompressed")
    }
}

fn broken(what: &str, remedy: &str) -> Encoded {
    Encoded::Broken(Fault::at(String::new(), what.into(), remedy.into()))
}

fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// Decompresses one gzip stream. Further streams are refused: each of them would cost time, however short it is.
fn gunzip(body: &[u8], most: usize) -> Result<Vec<u8>, Encoded> {
    if !body.starts_with(GZIP_BEGIN) {
        let what = format!("has the {CONTENT_ENCODING} `gzip` but is not compressed with gzip");
        return Err(broken(&what, &format!("compress the JSON with gzip, or publish it without {CONTENT_ENCODING}")));
    }
    let mut decoder = GzDecoder::new(body);
    let mut decoded = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = (&mut decoder).take(limit).read_to_end(&mut decoded);
    if decoded.len() > most {
        return Err(Encoded::TooLarge(most));
    }
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(broken(
            "is compressed with gzip but ends before the compressed data is complete",
            "publish the whole gzip stream; it was probably cut off",
        )),
        Err(_) => Err(broken(
            "is compressed with gzip but the compressed data is damaged",
            "publish the bytes of the gzip stream unchanged, not as text",
        )),
        Ok(_) if !decoder.into_inner().is_empty() => Err(broken(
            "has more data after its gzip stream",
            "compress the JSON as one gzip stream with nothing after it",
        )),
        Ok(_) if decoded.starts_with(GZIP_BEGIN) => {
            Err(broken("is compressed with gzip twice", "compress the JSON once"))
        }
        Ok(_) => {
            decoded.shrink_to_fit();
            Ok(decoded)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 10_000;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn said(name: &str, body: &[u8]) -> String {
        Encoding::of(Some(name)).decode(body, MOST).unwrap_err().detail()
    }

    #[test]
    fn names_of_encodings_are_read_as_libraries_write_them() {
        for name in ["", "identity", "Identity", "utf-8", "UTF-8", "utf8", "binary"] {
            assert_eq!(Encoding::of(Some(name)), Encoding::Plain, "{name}");
        }
        assert_eq!(Encoding::of(None), Encoding::Plain);
        for name in ["gzip", "GZIP", "x-gzip", "gzip:UTF-8", "gzip, utf-8"] {
            assert_eq!(Encoding::of(Some(name)), Encoding::Gzip, "{name}");
        }
        for name in ["br", "zstd", "deflate", "gzip, gzip", "latin1"] {
            assert_eq!(Encoding::of(Some(name)), Encoding::Unknown(name));
        }
    }

    #[test]
    fn each_broken_body_has_a_sentence_of_its_own() {
        let whole = gzip(b"{\"a\": 1}");
        let damaged = [&whole[..whole.len() - 6], b"abcdef"].concat();
        let table: [(&str, &[u8], &str); 8] = [
            ("gzip", b"{}", "the message has the content_encoding `gzip` but is not compressed with gzip: compress"),
            ("gzip", b"", "the message has the content_encoding `gzip` but is not compressed with gzip: compress"),
            ("gzip", &whole[..whole.len() - 9], "the message is compressed with gzip but ends before"),
            ("gzip", &damaged, "the message is compressed with gzip but the compressed data is damaged: publish"),
            ("gzip", &[&whole[..], &whole[..]].concat(), "the message has more data after its gzip stream: compress"),
            ("gzip", &gzip(&whole), "the message is compressed with gzip twice: compress the JSON once"),
            ("gzip", &gzip(&[b' '; MOST + 1]), "the message has more than 10000 bytes when decompressed; at most"),
            ("br", b"{}", "the message has the content_encoding `br`, which is not supported: compress"),
        ];
        for (name, body, expected) in table {
            let said = said(name, body);
            assert!(said.starts_with(expected), "{said}");
        }
        for name in ["zstd", "deflate"] {
            assert!(said(name, b"{}").contains(&format!("`{name}`, which is not supported")));
        }
        assert!(!said(&format!("\x1b[2J{}", "x".repeat(200)), b"").contains('\x1b'));
    }

    #[test]
    fn exactly_the_limit_is_decoded() {
        let body = gzip(&[b' '; MOST]);
        assert_eq!(Encoding::Gzip.decode(&body, MOST).unwrap().unwrap().len(), MOST);
        assert_eq!(Encoding::Gzip.decode(&body, MOST - 1), Err(Encoded::TooLarge(MOST - 1)));
    }

    proptest! {
        #[test]
        fn what_was_compressed_is_decoded_within_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..5_000), times in 1..4usize) {
            let bytes = bytes.repeat(times);
            let body = gzip(&bytes);
            if !bytes.starts_with(GZIP_BEGIN) {
                prop_assert!(bytes.len() <= Encoding::Gzip.most_decoded(body.len(), usize::MAX));
                prop_assert_eq!(Encoding::Gzip.decode(&body, 20_000), Ok(Some(bytes)));
            }
        }

        #[test]
        fn any_bytes_end_in_a_bounded_body_or_a_fault(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            is_gzip in any::<bool>(),
        ) {
            let mut body = if is_gzip { gzip(&bytes) } else { [GZIP_BEGIN, &[8, 0], &bytes[..]].concat() };
            for (index, byte) in flips {
                let index = index.index(body.len());
                body[index] = byte;
            }
            match Encoding::Gzip.decode(&body, 400) {
                Ok(decoded) => prop_assert!(decoded.unwrap().len() <= 400),
                Err(encoded) => prop_assert!(encoded.detail().starts_with("the message ")),
            }
        }
    }
}
