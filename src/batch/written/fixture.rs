//! Makes the values of tests of what is remembered of cases.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::WrittenFields;

/// Returns the members of an object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// Returns what is remembered of a case that was written, and of which Testmo's answer showed this.
pub(crate) fn remembered(written: &Value, shown: &Value) -> WrittenFields {
    let raw = |value: &Value| -> Vec<(String, Box<RawValue>)> {
        object(value.clone()).into_iter().map(|(column, value)| (column, to_raw_value(&value).unwrap())).collect()
    };
    let (written, shown) = (raw(written), raw(shown));
    WrittenFields::of(written.iter().map(|(column, value)| (column.as_str(), &**value)), |column| {
        shown.iter().find(|(name, _)| name == column).map(|(_, value)| &**value)
    })
}
