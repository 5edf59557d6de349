//! Serves the API and the console until the work is over.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::connections::{LONGEST_SILENCE, serve_all};
use super::super::{api, console};
use super::hosts::Hosts;
use super::shared::Shared;
use crate::app::AppContext;
use crate::config::Config;

/// The most connections of clients.
const MOST_CONNECTIONS: usize = 32;
/// How many files this may have open: its connections, those to the store, and those to Testmo.
pub const FILES: u32 = 64;
/// How many connections to a database server it uses.
const STORE_CONNECTIONS: u32 = 4;
/// How long nothing is served after the store could not be opened.
const RECOVERY: Duration = Duration::from_secs(1);
/// How long changes that are being carried out may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves the API and the console until `stop`. They have connections to the store of their own, so that no request takes one
/// that the worker needs, and a request that fails or panics concerns nobody else.
pub async fn serve(listener: TcpListener, config: Config, stop: CancellationToken) {
    let serving = async {
        let Ok(address) = listener.local_addr() else { return };
        let Some(context) = stop.run_until_cancelled(open(config)).await else { return };
        let shared = Arc::new(Shared {
            hosts: Hosts::of(&context.config.admin, address),
            context,
            tracker: TaskTracker::new(),
            over: CancellationToken::new(),
        });
        tracing::info!(%address, "the API and the console are served");
        stop.run_until_cancelled(serve_all(listener, router(&shared), MOST_CONNECTIONS, LONGEST_SILENCE)).await;
        shared.tracker.close();
        if timeout(FAREWELL, shared.tracker.wait()).await.is_err() {
            tracing::warn!("requests to the API or the console were cut off");
        }
        shared.over.cancel();
        shared.tracker.wait().await;
        shared.context.close().await;
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
            Err(error) => tracing::warn!(%error, "the API and the console are not served yet"),
        }
        sleep(RECOVERY).await;
    }
}

/// Builds the router from the tables of both.
fn router(shared: &Arc<Shared>) -> Router {
    let (pages, console) = console::router(shared);
    let unknown = move |request: Request| {
        let console = console.clone();
        async move {
            match request.uri().path().starts_with("/api/") {
                true => api::unknown(),
                false => console.unknown(request).await,
            }
        }
    };
    api::router(shared).merge(pages).fallback(unknown)
}
