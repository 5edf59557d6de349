//! Decides whether a server's rows are read in order, or its indexes are asked.

/// How many rows one search reads in order at most: about as long as a rare text takes that the indexes are asked for.
const MOST_IN_ORDER: i64 = 64_000;
/// The same for the rows of one tenant, which are not side by side.
const MOST_OF_TENANT: i64 = 24_000;
/// After how many rows the share of those that match is believed.
const SURE: i64 = 14_000;
/// How many more matches few rows may have had by chance.
const BY_CHANCE: u64 = 2;

/// How a search goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It reads the next rows.
    InOrder,
    /// It asks the indexes for all rows that are left.
    ByIndex,
}

/// Returns how many rows one search reads in order at most.
pub(super) fn most_in_order(is_of_tenant: bool) -> i64 {
    if is_of_tenant { MOST_OF_TENANT } else { MOST_IN_ORDER }
}

/// Decides how a search goes on that has found some of the matches that are wanted in the rows that it has read. It reads the next
/// rows if as many of them match as of those, and the wanted number is reached within `longest`.
pub(super) fn way(read: i64, found: usize, wanted: usize, longest: i64) -> Way {
    let (read, longest) = (read.unsigned_abs(), longest.unsigned_abs());
    if read == 0 {
        return Way::InOrder;
    }
    let (found, wanted) = (found as u64, wanted as u64);
    let likely = match found {
        0 => 0,
        found if read < SURE.unsigned_abs() => found + BY_CHANCE,
        found => found,
    };
    // As many rows as there would have to be: `read / likely` for each match.
    let is_near = wanted.saturating_mul(read) <= longest.saturating_mul(likely);
    if is_near { Way::InOrder } else { Way::ByIndex }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_in_order_where_enough_matches_are_near() {
        use Way::{ByIndex, InOrder};
        for ((read, found, wanted), expected) in [
            ((0, 0, 51), InOrder),
            ((2_000, 0, 51), ByIndex),
            ((2_000, 1, 51), InOrder),
            ((2_000, 1, 100), ByIndex),
            ((2_000, 8, 51), InOrder),
            ((6_000, 2, 51), ByIndex),
            ((14_000, 6, 100), ByIndex),
            ((14_000, 12, 51), InOrder),
            ((62_000, 50, 51), InOrder),
            ((62_000, 40, 51), ByIndex),
            ((2_000, 10, usize::MAX), ByIndex),
        ] {
            assert_eq!(way(read, found, wanted, most_in_order(false)), expected, "{read} {found} {wanted}");
        }
        assert_eq!(way(2_000, 1, 51, most_in_order(true)), ByIndex);
    }
}
