//! Holds a request that was checked, and reads its parts as checked types.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::super::admin::problem::{Code, Problem};
use super::state::Api;
use crate::app::access::Caller;
use crate::app::actor::Actor;
use crate::app::{AppContext, BatchKey, Store, TenantId};

/// A request by somebody who may send it.
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) path: BTreeMap<String, String>,
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

    /// Returns the only tenant of which the caller may name anything.
    pub(super) fn scope(&self) -> Option<&TenantId> {
        self.caller.tenant.as_ref()
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
        let (tenant, batch): (String, String) = (self.path("tenant")?, self.path("batch")?);
        let key = format!("{tenant}/{batch}").parse::<BatchKey>();
        key.map_err(|why| Problem::parameter(Code::InvalidParameter, "batch", why))
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

    /// Returns the tenant whose rows are meant: the one that is named, if the caller may name it, or the caller's.
    pub(super) fn only(&self, named: Option<TenantId>) -> Result<Option<TenantId>, Problem> {
        match (self.scope(), named) {
            (None, named) => Ok(named),
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(named)) if *own == named => Ok(Some(named)),
            (Some(_), Some(named)) => Err(no_tenant(named.as_str())),
        }
    }

    /// Returns whether the caller may know of something that belongs to a tenant, or to nobody who is known.
    pub(super) fn may_know(&self, tenant: Option<&TenantId>) -> bool {
        self.scope().is_none_or(|own| tenant == Some(own))
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

/// Says that a tenant is not known to the caller.
pub(super) fn no_tenant(name: &str) -> Problem {
    let shown: String = name.chars().take(64).collect();
    Problem::not_found(format!("There is no tenant {shown}."))
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
