//! Resolves host names, and passes only public addresses to the dialler unless the operator has listed the origin.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// A resolver whose addresses are exactly those that are dialled, so that no second look-up can lead elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct VettedResolver;

/// A resolver for origins that the operator has listed, which may lead anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedResolver;

/// The reason why a name has no usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the host name is unknown")]
    Unknown,
    #[error("the host name resolves to {0}, which is not a public address")]
    NotPublic(std::net::IpAddr),
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(addrs(vet(look_up(&name).await?)?)) })
    }
}

impl Resolve for ListedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(addrs(look_up(&name).await?)) })
    }
}

async fn look_up(name: &Name) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
    Ok(found.map_err(|_| ResolveError::Unknown)?.collect())
}

fn addrs(found: Vec<SocketAddr>) -> Addrs {
    Box::new(found.into_iter())
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
