//! Decides what of a batch can be found by a text, and which of its values a text matches.

mod document;
mod fold;
mod needle;
mod reading;

pub use self::document::{MAX_SEARCHED_NAME, Matched, SearchCase, SearchDocument, ValueKind};
pub use self::fold::folded;
pub use self::needle::{LONGEST_NEEDLE, Needle, NotANeedle, SHORTEST_PART, TextPart};
pub use self::reading::{of_event, of_message, of_names};

/// Which parts of a value a store can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any part.
    AnyPart,
    /// The beginnings of words: the database has no index of trigrams.
    WordBeginnings,
}
