//! Requests are refused as a whole, and nobody says for which case: is it one of the cases, or the connection?

/// What is known since a case last arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bisection {
    refusals: u32,
    largest: usize,
    refused: Vec<usize>,
}

impl Bisection {
    /// A request of `sent` cases was refused as a whole. Once that has happened too often for a bad case or two, it
    /// is not the cases: then gives the positions that were refused for it, which the cases did not deserve.
    pub fn refused(&mut self, sent: usize) -> Option<Vec<usize>> {
        self.refusals += 1;
        self.largest = self.largest.max(sent);
        (self.refusals >= most_refusals(self.largest)).then(|| std::mem::take(&mut self.refused))
    }

    /// The case at a position was refused when it was sent alone.
    pub fn refused_alone(&mut self, position: usize) {
        self.refused.push(position);
    }

    /// A case arrived: the connection is good, and what was refused was refused rightly.
    pub fn arrived(&mut self) {
        *self = Self::default();
    }
}

/// How many refusals in a row it takes until the connection is to blame: halving `sent` cases down to one bad case
/// takes at most half as many and one.
fn most_refusals(sent: usize) -> u32 {
    sent.saturating_mul(sent).max(8).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_twice_the_logarithm() {
        for (sent, bound) in [(1, 3), (2, 3), (3, 3), (4, 4), (10, 6), (100, 13)] {
            assert_eq!(most_refusals(sent), bound, "{sent}");
        }
    }

    /// Sends cases as the worker does; gives the refused positions, or how many requests it took to blame the
    /// connection.
    fn deliver(bad: &[bool]) -> Result<Vec<usize>, (u32, Vec<usize>)> {
        let (mut waiting, mut refused): (Vec<usize>, Vec<usize>) = ((0..bad.len()).collect(), vec![]);
        let (mut most, mut bisection, mut requests) = (100, Bisection::default(), 0);
        while !waiting.is_empty() {
            let sent: Vec<usize> = waiting.iter().copied().take(most).collect();
            if sent.iter().all(|at| !bad[*at]) {
                bisection.arrived();
                (most, requests) = ((most * 2).min(100), 0);
                waiting.drain(..sent.len());
                continue;
            }
            requests += 1;
            if let Some(reprieved) = bisection.refused(sent.len()) {
                return Err((requests, reprieved));
            }
            if let [alone] = sent[..] {
                bisection.refused_alone(alone);
                refused.push(alone);
                most = 2;
                waiting.remove(0);
            } else {
                most = sent.len() / 2;
            }
        }
        Ok(refused)
    }

    #[test]
    fn one_bad_case_is_found_wherever_it_is() {
        for count in 1..=100 {
            for at in 0..count {
                let bad: Vec<bool> = (0..count).map(|n| n == at).collect();
                assert_eq!(deliver(&bad), Ok(vec![at]), "{at} of {count}");
            }
        }
    }

    #[test]
    fn when_every_request_is_refused_the_connection_is_to_blame_and_no_case_is() {
        for count in 2..=100 {
            let (requests, reprieved) = deliver(&vec![true; count]).unwrap_err();
            assert_eq!(requests, most_refusals(count));
            assert!(!reprieved.is_empty() && reprieved.iter().enumerate().all(|(n, at)| n == *at), "{reprieved:?}");
        }
    }
}
