//! Holds a request that was checked, and reads its parts as checked types.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::super::admin::named::{self, Named};
use super::super::admin::problem::{Code, Problem};
use super::super::admin::scope::Reach;
use super::state::Api;
use crate::app::access::Caller;
use crate::app::actor::Actor;
use crate::app::{AppContext, BatchKey, Store, TenantId};

/// A request by somebody who may send it.
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) path: BTreeMap<String, String>,
    /// The entry that the path names, if the route says that it names one.
    pub(super) named: Named,
    pub(super) query: BTreeMap<String, String>,
    /// The path and the query as they were sent, without the host.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// Returns what use cases work with.
    pub(super) fn context(&self) -> &AppContext {
        &self.api.shared.context
    }

    /// Returns the store.
    pub(super) fn store(&self) -> &Store {
        &self.api.shared.context.store
    }

    /// Returns who sends the request.
    pub(super) fn actor(&self) -> &Actor {
        &self.caller.actor
    }

    /// Returns the tenants of which the caller may name something.
    pub(super) fn reach(&self) -> Reach<'_> {
        Reach::of(&self.caller)
    }

    /// Reads a parameter of the path.
    pub(super) fn path<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.path.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|why| Problem::parameter(Code::InvalidParameter, name, why))
    }

    /// Reads the tenant in the path.
    pub(super) fn tenant(&self) -> Result<TenantId, Problem> {
        self.path("tenant")
    }

    /// Reads the batch in the path.
    pub(super) fn batch(&self) -> Result<BatchKey, Problem> {
        named::batch(&self.path).map_err(|why| Problem::parameter(Code::InvalidParameter, "batch", why))
    }

    /// Reads a parameter of the query.
    pub(super) fn query<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &String| text.parse().map_err(|why| Problem::parameter(Code::InvalidParameter, name, why));
        self.query.get(name).map(read).transpose()
    }

    /// Returns whether a flag of the query is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true")
    }

    /// Reads the body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&self.body) {
            let place = format!("at line {}, column {}", error.line(), error.column());
            return Err(Problem::new(Code::NotJson, format!("The body is not JSON {place}.")));
        }
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let why = error.inner().to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            Problem::new(Code::InvalidBody, why).at(pointer(error.path()))
        })
    }
}

/// Writes the place of an error as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => index.to_string(),
        Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
        Segment::Enum { variant } => variant.clone(),
        Segment::Unknown => "?".into(),
    };
    path.iter().map(|segment| format!("/{}", part(segment))).collect()
}
