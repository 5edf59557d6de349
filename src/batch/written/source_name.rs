//! Names the source whose cases the cases of a batch are.

use std::borrow::Cow;

use crate::batch::BatchId;

/// Precedes the id of a batch that stands for a source: no key of a source has a line break.
const OF_BATCH: &str = "batch\n";

/// Returns the name of a batch's source: its key or, without one, a name that only this batch has, and the batches that
/// replace it.
pub fn source_name<'k>(key: Option<&'k str>, batch: &BatchId) -> Cow<'k, str> {
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Cow::Borrowed(key),
        None => Cow::Owned(format!("{OF_BATCH}{}", batch.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_a_key_is_a_source_of_its_own() {
        let name = |key, batch| source_name(key, &BatchId::new(batch).unwrap()).into_owned();
        assert_eq!(name(Some("SHOP-1"), "b-1"), name(Some("SHOP-1"), "b-2"));
        for key in [None, Some("")] {
            assert_ne!(name(key, "b-1"), name(key, "b-2"));
            assert_ne!(name(key, "b-1"), name(Some("b-1"), "b-1"));
        }
    }
}
