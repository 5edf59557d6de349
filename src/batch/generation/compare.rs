//! Compares a case of a later generation with what was written before and with what Testmo shows.

use serde_json::{Map, Value};

use super::carried::carried;
use super::edits::Edits;
use super::tags::tags_now;
use crate::batch::written::{Since, WrittenFields, is_nothing, is_same};

/// Columns that are not compared: the tags, which people share, the template, which nobody can change, and what Testmo does
/// not show.
const APART: [&str; 4] = ["tags", "template_id", "issues", "automation_links"];

/// A case that an earlier batch wrote, and the same case of a later one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    /// The fields of the later case as they are rendered, with its folder.
    pub wanted: &'a Map<String, Value>,
    /// What was written last.
    pub written: &'a WrittenFields,
    /// The case as Testmo shows it, its tags by name.
    pub shown: &'a Map<String, Value>,
}

/// What is to be done with a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Comparison {
    /// Nothing: it has what the generator wrote.
    Same,
    /// Fields of it are written.
    Changed(Box<Change>),
    /// Nothing, as a person has edited each field that the generator changed. Which these are.
    Kept(Vec<KeptField>),
    /// Nothing, as its template is another one now, which no request can change.
    OtherTemplate,
    /// Nothing, as a field that every case has to fill is not shown: its column.
    Unreadable(String),
}

/// The fields of a case that are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The fields whose content changes, by column.
    pub fields: Map<String, Value>,
    /// Fields that are sent as they are, because every request has to fill them.
    pub carried: Map<String, Value>,
    /// The fields that the generator changed and that stay, as a person has edited them.
    pub kept: Vec<KeptField>,
}

/// A field that stays as it is, although the generator changed it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptField {
    /// The column.
    pub column: String,
    /// What the generator wrote.
    pub generated: Value,
    /// What Testmo shows; `None` if it does not show the field.
    pub shown: Option<Value>,
}

/// Decides what is to be done with a case. `required` are the columns that every request has to fill.
///
/// A field is written if the generator changed it and nobody else did. In doubt a person has edited it.
pub(super) fn compare<'a>(pair: Pair<'_>, edits: Edits, required: impl Iterator<Item = &'a str>) -> Comparison {
    let template = pair.wanted.get("template_id").zip(pair.shown.get("template_id"));
    if template.is_some_and(|(wanted, shown)| !is_same("template_id", wanted, shown)) {
        return Comparison::OtherTemplate;
    }
    let (mut fields, mut kept) = (Map::new(), Vec::new());
    for (column, value) in pair.wanted.iter().filter(|(column, _)| !APART.contains(&column.as_str())) {
        match pair.field(column, value, edits) {
            Field::Stays => {}
            Field::Written => drop(fields.insert(column.clone(), value.clone())),
            Field::Kept => {
                let shown = pair.shown.get(column).cloned();
                kept.push(KeptField { column: column.clone(), generated: value.clone(), shown });
            }
        }
    }
    fields.extend(pair.emptied());
    fields.extend(pair.tags().map(|tags| ("tags".to_owned(), tags)));
    if fields.is_empty() {
        return if kept.is_empty() { Comparison::Same } else { Comparison::Kept(kept) };
    }
    let carried = match carried(required, &fields, pair.shown) {
        Ok(carried) => carried,
        Err(column) => return Comparison::Unreadable(column),
    };
    Comparison::Changed(Box::new(Change { fields, carried, kept }))
}

enum Field {
    Stays,
    Written,
    Kept,
}

