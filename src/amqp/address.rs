//! Reads the broker's address, and shows it without its credentials.

use lapin::uri::{AMQPScheme, AMQPUri};
use url::{Host, Url};

use crate::config::Amqp;

/// Seconds between heartbeats if the URL does not set them. A frozen peer is noticed after two heartbeats; RabbitMQ's
/// own default of 60 s would mean two minutes.
const HEARTBEAT_SECONDS: u16 = 10;

/// Bytes in a frame if the URL does not set them. lapin's buffers hold 32 frames in each direction of each connection,
/// and all of this memory is soon in use, so RabbitMQ's own 128 KiB would cost 8 MB for each connection. With a size
/// that is known beforehand, lapin allocates the buffers once; with a size from the broker, it allocates them again.
const FRAME_BYTES: u32 = 16_384;

/// Returns the user of the broker with whose name connections are opened.
pub fn user_of(config: &Amqp) -> Option<String> {
    Address::parse(&config.url).map(|address| address.uri.authority.userinfo.username)
}

/// A broker address that was read.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    /// Reads `amqp[s]://user:password@host:port/vhost?heartbeat=…`. Returns `None` if it has another form; the parser's
    /// own message is not passed on because it may repeat the password.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let mut uri: AMQPUri = url.parse().ok()?;
        // lapin reads an IPv6 literal as "no host" and would connect to localhost.
        if let Some(Host::Ipv6(host)) = Url::parse(url).ok()?.host() {
            uri.authority.host = host.to_string();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.frame_max.get_or_insert(FRAME_BYTES);
        Some(Self { uri })
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }

    /// Returns the address as logs and errors may show it: without user, password and query.
    pub(super) fn target(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        let host = match authority.host.contains(':') {
            true => format!("[{}]", authority.host),
            false => authority.host.clone(),
        };
        format!("{scheme}://{host}:{} (virtual host {vhost:?})", authority.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).expect("an address")
    }

    #[test]
    fn a_heartbeat_is_added_unless_the_url_has_one() {
        assert_eq!(parsed("amqp://h").uri().query.heartbeat, Some(10));
        assert_eq!(parsed("amqp://h/v?heartbeat=3").uri().query.heartbeat, Some(3));
    }

    #[test]
    fn the_size_of_frames_is_said_beforehand() {
        assert_eq!(parsed("amqp://h").uri().query.frame_max, Some(16_384));
        assert_eq!(parsed("amqp://h/v?frame_max=8192").uri().query.frame_max, Some(8_192));
    }

    #[test]
    fn the_target_shows_no_credentials() {
        let target = parsed("amqps://tom:s3cr3t@mq.example:5671/cases").target();
        assert_eq!(target, "amqps://mq.example:5671 (virtual host \"cases\")");
    }

    #[test]
    fn an_ipv6_literal_is_kept() {
        let address = parsed("amqp://[::1]:5673/%2f");
        assert_eq!(address.uri().authority.host, "::1");
        assert_eq!(address.target(), "amqp://[::1]:5673 (virtual host \"/\")");
    }

    #[test]
    fn other_schemes_and_broken_addresses_are_refused() {
        for url in ["http://h", "amqp:", "h:5672", "", "amqp://h?heartbeat=x"] {
            assert!(Address::parse(url).is_none(), "{url}");
        }
    }
}
