//! Sends one request over HTTPS to a vetted address, limited in time and size, and classifies errors on the wire.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;

use super::classify::Answer;
use super::resolver::{ListedResolver, ResolveError, VettedResolver};
use super::transport::{Access, Call, Transport};
use crate::batch::verdict::answer::ApiError;
use crate::clock::Clock;
use crate::config;

/// Sends requests over HTTPS to vetted addresses, and to the origins that the operator has listed.
#[derive(Debug)]
pub(super) struct Http {
    public: reqwest::Client,
    /// For origins that the operator has listed, which vetting would refuse.
    listed: reqwest::Client,
    clock: Clock,
    max_response_bytes: usize,
}

impl Http {
    pub(super) fn new(config: &config::Testmo, clock: Clock) -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("testmo-courier/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .connect_timeout(config.connect_timeout)
                .timeout(config.request_timeout)
        };
        Ok(Self {
            public: builder().https_only(true).dns_resolver(Arc::new(VettedResolver)).build()?,
            listed: builder().dns_resolver(Arc::new(ListedResolver)).build()?,
            clock,
            max_response_bytes: config.max_response_bytes,
        })
    }

    fn request(&self, method: Method, access: &Access, path: &str) -> RequestBuilder {
        let client = if access.origin.is_insecure() { &self.listed } else { &self.public };
        let request = client
            .request(method, format!("{}/api/v1{path}", access.origin))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        match HeaderValue::from_str(&format!("Bearer {}", access.key.expose_secret())) {
            Ok(mut bearer) => {
                bearer.set_sensitive(true);
                request.header(AUTHORIZATION, bearer)
            }
            // A key with a line break cannot be part of a header. Without a key Testmo answers 401, which is reported
            // to the tenant.
            Err(_) => request,
        }
    }

    async fn send(&self, request: RequestBuilder, begun: Option<&AtomicBool>) -> Result<Answer, ApiError> {
        let sent = || begun.is_none_or(|begun| begun.load(Ordering::SeqCst));
        let mut response = request.send().await.map_err(|error| wire_trouble(&error, sent()))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| wire_trouble(&error, true))? {
            if body.len() + chunk.len() > self.max_response_bytes {
                return Err(ApiError::Unreadable(format!(
                    "the response is longer than {} bytes",
                    self.max_response_bytes
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, at: self.clock.now() })
    }
}

#[async_trait]
impl Transport for Http {
    async fn exchange(&self, access: &Access, call: Call<'_>) -> Result<Answer, ApiError> {
        let Some(body) = call.body else {
            return self.send(self.request(Method::GET, access, call.path), None).await;
        };
        let begun = Arc::new(AtomicBool::new(false));
        let body = Observed { rest: Some(body.into()), begun: begun.clone() };
        let request = self
            .request(Method::POST, access, call.path)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(reqwest::Body::wrap(body));
        self.send(request, Some(&begun)).await
    }
}

/// Classifies an error on the wire; `begun` says whether the body of the request had begun to be written.
fn wire_trouble(error: &reqwest::Error, begun: bool) -> ApiError {
    let sources = || std::iter::successors(std::error::Error::source(error), |error| error.source());
    if !begun || error.is_connect() {
        for source in sources() {
            match source.downcast_ref::<ResolveError>() {
                Some(ResolveError::Unknown) => return ApiError::UnknownHost,
                Some(refused @ ResolveError::NotPublic(_)) => return ApiError::AddressRefused(refused.to_string()),
                None => {}
            }
            if let Some(tls) = tls_error(source) {
                return ApiError::Tls(tls.to_string());
            }
        }
        return ApiError::Unreachable(last_words(sources()));
    }
    if error.is_timeout() { ApiError::TimedOut } else { ApiError::Broken(last_words(sources())) }
}

/// Returns the TLS error among the causes. The layers below wrap an I/O error in another one, whose `source` is not the
/// wrapped error but the source of that.
fn tls_error<'a>(source: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    match source.downcast_ref::<std::io::Error>() {
        Some(io) => tls_error(io.get_ref()?),
        None => source.downcast_ref(),
    }
}

/// Returns the innermost cause, because the outer ones repeat the URL.
fn last_words<'a>(sources: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> String {
    sources.last().map_or_else(|| "no cause is known".into(), ToString::to_string)
}

/// A body that records when its first byte is requested: before that, nothing can have arrived.
struct Observed {
    rest: Option<axum::body::Bytes>,
    begun: Arc<AtomicBool>,
}

impl Body for Observed {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.begun.store(true, Ordering::SeqCst);
        Poll::Ready(self.rest.take().map(|rest| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |rest| rest.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::dns::{Name, Resolve, Resolving};

    use super::*;

    /// A resolver that finds nothing, as when no name server knows a name.
    struct NobodyKnows;

    impl Resolve for NobodyKnows {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async { Err(ResolveError::Unknown.into()) })
        }
    }

    #[tokio::test]
    async fn a_host_name_that_nobody_knows_is_told_so_and_is_clear() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().dns_resolver(Arc::new(NobodyKnows)).build().unwrap();
        let error = client.post("https://acme.testmo.net").send().await.unwrap_err();
        // Whether the body had begun does not matter if no connection was made.
        for begun in [false, true] {
            let trouble = wire_trouble(&error, begun);
            assert_eq!((&trouble, trouble.may_have_committed()), (&ApiError::UnknownHost, false));
        }
    }
}
