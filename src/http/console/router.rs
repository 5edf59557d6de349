//! Builds the router of the console from the table.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodFilter, on};

use super::super::admin::problem::{Code, Problem};
use super::super::admin::shared::Shared;
use super::gate;
use super::route::Verb;
use super::state::Console;
use super::table::routes;

/// Answers requests for which there is no page.
#[derive(Clone)]
pub(in crate::http) struct Elsewhere(Arc<Console>);

impl Elsewhere {
    /// Says that there is no such page.
    pub(in crate::http) async fn unknown(&self, request: Request) -> Response {
        let problem = Problem::not_found("There is no such page.").remedy("Begin at the first page, or search.");
        gate::refuse(&self.0, request, problem).await
    }
}

/// Builds the router from the table, which has nothing else; what no page answers is answered by the second value.
pub(in crate::http) fn router(shared: &Arc<Shared>) -> (Router, Elsewhere) {
    let console = Arc::new(Console::of(shared));
    let mut router = Router::new();
    for route in routes() {
        let console = console.clone();
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        let handler = move |request: Request| {
            let console = console.clone();
            async move { gate::answer(console, route, request).await }
        };
        router = router.route(route.path, on(filter, handler));
    }
    let of_method = console.clone();
    let method = move |request: Request| {
        let console = of_method.clone();
        async move {
            let problem = Problem::new(Code::MethodNotAllowed, "This address is not one that is opened like this.")
                .remedy("Go back, and use the button of the page again.");
            gate::refuse(&console, request, problem).await
        }
    };
    (router.method_not_allowed_fallback(method), Elsewhere(console))
}
