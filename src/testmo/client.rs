//! How is a call made? Over a transport, which is HTTPS, or a simulation of Testmo.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::address::Origin;
use super::classify::Answer;
use super::http::Http;
use crate::batch::verdict::answer::ApiError;
use crate::clock::Clock;
use crate::config;

/// The way to every tenant's Testmo.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// Where a call goes and what it shows there.
#[derive(Clone, Debug)]
pub struct Access {
    /// The origin the key was entered for.
    pub origin: Origin,
    /// The key.
    pub key: SecretString,
}

/// One request.
#[derive(Debug)]
pub struct Call<'a> {
    /// The path below `/api/v1`, with the query.
    pub path: &'a str,
    /// The JSON text of a POST; without it, a GET.
    pub body: Option<String>,
}

/// What carries a request to Testmo and brings back the answer, or tells what broke on the way.
#[async_trait]
pub trait Transport: Debug + Send + Sync {
    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// With what happened on the wire; an answer of any status is none.
    async fn exchange(&self, access: &Access, call: Call<'_>) -> Result<Answer, ApiError>;
}

/// A client could not be built: the system's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("no HTTPS client can be built ({0}): install the system's CA certificates")]
pub struct NoClient(#[from] reqwest::Error);

impl Client {
    /// A client with the configured limits.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(config: &config::Testmo, clock: Clock) -> Result<Self, NoClient> {
        Ok(Self::over(Arc::new(Http::new(config, clock)?)))
    }

    /// A client over another transport.
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub(super) async fn get(&self, access: &Access, path: &str) -> Result<Answer, ApiError> {
        self.transport.exchange(access, Call { path, body: None }).await
    }

    pub(super) async fn post(&self, access: &Access, path: &str, body: String) -> Result<Answer, ApiError> {
        self.transport.exchange(access, Call { path, body: Some(body) }).await
    }
}
