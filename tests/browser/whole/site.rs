//! Serves pages of another site than the console's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::response::Html;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A site that shows one page at every path; it ends when it is dropped.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    page: Arc<Mutex<String>>,
    _serving: JoinSet<()>,
}

impl Site {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let page = Arc::new(Mutex::new(String::new()));
        let shown = page.clone();
        let show = move || {
            let page = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { Html(page) }
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, Router::new().fallback(show)).await.expect("a server") });
        Self { address, page, _serving: serving }
    }

    /// Shows a page from now on.
    pub(super) fn show(&self, body: &str) {
        let page = format!("<!doctype html><title>Another site</title><h1>Another site</h1>{body}");
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = page;
    }
}
