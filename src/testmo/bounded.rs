//! Reads lists up to a bound: an answer may have far more entries than were asked for.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Begins what an error says of a list that is too long; a number follows.
const TOO_LONG: &str = "a list with more entries than ";

/// A list of at most `MOST` entries. Reading ends with the first one that is too many.
#[derive(Debug)]
pub(super) struct Bounded<T, const MOST: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Entries<T, MOST> {
            type Value = Bounded<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() == MOST {
                        return Err(A::Error::custom(format_args!("{TOO_LONG}{MOST}")));
                    }
                    entries.push(entry);
                }
                Ok(Bounded(entries))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

/// Returns the bound that a list exceeds, if that is the error.
pub(super) fn exceeded(error: &serde_json::Error) -> Option<usize> {
    let text = error.to_string();
    text.strip_prefix(TOO_LONG)?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_up_to_its_bound() {
        let read = |text: &str| serde_json::from_str::<Bounded<u8, 3>>(text).map(|list| list.0);
        for (text, expected) in [("[]", vec![]), ("[1,2,3]", vec![1, 2, 3])] {
            assert_eq!(read(text).unwrap(), expected);
        }
        for (text, bound) in [("[1,2,3,4]", Some(3)), ("[1,2,300]", None), ("[1", None), ("{}", None)] {
            assert_eq!(exceeded(&read(text).unwrap_err()), bound, "{text}");
        }
    }

    #[test]
    fn what_follows_the_first_entry_that_is_too_many_is_not_read() {
        let error = serde_json::from_str::<Bounded<u8, 3>>("[1,2,3,4,this is no JSON").err().unwrap();
        assert_eq!(exceeded(&error), Some(3));
    }
}
