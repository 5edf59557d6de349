//! Estimates how long a request to an account takes, by those that were sent last.

/// The assumed time of a request to an account of which none is known, in milliseconds.
pub(super) const FIRST_GUESS_MS: u64 = 200;

/// Returns the time in the middle, in milliseconds; `None` of no request.
pub(super) fn median(mut times: Vec<i64>) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len() / 2).and_then(|ms| u64::try_from(*ms).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_requests_took_no_longer() {
        for (times, expected) in [(vec![], None), (vec![5], Some(5)), (vec![900, 3, 20], Some(20))] {
            assert_eq!(median(times), expected);
        }
    }
}
