//! Checks the types of values, and reads lists of entries or ids.

use serde_json::Value;

use super::refusal::{Refusal, refused};
use crate::request::{Body, Request};
use crate::response::Response;

/// The most entries or ids that one request may carry (official).
pub(crate) const MOST: usize = 100;

/// Reads the entries of `cases` or `folders` with their index keys: an array, or an object keyed `"0"`, `"1"`, ...
/// (both recorded). Any other value is not a list and is refused with the recorded message.
pub(crate) fn entries<'a>(request: &'a Request, list: &str) -> Result<Vec<(String, &'a Value)>, Response> {
    let entries: Vec<(String, &Value)> = match request.field(list) {
        Some(Value::Array(entries)) => (0..).map(|n: usize| n.to_string()).zip(entries).collect(),
        Some(Value::Object(entries)) => entries.iter().map(|(key, e)| (key.clone(), e)).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(refused(list, &format!("The {list} must be an array.")));
        }
    };
    if entries.is_empty() {
        return Err(refused(list, &format!("The {list} must have at least 1 items.")));
    }
    if entries.len() > MOST {
        return Err(refused(list, &format!("The {list} must not have more than {MOST} items.")));
    }
    Ok(entries)
}

/// Reads the `ids` of a PATCH or DELETE: 1 to 100 integers that all exist.
pub(crate) fn ids(request: &Request, exists: impl Fn(u64) -> bool) -> Result<Vec<u64>, Response> {
    if matches!(request.field("ids"), Some(Value::Object(_))) {
        return Err(refused("ids", "The ids must be an array."));
    }
    let mut refusal = Refusal::default();
    let mut ids = Vec::new();
    for (index, value) in entries(request, "ids")? {
        let key = format!("ids.{index}");
        match id(&key, value, &mut refusal) {
            Some(id) if exists(id) => ids.push(id),
            Some(_) => refusal.add(&key, format!("The selected {key} is invalid.")),
            None => {}
        }
    }
    refusal.check()?;
    Ok(ids)
}

/// Reads an integer; a string of digits is not one (recorded).
pub(crate) fn integer(key: &str, value: &Value, refusal: &mut Refusal) -> Option<i64> {
    let integer = value.as_i64();
    if integer.is_none() {
        refusal.add(key, format!("The {key} must be an integer."));
    }
    integer
}

/// Reads an integer from 1.
pub(crate) fn id(key: &str, value: &Value, refusal: &mut Refusal) -> Option<u64> {
    let id = u64::try_from(integer(key, value, refusal)?).ok().filter(|id| *id > 0);
    if id.is_none() {
        refusal.add(key, format!("The selected {key} is invalid."));
    }
    id
}

/// Reads a string.
pub(crate) fn string<'a>(key: &str, value: &'a Value, refusal: &mut Refusal) -> Option<&'a str> {
    let string = value.as_str();
    if string.is_none() {
        refusal.add(key, format!("The {key} must be a string."));
    }
    string
}

/// Reads a name: a string that is not blank, trimmed at its ends, byte for byte otherwise.
pub(crate) fn name(key: &str, value: &Value, most: usize, refusal: &mut Refusal) -> Option<String> {
    if value.is_null() {
        refusal.add(key, required(key));
        return None;
    }
    let name = string(key, value, refusal)?.trim();
    if name.is_empty() {
        refusal.add(key, required(key));
        return None;
    }
    if name.chars().count() > most {
        refusal.add(key, format!("The {key} must not be greater than {most} characters."));
    }
    Some(name.to_owned())
}

/// Reads an array.
pub(crate) fn array<'a>(key: &str, value: &'a Value, refusal: &mut Refusal) -> Option<&'a Vec<Value>> {
    let array = value.as_array();
    if array.is_none() {
        refusal.add(key, format!("The {key} must be an array."));
    }
    array
}

/// Returns the message about a missing field.
pub(crate) fn required(key: &str) -> String {
    format!("The {key} field is required.")
}

/// Returns the members of the body; none if the body is not an object.
pub(crate) fn members(request: &Request) -> impl Iterator<Item = (&String, &Value)> {
    let members = match &request.body {
        Body::Json(Value::Object(members)) => Some(members),
        Body::Json(_) | Body::Nothing | Body::Broken => None,
    };
    members.into_iter().flatten()
}
