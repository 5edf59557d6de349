//! Resolves host names, and passes only public addresses to the dialler unless the operator has listed the origin.

use std::net::{SocketAddr, ToSocketAddrs};

use super::address::is_public;
use super::sockets::Slot;

/// The reason why a name has no usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the host name is unknown")]
    Unknown,
    #[error("the host name resolves to {0}, which is not a public address")]
    NotPublic(std::net::IpAddr),
}

/// Returns the addresses of a name, exactly those that are dialled, so that no second look-up can lead elsewhere. The
/// addresses of an origin that the operator has listed are not `vetted`.
pub(super) async fn resolve(name: &str, port: u16, vetted: bool, slot: &Slot) -> Result<Vec<SocketAddr>, ResolveError> {
    let (name, slot) = (name.to_owned(), slot.clone());
    let look_up = move || {
        // The look-up has a socket, and goes on when nobody waits for it any more.
        let _slot = slot;
        (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
    };
    let found = tokio::task::spawn_blocking(look_up).await.map_err(|_| ResolveError::Unknown)?;
    let found: Vec<_> = found.map_err(|_| ResolveError::Unknown)?;
    if vetted { vet(found) } else { Ok(found) }
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
    use super::*;

    #[test]
    fn one_private_address_spoils_the_name() {
        let parse = |list: &[&str]| list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect();
        assert!(vet(parse(&["93.184.216.34"])).is_ok());
        assert!(vet(parse(&["93.184.216.34", "127.0.0.1"])).is_err());
        assert_eq!(vet(vec![]), Err(ResolveError::Unknown));
    }
}
