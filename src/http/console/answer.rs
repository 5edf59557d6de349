//! Holds what a request to the console is answered with.

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::admin::problem::Problem;
use super::assets::Asset;
use super::cookies;
use super::notice::Notice;

/// What a page may load and where it may be shown; the last part follows.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors ";
/// How long browsers keep a file whose address names its content.
const KEPT: &str = "public, max-age=31536000, immutable";

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    body: Body,
    headers: HeaderMap,
}

impl Answer {
    /// Answers with a page.
    ///
    /// # Errors
    /// When the page cannot be written, which is a defect.
    pub(super) fn page(status: u16, page: &impl Template) -> Result<Self, Problem> {
        let html = page.render().map_err(|error| {
            tracing::error!(%error, "a page of the console could not be written");
            Problem::defect()
        })?;
        Ok(Self::of(status, "text/html; charset=utf-8", html.into()))
    }

    /// Sends the browser to another page of the console.
    pub(super) fn to(address: &str) -> Self {
        let mut answer = Self::of(303, "text/plain; charset=utf-8", Body::empty());
        answer.set(LOCATION, HeaderValue::from_str(address).ok());
        answer
    }

    /// Answers with a file whose address names its content, compressed for a browser that takes that.
    pub(super) fn asset(asset: &'static Asset, is_named: bool, takes_gzip: bool) -> Self {
        let body = if takes_gzip { Body::from(asset.compressed.as_slice()) } else { Body::from(asset.content) };
        let mut answer = Self::of(200, asset.kind, body);
        answer.set(CONTENT_ENCODING, takes_gzip.then_some(HeaderValue::from_static("gzip")));
        answer.set(VARY, Some(HeaderValue::from_name(ACCEPT_ENCODING)));
        answer.set(CACHE_CONTROL, is_named.then_some(HeaderValue::from_static(KEPT)));
        answer
    }

    /// Answers with bytes that browsers save in place of showing them.
    pub(super) fn download(bytes: Vec<u8>) -> Self {
        let mut answer = Self::of(200, "application/octet-stream", Body::from(bytes));
        answer.set(CONTENT_DISPOSITION, Some(HeaderValue::from_static("attachment")));
        answer
    }

    fn of(status: u16, kind: &'static str, body: Body) -> Self {
        let mut answer = Self { status, body, headers: HeaderMap::new() };
        answer.set(CONTENT_TYPE, Some(HeaderValue::from_static(kind)));
        answer
    }

    fn set(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        self.headers.extend(value.map(|value| (name, value)));
    }

    /// Adds what the next page says.
    pub(super) fn saying(mut self, notice: &Notice, is_secure: bool) -> Self {
        let cookie = notice.written().and_then(|text| cookies::set_notice(Some(&text), is_secure));
        cookie.map(|cookie| self.headers.append(SET_COOKIE, cookie));
        self
    }

    /// Forgets what this page has said.
    pub(super) fn having_said(mut self, is_secure: bool) -> Self {
        cookies::set_notice(None, is_secure).map(|cookie| self.headers.append(SET_COOKIE, cookie));
        self
    }

    /// Begins a session in the browser, or ends it there.
    pub(super) fn with_session(mut self, secret: Option<&str>, is_secure: bool) -> Self {
        cookies::set_session(secret, is_secure).map(|cookie| self.headers.append(SET_COOKIE, cookie));
        self
    }

    /// Says when to try again.
    pub(super) fn try_again_in(mut self, seconds: u64) -> Self {
        self.set(RETRY_AFTER, Some(HeaderValue::from(seconds)));
        self
    }

    /// Lets pages of these origins show this one in a frame.
    pub(super) fn framed_by(mut self, origins: &[String]) -> Self {
        if !origins.is_empty() {
            self.set(CONTENT_SECURITY_POLICY, HeaderValue::from_str(&format!("{POLICY}{}", origins.join(" "))).ok());
        }
        self
    }
}

impl IntoResponse for Answer {
    /// Adds what every answer has: nobody keeps it, and no page of another site shows or reads it.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body).into_response();
        for (name, value) in [
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_str(&format!("{POLICY}'none'")).unwrap_or_else(|_| nothing())),
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
            (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        ] {
            response.headers_mut().insert(name, value);
        }
        let has_own_kind = self.headers.contains_key(CONTENT_TYPE);
        if has_own_kind {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        for name in self.headers.keys().filter(|name| **name != SET_COOKIE) {
            response.headers_mut().remove(name);
        }
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}

fn nothing() -> HeaderValue {
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")
}
