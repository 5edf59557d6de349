//! Sums up the rows of a table, whatever their order, so that two stores can be compared.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::Row;

/// How many rows a table has, and a checksum of all of them that does not depend on their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// How many rows.
    pub rows: u64,
    /// The sum of the first half of the SHA-256 of each row, modulo 2^128, as 32 hexadecimal digits.
    pub checksum: Checksum,
}

/// The checksum of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u128);

impl Serialize for Checksum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

impl TableSum {
    /// Adds a row.
    pub(super) fn add(&mut self, row: &Row) {
        self.add_line(&crate::batch::json_of(row));
    }

    /// Adds a row as it is written.
    pub(super) fn add_line(&mut self, line: &str) {
        let hash = Sha256::digest(line.as_bytes());
        let half = hash.iter().take(16).fold(0_u128, |half, byte| half << 8 | u128::from(*byte));
        self.rows += 1;
        self.checksum = Checksum(self.checksum.0.wrapping_add(half));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sum_depends_on_each_row_and_not_on_their_order() {
        let sum = |rows: &[serde_json::Value]| {
            let mut sum = TableSum::default();
            rows.iter().for_each(|row| sum.add(row.as_array().unwrap()));
            sum
        };
        let (a, b, c) = (json!([1, "a"]), json!([2, null]), json!([2, "x"]));
        assert_eq!(sum(&[a.clone(), b.clone()]), sum(&[b.clone(), a.clone()]));
        assert_ne!(sum(&[a.clone(), b.clone()]).checksum, sum(&[a.clone(), c]).checksum);
        assert_ne!(sum(&[a.clone(), a.clone()]), sum(&[b.clone(), b]));
        let text = serde_json::to_string(&sum(std::slice::from_ref(&a))).unwrap();
        assert_eq!(serde_json::from_str::<TableSum>(&text).unwrap(), sum(&[a]));
    }
}
