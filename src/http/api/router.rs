//! Builds the router of the API from the table.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use tokio::sync::Semaphore;

use super::super::admin::problem::{Code, Problem};
use super::super::admin::shared::Shared;
use super::openapi::openapi;
use super::pipeline::answer;
use super::state::Api;
use super::table::routes;

/// How many requests are carried out at once that do not read lists from Testmo.
const AT_ONCE: usize = 8;
/// How many requests are carried out at once that do, at the pace of an account.
const SLOW_AT_ONCE: usize = 2;

/// Builds the router from the table, which has nothing else.
pub(in crate::http) fn router(shared: &Arc<Shared>) -> Router {
    let api = Arc::new(Api {
        shared: shared.clone(),
        document: openapi().to_string(),
        permits: Arc::new(Semaphore::new(AT_ONCE)),
        large: Arc::new(Semaphore::new(1)),
        slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
    });
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
    router.method_not_allowed_fallback(method).layer(map_response(async |response| secured(response)))
}

/// Answers that the API has no such path.
pub(in crate::http) fn unknown() -> Response {
    let problem = Problem::not_found("There is no such path.").remedy("GET /api/v1/openapi.json lists all.");
    secured(problem.into_response())
}

/// Adds what every answer has: nobody keeps it, and no page of another site shows it.
fn secured(mut response: Response) -> Response {
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
