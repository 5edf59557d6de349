//! Counts the cases of a message without keeping them.

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

/// Returns how many cases a message has; 0 if it is no batch that can be read.
pub fn cases_of(body: &[u8]) -> i64 {
    /// A batch of which only the cases are counted, and nothing is kept.
    #[derive(Deserialize)]
    struct Counted {
        cases: Count,
    }
    serde_json::from_slice::<Counted>(body).map_or(0, |batch| batch.cases.0)
}

struct Count(i64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of cases")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_whatever_they_are_and_what_is_no_batch_has_none() {
        for (body, expected) in [
            (r#"{"batch_id":"b","cases":[{"name":"a"},7,[],{"name":"b","cases":[1,2]}]}"#, 4),
            (r#"{"cases":[]}"#, 0),
            (r#"{"cases":"many"}"#, 0),
            (r#"{"name":"a"}"#, 0),
            ("[1,2]", 0),
            ("{", 0),
            ("", 0),
        ] {
            assert_eq!(cases_of(body.as_bytes()), expected, "{body}");
        }
    }
}
