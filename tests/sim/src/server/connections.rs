//! Turns bytes on a socket into requests, and answers into bytes.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::answer_body::{AnswerBody, Cut};
use super::shared::Shared;
use super::{control, exchange};
use crate::request::{Method, Request};

/// Accepts connections until the server stops.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that broke before it was accepted is the caller's concern.
        if let Ok((stream, _)) = accepted {
            shared.tasks.spawn(serve(stream, Arc::clone(&shared)));
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).ok();
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = shared.stop.cancelled() => {}
        // An error here is a cut, either ordered or by the caller.
        _ = connection => {}
    }
}

async fn answer(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> Result<hyper::Response<AnswerBody>, Cut> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let (account, below) = split_account(target);
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let request = Request::read(
        Method::from(head.method.as_str()),
        below,
        header(AUTHORIZATION).and_then(bearer).map(str::to_owned),
        header(CONTENT_TYPE),
        &bytes,
    );
    let request = request.traced(header(HeaderName::from_static("traceparent")));
    if account == "_sim" {
        let response = control::answer(&shared, &request, &bytes);
        return Ok(AnswerBody::of_whole(response));
    }
    exchange::exchange(shared, account.to_owned(), request).await
}

/// Splits a target into account and path: `/acme/api/v1/user?x=1` is `acme` and `/api/v1/user?x=1`.
fn split_account(target: &str) -> (&str, &str) {
    let path = target.strip_prefix('/').unwrap_or(target);
    let end = path.find(['/', '?']).unwrap_or(path.len());
    path.split_at(end)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
