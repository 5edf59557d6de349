//! Reads and writes the place in a list behind which a page begins.

use crate::app::BatchKey;
use crate::app::batches::BatchPlace;
use crate::app::shelf::Place;

/// Reads a place on the shelf, or in another list that is ordered by time and number.
pub(in crate::http) fn shelf_place(text: &str) -> Option<Place> {
    let (at, id) = text.split_once('.')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

/// Writes a place on the shelf.
pub(in crate::http) fn shelf_place_text((at, id): Place) -> String {
    format!("{at}.{id}")
}

/// Reads a place among the batches.
pub(in crate::http) fn batch_place(text: &str) -> Option<BatchPlace> {
    let (at, key) = text.split_once('.')?;
    Some(BatchPlace { first_seen_at: at.parse().ok()?, key: key.parse::<BatchKey>().ok()? })
}

/// Writes a place among the batches.
pub(in crate::http) fn batch_place_text(place: &BatchPlace) -> String {
    format!("{}.{}", place.first_seen_at, place.key)
}

/// Reads the number of a place in a list that is ordered by number.
pub(in crate::http) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| i64::try_from(*number).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        assert_eq!(shelf_place(&shelf_place_text((7, 8))), Some((7, 8)));
        let place = batch_place("7.acme/b.1").unwrap();
        assert_eq!((place.first_seen_at, batch_place_text(&place)), (7, "7.acme/b.1".to_owned()));
        for text in ["", "7", "x.8", "7.x", "."] {
            assert!(shelf_place(text).is_none() && batch_place(text).is_none(), "{text}");
        }
        assert_eq!([number("7"), number("9223372036854775808"), number("-1")], [Some(7), None, None]);
    }
}
