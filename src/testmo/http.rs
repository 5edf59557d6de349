//! Sends one request over HTTPS to a vetted address, limited in time and size, and classifies errors on the wire.

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout_at};

use super::classify::Answer;
use super::connection::Connection;
use super::dialer::{Dialer, Endpoint};
use super::metered::RequestStart;
use super::pool::Pool;
use super::proxy::Proxy;
use super::sockets::Sockets;
use super::transport::{Access, Call, Transport};
use crate::batch::verdict::answer::ApiError;
use crate::clock::Clock;
use crate::config;
use crate::trace::TraceContext;

/// The most bytes of an answer before its body begins: headers, and any informational (1xx) answers before them.
const MOST_BEFORE_BODY: u64 = 64 * 1024;
/// How long a request waits for a socket while as many as may be are in use; at most a quarter of its own time.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Sends requests over HTTPS to vetted addresses, and to the origins that the operator has listed.
#[derive(Debug)]
pub(super) struct Http {
    dialer: Dialer,
    pool: Pool,
    clock: Clock,
    time_limit: Duration,
    max_response_bytes: usize,
}

impl Http {
    pub(super) fn new(config: &config::Testmo, clock: Clock, most_sockets: usize) -> Result<Self, rustls::Error> {
        let sockets = Sockets::new(most_sockets);
        Ok(Self {
            dialer: Dialer::new(config.connect_timeout, sockets.clone(), Proxy::of(config.proxy.as_str()))?,
            pool: Pool::new(sockets),
            clock,
            time_limit: config.request_timeout,
            max_response_bytes: config.max_response_bytes,
        })
    }

    /// Sends a request, if need be over a new connection. `start` is where the last attempt began.
    async fn send(
        &self,
        access: &Access,
        call: &Call<'_>,
        start: &mut Option<RequestStart>,
    ) -> Result<Answer, ApiError> {
        let endpoint = Endpoint::of(&access.origin)?;
        if let Some(connection) = self.pool.take(&endpoint, Instant::now()) {
            let answered = self.send_over(connection, &endpoint, request(access, call)?, start).await;
            // An idle connection can have been closed meanwhile. A new one may be used if nothing was sent over it.
            if answered.is_ok() || start.as_ref().is_some_and(RequestStart::is_sent) {
                return answered;
            }
        }
        let connection = self.connect(&endpoint).await?;
        self.send_over(connection, &endpoint, request(access, call)?, start).await
    }

    /// Opens a connection, if need be in place of those that are idle.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ApiError> {
        let Some(slot) = self.pool.slot(LONGEST_WAIT.min(self.time_limit / 4)).await else {
            return Err(ApiError::NoSocket(
                "every connection to Testmo that the limit of open files allows is in use".into(),
            ));
        };
        let dialled = self.dialer.dial(endpoint, &slot).await;
        if !matches!(dialled, Err(ApiError::NoSocket(_))) {
            return dialled;
        }
        tracing::warn!("no socket is left for a connection to Testmo; idle connections are closed");
        self.pool.clear();
        self.dialer.dial(endpoint, &slot).await
    }

    async fn send_over(
        &self,
        mut connection: Connection,
        endpoint: &Endpoint,
        request: Request<Full<Bytes>>,
        start: &mut Option<RequestStart>,
    ) -> Result<Answer, ApiError> {
        let start = start.insert(connection.gauge.begin(MOST_BEFORE_BODY));
        let answering = connection.sender.send_request(request);
        let response = connection.driver.drive(answering).await;
        let (head, mut incoming) = response.map_err(|error| head_trouble(&error, start))?.into_parts();
        let most = u64::try_from(self.max_response_bytes).unwrap_or(u64::MAX);
        // A body that comes in chunks is longer on the wire.
        start.allow(most.saturating_mul(2).saturating_add(MOST_BEFORE_BODY));
        let mut body = Vec::new();
        while let Some(frame) = connection.driver.drive(incoming.frame()).await {
            let Ok(data) = frame.map_err(|error| self.body_trouble(&error, start))?.into_data() else { continue };
            if body.len() + data.len() > self.max_response_bytes {
                return Err(self.too_long());
            }
            body.extend_from_slice(&data);
        }
        self.pool.put(endpoint.clone(), connection, Instant::now());
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, at: self.clock.now() })
    }

    fn body_trouble(&self, error: &hyper::Error, start: &RequestStart) -> ApiError {
        if start.is_over() { self.too_long() } else { ApiError::Broken(last_words(error)) }
    }

    fn too_long(&self) -> ApiError {
        ApiError::Unreadable(format!("the response is longer than {} bytes", self.max_response_bytes))
    }
}

#[async_trait]
impl Transport for Http {
    async fn exchange(&self, access: &Access, call: Call<'_>) -> Result<Answer, ApiError> {
        let mut start = None;
        let deadline = Instant::now() + self.time_limit;
        match timeout_at(deadline, self.send(access, &call, &mut start)).await {
            Ok(ended) => ended,
            Err(_) if start.is_some_and(|start| start.is_sent()) => Err(ApiError::TimedOut),
            Err(_) => Err(ApiError::Unreachable(format!("no connection within {} ms", self.time_limit.as_millis()))),
        }
    }
}

fn request(access: &Access, call: &Call<'_>) -> Result<Request<Full<Bytes>>, ApiError> {
    let origin = access.origin.as_str();
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    // An origin that the operator has listed may have a path, below which Testmo's lies.
    let (host, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut request = Request::builder()
        .method(call.method.name())
        .uri(format!("{below}/api/v1{}", call.path))
        .header(HOST, host)
        .header(USER_AGENT, concat!("testmo-courier/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json");
    // A key with a line break cannot be part of a header. Without a key Testmo answers 401, which is reported to the
    // tenant.
    if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", access.key.expose_secret())) {
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    for (name, value) in call.trace.iter().flat_map(TraceContext::headers) {
        request = request.header(name, value);
    }
    if call.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = call.body.clone().map(Bytes::from).unwrap_or_default();
    request.body(Full::new(body)).map_err(|error| ApiError::Unreachable(error.to_string()))
}

/// Classifies the end of a request of whose answer not even the head was read.
fn head_trouble(error: &hyper::Error, start: &RequestStart) -> ApiError {
    if !start.is_sent() {
        ApiError::Unreachable(last_words(error))
    } else if start.is_over() {
        ApiError::Broken(format!("{MOST_BEFORE_BODY} bytes were received before the body of a response"))
    } else {
        ApiError::Broken(last_words(error))
    }
}

/// Returns the innermost cause, which says most.
fn last_words(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}
