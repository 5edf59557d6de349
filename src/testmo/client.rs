//! Makes calls over a transport: HTTPS, or a simulation of Testmo.

use std::sync::Arc;

use super::call_span::span_of;
use super::classify::Answer;
use super::http::Http;
use super::transport::{Access, Call, Method, Transport};
use crate::batch::verdict::answer::ApiError;
use crate::clock::Clock;
use crate::config;
use crate::trace::{self, SpanId, Spans};

/// The client for every tenant's Testmo.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    spans: Spans,
    clock: Clock,
}

/// No client could be built, because the system's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("no HTTPS client can be built ({0}): install the system's CA certificates")]
pub struct NoClient(#[from] rustls::Error);

impl Client {
    /// Creates a client over HTTPS with the configured limits.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(config: &config::Testmo, clock: Clock) -> Result<Self, NoClient> {
        Self::limited(config, clock, usize::MAX)
    }

    /// Creates a client over HTTPS that has at most so many sockets open at once.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn limited(config: &config::Testmo, clock: Clock, most_sockets: usize) -> Result<Self, NoClient> {
        Ok(Self::over(Arc::new(Http::new(config, clock, most_sockets)?)))
    }

    /// Creates a client over another transport.
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, spans: Spans::default(), clock: Clock::system() }
    }

    /// Has requests for batches recorded, with times of a clock.
    #[must_use]
    pub fn recorded(self, spans: Spans, clock: Clock) -> Self {
        Self { spans, clock, ..self }
    }

    pub(super) async fn get(&self, access: &Access, path: &str) -> Result<Answer, ApiError> {
        self.exchange(access, Method::Get, path, None).await
    }

    pub(super) async fn post(&self, access: &Access, path: &str, body: String) -> Result<Answer, ApiError> {
        self.send(access, Method::Post, path, body).await
    }

    pub(super) async fn send(
        &self,
        access: &Access,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answer, ApiError> {
        self.exchange(access, method, path, Some(body)).await
    }

    /// Sends a request in a span of its own, if the work under way belongs to a batch that has a trace.
    async fn exchange(
        &self,
        access: &Access,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Answer, ApiError> {
        let scope = trace::current();
        let own = scope.parent().map(|parent| parent.in_span(SpanId::random()));
        let began_at = self.clock.now();
        let end = self.transport.exchange(access, Call { method, path, body, trace: own.clone() }).await;
        if let Some(own) = own.filter(|own| self.spans.are_recorded(own)) {
            let times = (began_at, self.clock.now());
            self.spans.record(span_of(&scope, own, (access, method, path), times, &end));
        }
        end
    }
}
