//! Defines what carries a call to Testmo: the request, where it goes, and the transport.

use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::SecretString;

use super::address::Origin;
use super::classify::Answer;
use crate::batch::verdict::answer::ApiError;
use crate::trace::TraceContext;

/// The origin that a call goes to, and the key that it carries.
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
    /// The method.
    pub method: Method,
    /// The path below `/api/v1`, with the query.
    pub path: &'a str,
    /// The JSON text of a request that changes something; none with a GET.
    pub body: Option<String>,
    /// The trace of the batch that it is sent for, with the span of the request; none if it belongs to no batch.
    pub trace: Option<TraceContext>,
}

/// The method of a request. A worker sends only GET and POST; a person's probe also edits and deletes its own case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Edits.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// Returns the name of the method.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Carries a request to Testmo and brings back the answer, or reports what failed on the way.
#[async_trait]
pub trait Transport: Debug + Send + Sync {
    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// When no complete answer was received; an answer of any status is not an error.
    async fn exchange(&self, access: &Access, call: Call<'_>) -> Result<Answer, ApiError>;
}
