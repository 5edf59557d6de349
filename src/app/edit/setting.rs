//! Applies one change to a message: a value at a place, or at the same place of each case.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::app::plural::counted;

/// The keys of a message that are not keys of a case.
const KEYS_OF_MESSAGE: [&str; 11] = [
    "schema_version",
    "batch_id",
    "tenant_id",
    "generated_at",
    "source",
    "folder_path",
    "folder_id",
    "format",
    "on_repeat",
    "replaces",
    "cases",
];

/// A value, and the place to which it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    path: Vec<Part>,
    value: Value,
}

/// A part of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A key of an object, or an index of a list, from 0.
    Name(String),
    /// Every entry of a list.
    Every,
}

impl FromStr for Setting {
    type Err = String;

    /// Reads `FIELD=VALUE`: a JSON pointer, or names with dots between them; and JSON, or else a text.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((field, value)) = text.split_once('=') else {
            return Err(format!("`{text}` has no `=`: write FIELD=VALUE, such as priority=high"));
        };
        let field = field.trim();
        let names: Vec<String> = match field.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect(),
            None => field.split('.').map(str::to_owned).collect(),
        };
        if names.iter().any(String::is_empty) {
            return Err(format!(
                "`{field}` names no field: write a field such as tags, or a JSON pointer such as /cases/0/name"
            ));
        }
        let part = |name: String| if name == "*" { Part::Every } else { Part::Name(name) };
        let mut path: Vec<Part> = names.into_iter().map(part).collect();
        let is_of_message = matches!(&path[0], Part::Name(name) if KEYS_OF_MESSAGE.contains(&name.as_str()));
        if !is_of_message && !field.starts_with('/') {
            path.splice(0..0, [Part::Name("cases".into()), Part::Every]);
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok(Self { path, value })
    }
}

impl Setting {
    /// Applies the change. With `*` for the cases, those for which `is_locked` holds are left alone. `null` removes a key.
    ///
    /// # Errors
    /// When there is no such place.
    pub(super) fn apply(&self, message: &mut Value, is_locked: &dyn Fn(usize) -> bool) -> Result<(), String> {
        put(message, String::new(), &self.path, &self.value, is_locked)
    }
}

fn put(
    place: &mut Value,
    pointer: String,
    path: &[Part],
    value: &Value,
    is_locked: &dyn Fn(usize) -> bool,
) -> Result<(), String> {
    let Some((part, rest)) = path.split_first() else {
        *place = value.clone();
        return Ok(());
    };
    match (part, place) {
        (Part::Every, Value::Array(list)) => {
            let of_cases = pointer == "/cases";
            for (at, entry) in list.iter_mut().enumerate().filter(|(at, _)| !(of_cases && is_locked(*at))) {
                put(entry, format!("{pointer}/{at}"), rest, value, is_locked)?;
            }
            Ok(())
        }
        (Part::Name(name), Value::Object(object)) if rest.is_empty() && value.is_null() => {
            object.shift_remove(name);
            Ok(())
        }
        (Part::Name(name), Value::Object(object)) => {
            let next = object.entry(name.clone()).or_insert_with(|| match rest {
                [] => Value::Null,
                _ => Value::Object(Map::new()),
            });
            put(next, format!("{pointer}/{name}"), rest, value, is_locked)
        }
        (Part::Name(name), Value::Array(list)) => {
            let count = list.len();
            match name.parse::<usize>().ok().and_then(|at| list.get_mut(at)) {
                Some(entry) => put(entry, format!("{pointer}/{name}"), rest, value, is_locked),
                None => {
                    let entries = counted(count, "entry", "entries");
                    Err(format!("{pointer} has {entries} and no entry {name}: count from 0, or write *"))
                }
            }
        }
        (Part::Every, _) => Err(format!("{} is not a list, so * names nothing in it", shown(&pointer))),
        (Part::Name(name), _) => Err(format!("{} is a single value and has no {name}", shown(&pointer))),
    }
}

fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "the message" } else { pointer }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::difference::difference;
    use super::*;

    fn message() -> Value {
        json!({"batch_id": "b", "folder_path": ["A"],
               "cases": [{"name": "a", "tags": ["x"]}, {"name": "b", "fields": {"custom_a/b": 1}}, {"name": "c"}]})
    }

    /// Returns which places a setting changes in the message whose second case is locked.
    fn changed(setting: &str) -> Result<Vec<String>, String> {
        let setting: Setting = setting.parse()?;
        let mut after = message();
        setting.apply(&mut after, &|at| at == 1)?;
        let text = |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let changes = difference(&message(), &after);
        Ok(changes.into_iter().map(|change| format!("{} {}", change.pointer, text(change.after))).collect())
    }

    #[test]
    fn a_field_is_set_in_the_message_in_one_case_or_in_each() {
        let table: [(&str, &[&str]); 11] = [
            ("priority=high", &[r#"/cases/0/priority "high""#, r#"/cases/2/priority "high""#]),
            ("tags=[\"y\"]", &[r#"/cases/0/tags/0 "y""#, r#"/cases/2/tags ["y"]"#]),
            ("tags=null", &["/cases/0/tags -"]),
            ("cases.*.estimate_seconds=60", &["/cases/0/estimate_seconds 60", "/cases/2/estimate_seconds 60"]),
            ("fields.custom_risk=2", &[r#"/cases/0/fields {"custom_risk":2}"#, r#"/cases/2/fields {"custom_risk":2}"#]),
            ("folder_path=[\"B\",\"C\"]", &[r#"/folder_path/0 "B""#, r#"/folder_path/1 "C""#]),
            ("source.key=SHOP-1", &[r#"/source {"key":"SHOP-1"}"#]),
            ("/cases/1/name=z", &[r#"/cases/1/name "z""#]),
            ("cases.1.fields.custom_a/b=2", &["/cases/1/fields/custom_a~1b 2"]),
            ("/cases/1/fields/custom_a~1b=null", &["/cases/1/fields/custom_a~1b -"]),
            ("name=a=b", &[r#"/cases/0/name "a=b""#, r#"/cases/2/name "a=b""#]),
        ];
        for (setting, expected) in table {
            assert_eq!(changed(setting).unwrap(), expected, "{setting}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused_with_what_to_write() {
        for (setting, said) in [
            ("priority", "write FIELD=VALUE"),
            ("=x", "names no field"),
            ("cases..name=x", "names no field"),
            ("/cases/7/name=x", "/cases has 3 entries and no entry 7"),
            ("cases.first.name=x", "no entry first"),
            ("batch_id.x=1", "/batch_id is a single value"),
            ("source.*=1", "/source is not a list"),
        ] {
            let error = changed(setting).unwrap_err();
            assert!(error.contains(said), "{setting}: {error}");
        }
    }

    proptest! {
        #[test]
        fn only_the_named_place_changes_and_a_second_time_nothing(
            field in "[a-z]{1,3}",
            value in prop_oneof![Just(json!(1)), Just(json!("t")), Just(json!(["l"])), Just(json!({"o": 1}))],
            locked in prop::collection::vec(any::<bool>(), 3),
        ) {
            let setting: Setting = format!("/cases/*/{field}={value}").parse().unwrap();
            let mut once = message();
            setting.apply(&mut once, &|at| locked[at]).unwrap();
            for change in difference(&message(), &once) {
                let at: usize = change.pointer.split('/').nth(2).unwrap().parse().unwrap();
                prop_assert!(!locked[at] && change.pointer.split('/').nth(3) == Some(field.as_str()), "{change:?}");
            }
            for (at, case) in once["cases"].as_array().unwrap().iter().enumerate() {
                prop_assert_eq!(locked[at] || case[&field] == value, true);
            }
            let mut twice = once.clone();
            setting.apply(&mut twice, &|at| locked[at]).unwrap();
            prop_assert_eq!(twice, once);
        }
    }
}
