//! Serves the routes of the table, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::connections::{LONGEST_SILENCE, serve_all};
use super::hosts::Hosts;
use super::openapi::openapi;
use super::pipeline::answer;
use super::problem::{Code, Problem};
use super::state::Api;
use super::table::routes;
use crate::app::AppContext;
use crate::config::Config;

/// The most connections to the API.
const MOST_CONNECTIONS: usize = 32;
/// How many files the API may have open: its connections, those to the store, and those to Testmo.
pub const FILES: u32 = 64;
/// How many requests are carried out at once that do not read lists from Testmo.
const AT_ONCE: usize = 8;
/// How many requests are carried out at once that do, at the pace of an account.
const SLOW_AT_ONCE: usize = 2;
/// How many connections to a database server it uses.
const STORE_CONNECTIONS: u32 = 4;
/// How long nothing is served after the store could not be opened.
const RECOVERY: Duration = Duration::from_secs(1);
/// How long changes that are being carried out may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves the API until `stop`. It has connections to the store of its own, so that no request takes one that the worker
/// needs, and a request that fails or panics concerns nobody else.
pub async fn serve(listener: TcpListener, config: Config, stop: CancellationToken) {
    let serving = async {
        let Ok(address) = listener.local_addr() else { return };
        let Some(context) = stop.run_until_cancelled(open(config)).await else { return };
        let api = Arc::new(Api {
            hosts: Hosts::of(&context.config.admin, address),
            context,
            document: openapi(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            large: Arc::new(Semaphore::new(1)),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
            tracker: TaskTracker::new(),
            over: CancellationToken::new(),
        });
        tracing::info!(%address, "the API is served");
        stop.run_until_cancelled(serve_all(listener, router(&api), MOST_CONNECTIONS, LONGEST_SILENCE)).await;
        api.tracker.close();
        if timeout(FAREWELL, api.tracker.wait()).await.is_err() {
            tracing::warn!("requests to the API were cut off");
        }
        api.over.cancel();
        api.tracker.wait().await;
        api.context.close().await;
    };
    // A store that cannot be opened must not keep the worker from stopping.
    tokio::select! {
        () = serving => {}
        () = async { stop.cancelled().await; sleep(FAREWELL * 2).await } => {}
    }
}

/// Opens what use cases work with; the worker has opened the same store before, so what fails here will pass.
async fn open(mut config: Config) -> AppContext {
    config.store.max_connections = config.store.max_connections.min(STORE_CONNECTIONS);
    loop {
        match AppContext::open(config.clone()).await {
            Ok(context) => return context,
            Err(error) => tracing::warn!(%error, "the API is not served yet"),
        }
        sleep(RECOVERY).await;
    }
}

/// Builds the router from the table.
fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let api = api.clone();
        let handler = move |request: Request| {
            let api = api.clone();
            async move { answer(api, route, request).await }
        };
        router = router.route(route.path, on(route.verb.filter(), handler));
    }
    let method = || async {
        Problem::new(Code::MethodNotAllowed, "The path does not have this method.")
            .remedy("The Allow header lists its methods.")
            .into_response()
    };
    let unknown = || async {
        Problem::not_found("There is no such path.").remedy("GET /api/v1/openapi.json lists all.").into_response()
    };
    router.method_not_allowed_fallback(method).fallback(unknown).layer(map_response(secured))
}

/// Adds what every answer has: nobody keeps it, and no page of another site shows it.
async fn secured(mut response: Response) -> Response {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
