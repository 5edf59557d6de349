//! Says with which settings an edit of one message is made in others.

use serde_json::Value;

use super::Change;

/// How many settings one can still read.
const MOST: usize = 3;

/// Returns the settings, as FIELD=VALUE, that make the same changes in other messages; none where a change is in the text of one
/// case, or cannot be written so.
pub fn settings_of(changes: &[Change]) -> Vec<String> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for change in changes {
        let Some(setting) = setting_of(change) else { return Vec::new() };
        match settings.iter().find(|(field, _)| *field == setting.0) {
            None => settings.push(setting),
            Some(known) if *known == setting => {}
            Some(_) => return Vec::new(),
        }
    }
    if settings.len() > MOST {
        return Vec::new();
    }
    settings.into_iter().map(|(field, value)| format!("{field}={value}")).collect()
}

fn setting_of(change: &Change) -> Option<(String, String)> {
    let parts: Vec<&str> = change.pointer.split('/').skip(1).collect();
    let (single, with_names, names) = match parts[..] {
        ["cases", _, ref names @ ..] => (&["priority", "estimate_seconds"][..], "fields", names),
        ref names => (&["folder_id", "format"][..], "source", names),
    };
    let is_shared = match names {
        [name] => single.contains(name),
        [first, name] => *first == with_names && is_writable(name),
        [..] => false,
    };
    let value = match change.after.as_ref() {
        None => "null".to_owned(),
        Some(Value::String(text)) if serde_json::from_str::<Value>(text).is_err() => text.clone(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => return None,
        Some(value) => value.to_string(),
    };
    is_shared.then(|| (names.join("."), value))
}

/// Returns whether a setting can name a key.
fn is_writable(name: &str) -> bool {
    let is_index = name.parse::<usize>().is_ok();
    !name.is_empty() && name.trim() == name && !name.contains(['.', '*', '=', '~']) && !is_index
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::Setting;
    use super::super::difference::difference;
    use super::*;

    fn settings(before: &Value, after: &Value) -> Vec<String> {
        settings_of(&difference(before, after))
    }

    #[test]
    fn a_value_that_many_cases_can_have_is_set_in_others_and_the_text_of_a_case_is_not() {
        let before = json!({"folder_path": ["A"], "cases": [{"name": "a", "fields": {"Risk": "Extreme", "Level": 1}},
                                                            {"name": "b", "fields": {"Risk": "Extreme"}}]});
        let table: [(&str, Value, &[&str]); 10] = [
            ("/cases/0/fields/Risk", json!("High"), &["fields.Risk=High"]),
            ("/cases/0/fields/Risk", json!("2"), &["fields.Risk=\"2\""]),
            ("/cases/0/fields/Level", json!(2), &["fields.Level=2"]),
            ("/cases/1/fields/Risk", json!("a b"), &["fields.Risk=a b"]),
            ("/cases/0/fields/Risk", json!(["High"]), &[]),
            ("/cases/0/name", json!("other"), &[]),
            ("/folder_path/0", json!("B"), &[]),
            ("/cases/0/fields/Risk", json!("Extreme"), &[]),
            ("/cases/0/fields/Risk", json!(null), &[]),
            ("/folder_path", json!(["C", "D"]), &[]),
        ];
        for (pointer, value, expected) in table {
            let mut after = before.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            assert_eq!(settings(&before, &after), expected, "{pointer}");
        }
        let mut after = before.clone();
        for at in 0..2 {
            after["cases"][at]["fields"]["Risk"] = json!("High");
        }
        assert_eq!(settings(&before, &after), ["fields.Risk=High"], "the same change of two cases");
        after["cases"][0]["fields"]["Risk"] = json!("Low");
        assert_eq!(settings(&before, &after), [""; 0], "two changes that differ");
        let mut after = before.clone();
        after["cases"][0]["fields"].as_object_mut().unwrap().shift_remove("Level");
        assert_eq!(settings(&before, &after), ["fields.Level=null"], "a key was removed");
        after["cases"][0].as_object_mut().unwrap().shift_remove("fields");
        assert_eq!(settings(&before, &after), [""; 0], "a whole object was removed");
    }

    proptest! {
        #[test]
        fn settings_make_the_same_change_as_the_edit(
            fields in prop::collection::btree_map("[A-Za-z .=~*0-9]{0,4}", "[a-z0-9\" ]{0,3}", 0..4),
            edited in prop::collection::btree_map("[A-Za-z .=~*0-9]{0,4}", "[a-z0-9\" ]{0,3}", 0..4),
        ) {
            let before = json!({"cases": [{"fields": fields}]});
            let after = json!({"cases": [{"fields": edited}]});
            let settings = settings(&before, &after);
            let mut made = before.clone();
            for setting in &settings {
                setting.parse::<Setting>().unwrap().apply(&mut made, &|_| false).unwrap();
            }
            prop_assert!(settings.is_empty() || made == after, "{settings:?}: {made} is not {after}");
        }
    }
}
