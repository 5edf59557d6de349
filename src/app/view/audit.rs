//! Shows entries of the audit to programs, and what differs between their states before and after to people.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::audit::{AuditItem, AuditPage, Since};
use super::super::time::rfc3339;

/// A page of the audit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditPageView {
    entries: Vec<AuditEntryView>,
    /// What `--after` takes to go on; null on the last page.
    next_after: Option<i64>,
}

/// A change that a person made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditEntryView {
    id: i64,
    at: Option<String>,
    actor: String,
    role: String,
    face: String,
    action: String,
    tenant_id: Option<String>,
    batch_id: Option<String>,
    subject: String,
    because: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
    /// The trace of the batch because of which the change was made, as 32 hexadecimal digits.
    trace_id: Option<String>,
    since: Option<SinceView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct SinceView {
    state: &'static str,
    at: Option<String>,
}

impl AuditPageView {
    /// Shows a page.
    pub fn of(page: &AuditPage) -> Self {
        Self { entries: page.entries.iter().map(AuditEntryView::of).collect(), next_after: page.next.map(|id| id.0) }
    }
}

impl AuditEntryView {
    /// Shows a change.
    pub fn of(item: &AuditItem) -> Self {
        entry(item)
    }
}

fn entry(item: &AuditItem) -> AuditEntryView {
    let row = item.row.clone();
    let state = |text: Option<String>| text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    AuditEntryView {
        id: row.id.0,
        at: rfc3339(row.at),
        actor: row.actor,
        role: row.role,
        face: row.face,
        action: row.action,
        tenant_id: row.tenant,
        batch_id: row.batch,
        subject: row.subject,
        because: row.reason,
        before: state(row.before),
        after: state(row.after),
        trace_id: row.trace_id,
        since: item.since.as_ref().map(|since| match since {
            Since::Finished(state, at) => SinceView { state: state.name(), at: rfc3339(*at) },
            Since::Open => SinceView { state: "open", at: None },
            Since::Nothing => SinceView { state: "no_outcome", at: None },
        }),
    }
}

/// Returns what differs between two states that are stored as JSON, a few words for each value. What stands only before was true
/// before, and what stands only after is true now.
pub fn difference(before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let [before, after] = [before, after].map(|state| state.map(values).unwrap_or_default());
    let mut lines = Vec::new();
    for (name, new) in &after {
        match before.get(name) {
            Some(old) if old == new => {}
            Some(old) => lines.push(format!("{name}: {old} → {new}")),
            None => lines.push(format!("{name}: {new}")),
        }
    }
    lines.extend(
        before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(name, old)| format!("{name} was {old}")),
    );
    lines
}

/// Returns the values of a state by their names; a value inside of another one has both names.
fn values(state: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    match serde_json::from_str::<Value>(state) {
        Ok(Value::Object(fields)) => fields.iter().for_each(|(name, value)| add(&mut values, name, value)),
        Ok(value) => drop(values.insert("state".into(), word(&value))),
        Err(_) => drop(values.insert("state".into(), state.to_owned())),
    }
    values
}

fn add(values: &mut BTreeMap<String, String>, name: &str, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(inner, value)| add(values, &format!("{name}.{inner}"), value));
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            values.insert(name.to_owned(), word(value));
        }
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_changed_what_is_new_and_what_was() {
        for (before, after, expected) in [
            (Some(r#"{"paused":false,"limit":null}"#), Some(r#"{"paused":true,"limit":null}"#), "paused: no → yes"),
            (None, Some(r#"{"works":false,"reason":"forbidden"}"#), "reason: forbidden; works: no"),
            (
                Some(r#"{"state":"dead","reason":"forbidden"}"#),
                Some(r#"{"state":"parked"}"#),
                "state: dead → parked; reason was forbidden",
            ),
            (
                Some(r#"{"mapping":{"template":1,"fields":{"a":1}}}"#),
                Some(r#"{"mapping":{"template":2,"fields":{}}}"#),
                "mapping.fields: {}; mapping.template: 1 → 2; mapping.fields.a was 1",
            ),
            (Some("{}"), Some("{}"), ""),
            (None, None, ""),
            (None, Some("{\"cut"), "state: {\"cut"),
            (None, Some("[1]"), "state: [1]"),
        ] {
            assert_eq!(difference(before, after).join("; "), expected);
        }
    }
}
