//! Writes numbers with the noun they count.

/// Writes `1 case` or `2 cases`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