impl Pair<'_> {
    fn field(&self, column: &str, value: &Value, edits: Edits) -> Field {
        if self.written.is_written(column, value) {
            return Field::Stays;
        }
        let Some(shown) = self.shown.get(column) else { return Field::Kept };
        if is_same(column, value, shown) {
            return Field::Stays;
        }
        match self.written.since(column, shown) {
            Some(Since::Untouched) => Field::Written,
            // What was never written can only have been filled by somebody else.
            None if is_nothing(shown) => Field::Written,
            _ if edits == Edits::Overwrite => Field::Written,
            Some(Since::Touched | Since::Unknown) | None => Field::Kept,
        }
    }

    /// Returns the fields that the generator no longer fills and nobody else has edited, emptied.
    fn emptied(&self) -> impl Iterator<Item = (String, Value)> {
        let is_gone = |(column, shown): &(&String, &Value)| {
            let can_be_empty = column.starts_with("custom_") || *column == "estimate";
            can_be_empty
                && !self.wanted.contains_key(*column)
                && !is_nothing(shown)
                && self.written.since(column, shown) == Some(Since::Untouched)
        };
        let empty = |(column, shown): (&String, &Value)| {
            (column.clone(), if shown.is_array() { Value::Array(Vec::new()) } else { Value::Null })
        };
        self.shown.iter().filter(is_gone).map(empty)
    }

    fn tags(&self) -> Option<Value> {
        let names = |fields: &Map<String, Value>| -> Option<Vec<String>> {
            let tags = fields.get("tags")?.as_array()?;
            tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect()
        };
        // What is not shown cannot be replaced without losing the tags of people.
        let shown = names(self.shown)?;
        let wanted = names(self.wanted).unwrap_or_default();
        let (wanted, shown): (Vec<&str>, Vec<&str>) =
            (wanted.iter().map(String::as_str).collect(), shown.iter().map(String::as_str).collect());
        Some(tags_now(&wanted, self.written, &shown)?.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::fixture::{object, remembered};

    fn first() -> Value {
        json!({"name": "a", "folder_id": 7, "state_id": 1, "template_id": 2, "tags": ["smoke", "sqai-0123456789ab"],
               "custom_note": "<p>x & y</p>", "custom_steps": [{"text1": "<p>go</p>", "display_order": 1}],
               "custom_priority": 2})
    }

    /// Testmo shows tags by name, encodes, and names options.
    fn shown() -> Value {
        json!({"id": 5, "name": "a", "folder_id": 7, "state_id": 1, "template_id": 2, "status_id": null,
               "tags": ["smoke", "sqai-0123456789ab"], "custom_note": "<p>x &amp; y</p>", "estimate": null,
               "custom_steps": [{"id": 9, "case_id": 5, "display_order": 1, "text1": "<p>go</p>", "text2": null}],
               "custom_priority": {"id": 2, "name": "Normal"}, "custom_other": null})
    }

    fn changed(value: Value, by: Value) -> Value {
        let mut changed = object(value);
        changed.extend(object(by));
        changed.retain(|_, value| *value != json!("(gone)"));
        changed.into()
    }

    fn compared(wanted: Value, edited: Value, edits: Edits, required: &[&str]) -> Comparison {
        let (wanted, row) = (object(changed(first(), wanted)), object(changed(shown(), edited)));
        let written = remembered(&first(), &shown());
        let pair = Pair { wanted: &wanted, written: &written, shown: &row };
        compare(pair, edits, required.iter().copied())
    }

    fn outcome(wanted: Value, edited: Value) -> (Value, Vec<String>) {
        match compared(wanted, edited, Edits::Keep, &[]) {
            Comparison::Same => (json!({}), vec![]),
            Comparison::Changed(change) => {
                (change.fields.into(), change.kept.into_iter().map(|kept| kept.column).collect())
            }
            Comparison::Kept(kept) => (json!({}), kept.into_iter().map(|kept| kept.column).collect()),
            other @ (Comparison::OtherTemplate | Comparison::Unreadable(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_the_generator_changed_and_nobody_else_is_written() {
        let none = Vec::<String>::new;
        let steps = json!([{"text1": "<p>go on</p>", "display_order": 1}]);
        let table = [
            ("nothing changed", json!({}), json!({}), json!({}), none()),
            (
                "a new batch tag is no change",
                json!({"tags": ["smoke", "sqai-ba9876543210"]}),
                json!({}),
                json!({}),
                none(),
            ),
            (
                "only people edited",
                json!({}),
                json!({"name": "b", "custom_note": "z", "state_id": 4}),
                json!({}),
                none(),
            ),
            ("the generator", json!({"name": "b"}), json!({}), json!({"name": "b"}), none()),
            ("both, different fields", json!({"name": "b"}), json!({"custom_note": "z"}), json!({"name": "b"}), none()),
            ("both, the same field", json!({"name": "b"}), json!({"name": "c"}), json!({}), vec!["name".into()]),
            ("both, the same content", json!({"name": "b"}), json!({"name": "b"}), json!({}), none()),
            (
                "saved again by an editor",
                json!({"custom_note": "<p>z</p>"}),
                json!({"custom_note": "x &amp; y"}),
                json!({"custom_note": "<p>z</p>"}),
                none(),
            ),
            ("steps", json!({"custom_steps": steps}), json!({}), json!({"custom_steps": steps}), none()),
            (
                "steps edited anywhere",
                json!({"custom_steps": steps, "name": "b"}),
                json!({"custom_steps": [{"text1": "<p>go</p>"}, {"text1": "<p>stop</p>"}]}),
                json!({"name": "b"}),
                vec!["custom_steps".into()],
            ),
            ("moved", json!({"name": "b"}), json!({"folder_id": 8}), json!({"name": "b"}), none()),
            ("moved by both", json!({"folder_id": 9}), json!({"folder_id": 8}), json!({}), vec!["folder_id".into()]),
            ("an option", json!({"custom_priority": 3}), json!({}), json!({"custom_priority": 3}), none()),
            (
                "not shown",
                json!({"custom_note": "z"}),
                json!({"custom_note": "(gone)"}),
                json!({}),
                vec!["custom_note".into()],
            ),
            (
                "filled for the first time",
                json!({"custom_other": "z"}),
                json!({}),
                json!({"custom_other": "z"}),
                none(),
            ),
            (
                "filled by a person before",
                json!({"custom_other": "z"}),
                json!({"custom_other": "mine"}),
                json!({}),
                vec!["custom_other".into()],
            ),
            ("no longer filled", json!({"custom_note": "(gone)"}), json!({}), json!({"custom_note": null}), none()),
            (
                "no longer filled, but edited",
                json!({"custom_note": "(gone)"}),
                json!({"custom_note": "z"}),
                json!({}),
                none(),
            ),
            ("no steps any more", json!({"custom_steps": "(gone)"}), json!({}), json!({"custom_steps": []}), none()),
            (
                "tags",
                json!({"tags": ["slow", "sqai-ba9876543210"]}),
                json!({"tags": ["smoke", "mine", "sqai-0123456789ab"]}),
                json!({"tags": ["mine", "slow", "sqai-ba9876543210"]}),
                none(),
            ),
            ("tags that are not shown", json!({"tags": ["slow"]}), json!({"tags": "(gone)"}), json!({}), none()),
            ("issues cannot be read", json!({"issues": [{"display_id": "A-1"}]}), json!({}), json!({}), none()),
        ];
        for (what, wanted, edited, written, kept) in table {
            assert_eq!(outcome(wanted, edited), (written, kept), "{what}");
        }
    }

    #[test]
    fn what_people_edited_is_replaced_only_if_that_is_asked_for() {
        let both = || (json!({"name": "b"}), json!({"name": "c"}));
        let (wanted, edited) = both();
        let Comparison::Kept(kept) = compared(wanted, edited, Edits::Keep, &[]) else { panic!() };
        assert_eq!(kept, [KeptField { column: "name".into(), generated: json!("b"), shown: Some(json!("c")) }]);
        let (wanted, edited) = both();
        let Comparison::Changed(change) = compared(wanted, edited, Edits::Overwrite, &[]) else { panic!() };
        assert_eq!((Value::Object(change.fields), change.kept), (json!({"name": "b"}), vec![]));
    }

    #[test]
    fn required_fields_are_sent_as_they_are_shown_and_without_one_nothing_is_written() {
        let required = ["custom_priority", "custom_steps"];
        let Comparison::Changed(change) = compared(json!({"name": "b"}), json!({}), Edits::Keep, &required) else {
            panic!()
        };
        let steps = json!([{"text1": "<p>go</p>", "display_order": 1}]);
        assert_eq!(Value::Object(change.carried), json!({"custom_priority": 2, "custom_steps": steps}));
        for missing in [json!({"custom_priority": "(gone)"}), json!({"custom_priority": null})] {
            let without = compared(json!({"name": "b"}), missing, Edits::Keep, &required);
            assert_eq!(without, Comparison::Unreadable("custom_priority".into()));
        }
        let Comparison::Changed(change) =
            compared(json!({"custom_priority": 3}), json!({}), Edits::Keep, &required[..1])
        else {
            panic!()
        };
        assert!(change.carried.is_empty(), "it is sent anyway");
        assert_eq!(compared(json!({}), json!({"custom_priority": null}), Edits::Keep, &required), Comparison::Same);
    }

    #[test]
    fn a_case_with_another_template_is_left_alone() {
        assert_eq!(compared(json!({"template_id": 3}), json!({}), Edits::Keep, &[]), Comparison::OtherTemplate);
        let wanted = json!({"template_id": "(gone)", "name": "b"});
        assert!(matches!(compared(wanted, json!({"template_id": 4}), Edits::Keep, &[]), Comparison::Changed(_)));
    }
}
