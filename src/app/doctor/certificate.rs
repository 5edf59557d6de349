//! Reads until when a certificate is valid, and decides when that is soon.

use super::super::time::{absolute, relative};
use super::finding::{Check, Finding};
use crate::certificates;

const DAY_MS: i64 = 86_400_000;
/// A certificate that is valid for less is renewed now.
const URGENT_MS: i64 = 3 * DAY_MS;
/// A certificate that is valid for less is to be renewed soon.
const SOON_MS: i64 = certificates::SOON_DAYS * DAY_MS;

/// Returns the time at which a certificate in DER expires, in milliseconds since 1970.
pub(super) fn expires_at(der: &[u8]) -> Option<i64> {
    certificates::not_after(der)?.checked_mul(1_000)
}

/// Decides about the certificate of `host`, which expires at a time; both times are in milliseconds since 1970.
pub(super) fn finding(check: Check, host: &str, expires_at: i64, now: i64) -> Option<Finding> {
    let left = expires_at.saturating_sub(now);
    let sentence = match left {
        ..=0 => format!("The certificate of {host} expired {}.", relative(expires_at, now)),
        _ => format!("The certificate of {host} expires {}, at {}.", relative(expires_at, now), absolute(expires_at)),
    };
    let remedy =
        "Renew the certificate where the connection ends: at the server, or at a proxy that inspects the traffic.";
    let finding = if left <= URGENT_MS {
        Finding::error(check, sentence, remedy)
    } else if left <= SOON_MS {
        Finding::warning(check, sentence, remedy)
    } else {
        return None;
    };
    Some(finding.with(format!("openssl s_client -connect {host} </dev/null | openssl x509 -noout -enddate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_certificate_is_to_be_renewed_two_weeks_before_it_expires() {
        let at = |left: i64| finding(Check::Testmo, "h:443", NOW + left, NOW).map(|finding| finding.severity.name());
        assert_eq!(at(15 * DAY_MS), None);
        assert_eq!(at(14 * DAY_MS), Some("warning"));
        assert_eq!(at(3 * DAY_MS), Some("error"));
        assert_eq!(at(-1), Some("error"));
    }
}
