//! Defines and reads the bodies of the control calls.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::faults::Rule;
use crate::model::{Role, Settings};
use crate::response::Response;

/// The body of `POST /_sim/accounts/{name}/users/{id}/token`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenWish {
    /// The new key; by default one is generated.
    pub token: Option<String>,
}

/// The body of `POST /_sim/accounts/{name}/users/{id}/role`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleWish {
    /// What the user may do from now on.
    pub role: Role,
}

/// Reads a body; the 400 says what is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(bytes).map_err(|error| Response::message(400, &error.to_string()))
}

/// Reads a body that may be left out.
pub(crate) fn read_or_default<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Response> {
    if bytes.is_empty() { Ok(T::default()) } else { read(bytes) }
}

/// Reads one rule or a list of rules.
pub(crate) fn read_rules(bytes: &[u8]) -> Result<Vec<Rule>, Response> {
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    if is_list { read(bytes) } else { Ok(vec![read(bytes)?]) }
}

/// Returns the settings with the given ones changed; unknown names are refused.
pub(crate) fn merged(settings: &Settings, bytes: &[u8]) -> Result<Settings, Response> {
    let refused = |error: serde_json::Error| Response::message(400, &error.to_string());
    let changes: serde_json::Map<String, Value> = read(bytes)?;
    let mut merged = serde_json::to_value(settings).map_err(refused)?;
    for (name, value) in changes {
        merged[name] = value;
    }
    serde_json::from_value(merged).map_err(refused)
}
