//! Serves metrics, readiness and the state of the lanes to monitoring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connections::{LONGEST_SILENCE, serve_all};
use crate::guard::lock;
use crate::metrics::Metrics;

/// The most connections; `descriptors.rs` keeps files for them.
const MOST_CONNECTIONS: usize = 16;

/// The neighbours of a worker, the most important first; `dead` and `unrouted` are the queues of messages that never
/// became work.
const NEIGHBOURS: [&str; 5] = ["intake", "events", "store", "dead_letters", "unrouted"];

/// The neighbours that are available; a worker is ready when all of them are.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Availability>>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Availability {
    up: bool,
    /// Why it is unavailable, where that is known.
    cause: Option<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(NEIGHBOURS.map(|neighbour| (neighbour, Availability::default())).into())))
    }
}

impl Readiness {
    /// Records whether a neighbour is available; returns whether that has changed.
    pub fn set(&self, neighbour: &'static str, up: bool) -> bool {
        self.record(neighbour, Availability { up, cause: None })
    }

    /// Records that a neighbour is unavailable, and the cause; returns whether it was available before.
    pub fn unset(&self, neighbour: &'static str, cause: String) -> bool {
        self.record(neighbour, Availability { up: false, cause: Some(cause) })
    }

    fn record(&self, neighbour: &'static str, now: Availability) -> bool {
        let up = now.up;
        lock(&self.0).insert(neighbour, now).is_none_or(|before| before.up != up)
    }

    /// Returns the causes that are known of what is unavailable, one line each with the neighbours that share it.
    fn causes(&self) -> String {
        let known = lock(&self.0).clone();
        let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
        for neighbour in self.missing() {
            let Some(cause) = known.get(neighbour).and_then(|now| now.cause.clone()) else { continue };
            match causes.iter_mut().find(|(other, _)| *other == cause) {
                Some((_, neighbours)) => neighbours.push(neighbour),
                None => causes.push((cause, vec![neighbour])),
            }
        }
        causes.into_iter().map(|(cause, neighbours)| format!("{}: {cause}\n", neighbours.join(", "))).collect()
    }

    /// Returns the neighbours that are unavailable, the most important first.
    pub fn missing(&self) -> Vec<&'static str> {
        let known = lock(&self.0).clone();
        let mut missing: Vec<_> =
            known.into_iter().filter(|(_, now)| !now.up).map(|(neighbour, _)| neighbour).collect();
        missing.sort_by_key(|neighbour| NEIGHBOURS.iter().position(|known| known == neighbour).unwrap_or(usize::MAX));
        missing
    }
}

/// Sends a request for the state of the lanes, which is answered with JSON.
pub type Lanes = mpsc::Sender<oneshot::Sender<serde_json::Value>>;

/// Serves `/metrics`, `/livez`, `/readyz` and `/lanes` until `stop`.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    lanes: Lanes,
    stop: CancellationToken,
) {
    let app = Router::new()
        .route("/metrics", get(show_metrics).with_state(metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/lanes", get(show_lanes).with_state(lanes));
    // A client that keeps its connection open must not keep the worker from stopping.
    stop.run_until_cancelled(serve_all(listener, app, MOST_CONNECTIONS, LONGEST_SILENCE)).await;
}

async fn show_metrics(State(metrics): State<Metrics>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn show_lanes(State(lanes): State<Lanes>) -> Response {
    let (answer, shown) = oneshot::channel();
    // A worker that is stopping does not answer.
    drop(lanes.send(answer).await);
    match shown.await {
        Ok(view) => axum::Json(view).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the worker is stopping\n").into_response(),
    }
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n{}", missing.join(", "), readiness.causes()))
            .into_response()
    }
}
