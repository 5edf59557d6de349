//! Resolves host names, and passes only public addresses to the dialler unless the operator has listed the origin.

use std::net::{SocketAddr, ToSocketAddrs};

use super::address::is_public;
use super::sockets::Slot;

/// The reason why a name has no usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the host name is unknown")]
    Unknown,
    #[error("the name server cannot be asked: {0}")]
    NoAnswer(String),
    #[error("the host name resolves to {0}, which is not a public address")]
    NotPublic(std::net::IpAddr),
}

/// What the system's resolvers say about a name that does not exist, or has no address. They give no code, and everything
/// else they say is about the name servers. Source: `gai_strerror` of glibc and of musl.
const UNKNOWN: [&str; 3] =
    ["Name or service not known", "No address associated with hostname", "Name does not resolve"];

/// Returns the addresses of a name, exactly those that are dialled, so that no second look-up can lead elsewhere. The
/// addresses of an origin that the operator has listed are not `vetted`.
pub(super) async fn resolve(name: &str, port: u16, vetted: bool, slot: &Slot) -> Result<Vec<SocketAddr>, ResolveError> {
    let (name, slot) = (name.to_owned(), slot.clone());
    let look_up = move || {
        // The look-up has a socket, and goes on when nobody waits for it any more.
        let _slot = slot;
        (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
    };
    let found =
        tokio::task::spawn_blocking(look_up).await.map_err(|error| ResolveError::NoAnswer(error.to_string()))?;
    let found: Vec<_> = found.map_err(|error| failed(&error.to_string()))?;
    if vetted { vet(found) } else { Ok(found) }
}

/// Returns what a failed look-up means.
fn failed(said: &str) -> ResolveError {
    if UNKNOWN.iter().any(|text| said.ends_with(text)) {
        return ResolveError::Unknown;
    }
    ResolveError::NoAnswer(said.rsplit(": ").next().unwrap_or(said).to_owned())
}

/// Returns the addresses if all of them are public. One other address rules out the name, because a server that gives
/// such an address must not be trusted with a key.
fn vet(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ResolveError> {
    if found.is_empty() {
        return Err(ResolveError::Unknown);
    }
    match found.iter().find(|address| !is_public(address.ip())) {
        Some(address) => Err(ResolveError::NotPublic(address.ip())),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::Sockets;
    use super::*;

    #[test]
    fn a_name_server_that_cannot_be_asked_does_not_make_a_name_unknown() {
        let said = |text: &str| failed(&format!("failed to lookup address information: {text}"));
        for unknown in UNKNOWN {
            assert_eq!(said(unknown), ResolveError::Unknown);
        }
        for text in ["Temporary failure in name resolution", "Try again", "Non-recoverable failure in name resolution"]
        {
            assert_eq!(said(text), ResolveError::NoAnswer(text.into()));
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told_by_the_text_of_this_system() {
        // No resolver asks a server for a label of more than 63 characters.
        let name = format!("{}.invalid", "a".repeat(64));
        let slot = Sockets::new(1).spare().expect("a slot");
        assert_eq!(resolve(&name, 443, true, &slot).await, Err(ResolveError::Unknown));
    }

    #[test]
    fn one_private_address_spoils_the_name() {
        let parse = |list: &[&str]| list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect();
        assert!(vet(parse(&["93.184.216.34"])).is_ok());
        assert!(vet(parse(&["93.184.216.34", "127.0.0.1"])).is_err());
        assert_eq!(vet(vec![]), Err(ResolveError::Unknown));
    }
}
