//! Reads what a Testmo shows to somebody without a key: the certificate of its host and the time of its clock.

use axum::body::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{HOST, USER_AGENT};
use tokio::time::timeout;

use super::address::Origin;
use super::classify::Answer;
use super::dialer::{Dialer, Endpoint};
use super::proxy::Proxy;
use super::sockets::Sockets;
use crate::batch::verdict::answer::ApiError;
use crate::clock::Clock;
use crate::config;

/// What a Testmo shows without a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The certificate of its host, in DER; none where the origin has no TLS.
    pub certificate: Option<Vec<u8>>,
    /// How far its clock is ahead of this machine's, in milliseconds; it shows whole seconds.
    pub ahead_ms: Option<i64>,
}

/// Connects to an origin in the way that requests do, and sends one `HEAD` request that has no key and changes nothing.
///
/// # Errors
/// When the origin cannot be reached, or does not answer within `testmo.request_timeout`.
pub async fn greeting(config: &config::Testmo, origin: &Origin) -> Result<Greeting, ApiError> {
    match timeout(config.request_timeout, greet(config, origin)).await {
        Ok(greeting) => greeting,
        Err(_) => Err(ApiError::TimedOut),
    }
}

async fn greet(config: &config::Testmo, origin: &Origin) -> Result<Greeting, ApiError> {
    let broken = |error: &dyn std::error::Error| ApiError::Broken(error.to_string());
    let sockets = Sockets::new(1);
    let slot = sockets.spare().ok_or_else(|| ApiError::NoSocket("none is left".into()))?;
    let dialer = Dialer::new(config.connect_timeout, sockets, Proxy::of(config.proxy.as_str()));
    let dialer = dialer.map_err(|error| ApiError::Tls(error.to_string()))?;
    let (mut connection, certificate) = dialer.dial_seeing(&Endpoint::of(origin)?, &slot).await?;
    let rest = origin.as_str().split_once("://").map_or(origin.as_str(), |(_, rest)| rest);
    let (host, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = Request::head(format!("{below}/"))
        .header(HOST, host)
        .header(USER_AGENT, concat!("testmo-courier/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::new()))
        .map_err(|error| broken(&error))?;
    let answering = connection.sender.send_request(request);
    let head = connection.driver.drive(answering).await.map_err(|error| broken(&error))?.into_parts().0;
    let at = Clock::system().now();
    let answer = Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new(), at };
    Ok(Greeting { certificate: certificate.map(|certificate| certificate.to_vec()), ahead_ms: answer.clock_skew() })
}
