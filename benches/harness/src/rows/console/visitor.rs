//! Asks the console for pages and the API for lists, as a browser and a program do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use testmo_courier::app::access::{TokenInput, create};
use testmo_courier::app::actor::Role;
use testmo_courier::store::Store;
use tokio::net::TcpStream;

use super::super::support::anna;

/// How long the console may take until it is served.
const STARTS: Duration = Duration::from_secs(60);
/// How often it is asked whether it is.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// The name of the token.
const TOKEN: &str = "visitor";

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    client: Client,
    address: SocketAddr,
    session: String,
    token: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) took: Duration,
    pub(super) text: String,
}

impl Visitor {
    /// Creates a token in a store, waits until the console is served, and logs in.
    pub(super) async fn enter(store: &Store, address: SocketAddr) -> anyhow::Result<Self> {
        let deadline = Instant::now() + STARTS;
        while TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(Instant::now() < deadline, "the console is not served at {address}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let input = TokenInput {
            name: TOKEN.parse().map_err(anyhow::Error::msg)?,
            role: Role::Admin,
            tenant: None,
            days: None,
        };
        let token = create(store, &anna(), input).await?.secret;
        let client = client()?;
        let sent = client
            .post(format!("http://{address}/log-in"))
            .header(ORIGIN, format!("http://{address}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("token={token}"))
            .send()
            .await?;
        let is_in = sent.status() == StatusCode::SEE_OTHER && sent.headers().get(LOCATION).is_some_and(|to| to == "/");
        anyhow::ensure!(is_in, "nobody is logged in: {}", sent.status());
        let cookie = sent.headers().get(SET_COOKIE).context("a cookie")?.to_str()?;
        let session = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { client, address, session, token })
    }

    /// Returns the same person in another window, with connections of its own.
    pub(super) fn in_another_window(&self) -> anyhow::Result<Self> {
        Ok(Self { client: client()?, ..self.clone() })
    }

    /// Opens a page or reads a list.
    ///
    /// # Errors
    /// When it is answered with anything else than it.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answered> {
        let began = Instant::now();
        let answer = self.send(|| self.request(path)).await?;
        let status = answer.status();
        let text = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
        let took = began.elapsed();
        anyhow::ensure!(status == StatusCode::OK, "{path} is answered with {status}: {text}");
        Ok(Answered { took, text })
    }

    /// Returns how many bytes a page or a file has as it is sent to a browser that takes compressed answers.
    ///
    /// # Errors
    /// When it is answered with anything else than it.
    pub(super) async fn sent(&self, path: &str) -> anyhow::Result<usize> {
        let request = || self.request(path).header(ACCEPT_ENCODING, "gzip, deflate, br");
        Ok(self.send(request).await?.error_for_status()?.bytes().await?.len())
    }

    /// Sends a request, and again if the console has closed the connection meanwhile, as it does with the one that was silent for
    /// longest. A browser does the same.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> reqwest::Result<Response> {
        match request().send().await {
            Err(error) if error.is_request() && !error.is_timeout() => request().send().await,
            sent => sent,
        }
    }

    fn request(&self, path: &str) -> RequestBuilder {
        let request = self.client.get(format!("http://{}{path}", self.address));
        match path.starts_with("/api/") {
            true => request.header(AUTHORIZATION, format!("Bearer {}", self.token)),
            false => request.header(COOKIE, &self.session),
        }
    }
}

/// Makes a client that talks to loopback alone.
fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().redirect(Policy::none()).build()
}
