//! Remembers when the certificates expire that this process was shown.
//!
//! Certificates are those of the machine's neighbours, and connections are opened in several places, so what was seen is
//! kept once for the process.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::guard::lock;

/// After this time without a new connection to a Testmo, its certificate no longer counts: its tenant may have left.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);

/// A certificate that is valid for fewer days is to be renewed soon.
pub(crate) const SOON_DAYS: i64 = 14;

static SEEN: Seen = Seen::new();

/// Who showed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// RabbitMQ. Its certificate counts until it shows another one, as a connection may last for months.
    Broker,
    /// A tenant's Testmo, or a proxy that inspects the traffic.
    Testmo,
}

impl Peer {
    /// Every peer.
    pub const ALL: [Self; 2] = [Self::Broker, Self::Testmo];

    /// Returns the peer's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Testmo => "testmo",
        }
    }
}

/// Notes the certificate in DER that a host showed, and warns once of one that expires soon. One that cannot be read is left to the TLS library, which has accepted it.
pub(crate) fn note(peer: Peer, host: &str, certificate: &[u8]) {
    if let Some(not_after) = not_after(certificate)
        && SEEN.note(peer, host, not_after, Instant::now())
        && let Some(days_left) = days_left(not_after, Clock::system().now())
    {
        tracing::warn!(
            peer = peer.name(),
            host,
            days_left,
            "a certificate expires soon; renew it where the connection ends: at the server, or at a proxy that inspects the traffic"
        );
    }
}

/// Returns for how many whole days a certificate is valid at a time in milliseconds since 1970, if these are few.
fn days_left(not_after: i64, now_ms: i64) -> Option<i64> {
    let left = not_after.saturating_sub(now_ms / 1_000) / 86_400;
    (left < SOON_DAYS).then_some(left)
}

/// Returns the end of the certificate that ends first, in seconds since 1970, if a certificate of this peer counts.
pub fn earliest_end(peer: Peer) -> Option<i64> {
    SEEN.earliest(peer, Instant::now())
}

/// Returns the last second in which a certificate is valid, in seconds since 1970.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// What each host showed last.
struct Seen(Mutex<BTreeMap<(Peer, String), (i64, Instant)>>);

impl Seen {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Notes the end of a host's certificate, and returns whether it is another one than before.
    fn note(&self, peer: Peer, host: &str, not_after: i64, now: Instant) -> bool {
        let before = lock(&self.0).insert((peer, host.to_owned()), (not_after, now));
        before.is_none_or(|(former, _)| former != not_after)
    }

    fn earliest(&self, peer: Peer, now: Instant) -> Option<i64> {
        let mut seen = lock(&self.0);
        seen.retain(|(of, _), (_, at)| *of == Peer::Broker || now.saturating_duration_since(*at) < FORGOTTEN_AFTER);
        seen.iter().filter(|((of, _), _)| *of == peer).map(|(_, (not_after, _))| *not_after).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_from_it() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(not_after(certificate.der()), Some(1_956_441_600));
        assert_eq!(not_after(b"no certificate"), None);
    }

    #[test]
    fn a_certificate_that_expires_soon_is_reported_once() {
        let (now_ms, day) = (1_800_000_000_000, 86_400);
        let left = |seconds: i64| days_left(1_800_000_000 + seconds, now_ms);
        assert_eq!(
            [left(14 * day), left(14 * day - 1), left(day / 2), left(-day)],
            [None, Some(13), Some(0), Some(-1)]
        );
        let (seen, now) = (Seen::new(), Instant::now());
        let noted = [500, 500, 900].map(|not_after| seen.note(Peer::Broker, "rabbitmq", not_after, now));
        assert_eq!(noted, [true, false, true]);
    }

    #[test]
    fn the_certificate_that_ends_first_counts_until_its_host_shows_another_one() {
        let (seen, now) = (Seen::new(), Instant::now());
        assert_eq!(seen.earliest(Peer::Testmo, now), None);
        seen.note(Peer::Testmo, "acme.testmo.net", 500, now);
        seen.note(Peer::Testmo, "birch.testmo.net", 900, now);
        seen.note(Peer::Broker, "rabbitmq", 100, now);
        assert_eq!((seen.earliest(Peer::Testmo, now), seen.earliest(Peer::Broker, now)), (Some(500), Some(100)));
        seen.note(Peer::Testmo, "acme.testmo.net", 1_000, now);
        assert_eq!(seen.earliest(Peer::Testmo, now), Some(900));
    }

    #[test]
    fn a_testmo_that_is_no_longer_connected_to_is_forgotten_and_a_broker_is_not() {
        let (seen, now) = (Seen::new(), Instant::now());
        for peer in Peer::ALL {
            seen.note(peer, "host", 500, now);
        }
        let later = now + FORGOTTEN_AFTER;
        assert_eq!(Peer::ALL.map(|peer| seen.earliest(peer, later)), [Some(500), None]);
    }
}
