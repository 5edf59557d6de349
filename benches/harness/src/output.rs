//! Prints progress, and formats figures.

use std::io::Write;

/// Prints a line on standard output; a failure is ignored, because the measurement does not depend on a reader.
pub(crate) fn progress(line: &str) {
    drop(std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()));
}

/// Returns a whole number with separated thousands.
pub(crate) fn count(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut apart = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Returns bytes as megabytes of 1,048,576.
pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1_048_576.0)
}

/// Returns a time in milliseconds with its unit.
pub(crate) fn milliseconds(figure: f64) -> String {
    format!("{figure:.2} ms")
}

/// Returns a ratio as a multiple.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2} x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.0].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
