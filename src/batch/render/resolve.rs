//! Resolves the names that people write in a mapping: turns them into ids and columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::batch::message::decode::is_custom_column;
use crate::batch::render::catalogue::{Catalogue, Item};
use crate::batch::render::mapping::{Mapping, PriorityColumn};
use crate::batch::render::mapping_spec::{MappingSpec, Named, WrittenPriority};
use crate::batch::render::nearest::did_you_mean;
use crate::batch::render::typed::typed;
use crate::batch::undo::Retired;

/// The parts of a [`Catalogue`] that a mapping needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The templates.
    pub templates: bool,
    /// The states.
    pub states: bool,
    /// The fields.
    pub fields: bool,
}

impl MappingSpec {
    /// Returns the parts of a [`Catalogue`] that have to be read before the names can be resolved.
    pub fn needs(&self) -> Needs {
        let named = |one: &Option<Named>| matches!(one, Some(Named::Name(_)));
        let texts = [&self.steps, &self.preconditions, &self.description, &self.expected, &self.gherkin];
        let columns =
            texts.into_iter().flatten().chain(self.priority.as_ref().map(|p| &p.column)).chain(self.fixed.keys());
        let options = self.priority.iter().flat_map(|p| p.values.values());
        Needs {
            templates: named(&self.template) || named(&self.gherkin_template),
            states: named(&self.state) || self.retired.as_ref().is_some_and(|retired| named(&retired.state)),
            fields: columns.into_iter().any(|column| !is_custom_column(column))
                || options.into_iter().any(|option| matches!(option, Named::Name(_))),
        }
    }

    /// Returns the mapping by ids and columns.
    ///
    /// # Errors
    /// One sentence for every name that does not exist, with the names that do.
    pub fn resolve(&self, there: &Catalogue) -> Result<Mapping, Vec<String>> {
        let mut lookup = Lookup::new(there);
        let mut column = |key: &str, text: &Option<String>| text.as_ref().map(|text| lookup.column(key, text));
        let [steps, preconditions, description, expected, gherkin] = [
            column("steps", &self.steps),
            column("preconditions", &self.preconditions),
            column("description", &self.description),
            column("expected", &self.expected),
            column("gherkin", &self.gherkin),
        ];
        let mapping = Mapping {
            template_id: lookup.item("template", self.template.as_ref(), "templates", there.templates.as_deref()),
            gherkin_template_id: lookup.item(
                "gherkin_template",
                self.gherkin_template.as_ref(),
                "templates",
                there.templates.as_deref(),
            ),
            state_id: lookup.item("state", self.state.as_ref(), "states", there.states.as_deref()),
            format: self.format,
            steps,
            preconditions,
            description,
            expected,
            gherkin,
            priority: self.priority.as_ref().map(|priority| lookup.priority(priority)),
            origin_note: self.origin_note,
            fixed: lookup.fixed(&self.fixed),
            tags: self.tags.clone(),
            rename_tags: self.rename_tags.clone(),
            batch_tag: self.batch_tag,
            estimate: self.estimate,
            integration_id: self.integration_id,
            connection_project_id: self.connection_project_id,
            on_repeat: self.on_repeat,
            edits: self.edits,
            retired: self.retired.as_ref().map(|retired| Retired {
                state_id: lookup.item("retired.state", retired.state.as_ref(), "states", there.states.as_deref()),
                folder_id: retired.folder,
            }),
            dropped: self.dropped,
        };
        lookup.end(mapping)
    }
}

/// Resolves names, and collects a fault for each name that does not exist.
struct Lookup<'a> {
    there: &'a Catalogue,
    faults: Vec<String>,
}

impl<'a> Lookup<'a> {
    fn new(there: &'a Catalogue) -> Self {
        Self { there, faults: Vec::new() }
    }

    /// Returns the resolved value if every name existed, or else all faults.
    fn end<T>(self, resolved: T) -> Result<T, Vec<String>> {
        if self.faults.is_empty() { Ok(resolved) } else { Err(self.faults) }
    }

    fn item(&mut self, key: &str, wanted: Option<&Named>, list: &str, there: Option<&[Item]>) -> Option<u64> {
        match wanted? {
            Named::Id(id) => Some(*id),
            Named::Name(name) => match there {
                Some(there) => self.pick(key, name, there, |item| &item.name).map(|item| item.id),
                None => self.unlisted(key, name, list, "id"),
            },
        }
    }

    /// Returns the column that a text is or is the label of; if no label matches, the text itself.
    fn column(&mut self, key: &str, text: &str) -> String {
        if is_custom_column(text) {
            return text.to_owned();
        }
        let found = match self.there.fields.as_deref() {
            Some(fields) => self.pick(key, text, fields, |field| &field.label).map(|field| field.column.clone()),
            None => self.unlisted(key, text, "fields", "column, custom_ and then a-z, 0-9 or _,"),
        };
        found.unwrap_or_else(|| text.to_owned())
    }

    fn priority(&mut self, written: &WrittenPriority) -> PriorityColumn {
        let column = self.column("priority.column", &written.column);
        let mut values = BTreeMap::new();
        for (priority, wanted) in &written.values {
            let key = format!("priority.values.{}", priority.name());
            let option = match wanted {
                Named::Id(id) => Some(*id),
                Named::Name(name) => self.option(&key, &column, name),
            };
            values.extend(option.map(|option| (*priority, option)));
        }
        PriorityColumn { column, values, words: written.words.clone() }
    }

    fn option(&mut self, key: &str, column: &str, name: &str) -> Option<u64> {
        let Some(fields) = self.there.fields.as_deref() else { return self.unlisted(key, name, "fields", "id") };
        match fields.iter().find(|field| field.column == column) {
            Some(field) => self.pick(key, name, &field.options, |option| &option.name).map(|option| option.id),
            None if is_custom_column(column) => {
                self.faults.push(format!("`{key}`: this Testmo has no field with the column `{column}`"));
                None
            }
            // The missing label was reported already.
            None => None,
        }
    }

    fn fixed(&mut self, written: &Map<String, Value>) -> Map<String, Value> {
        let mut fixed = Map::new();
        for (text, value) in written {
            let key = format!("fixed.{text}");
            let column = self.column(&key, text);
            let value = self.value(&key, &column, value);
            if fixed.insert(column.clone(), value).is_some() {
                self.faults.push(format!("`{key}`: the field {column} is set twice"));
            }
        }
        fixed
    }

    /// Resolves a fixed value as the field takes it, with names of options turned into ids; in a field without options a
    /// text stays a text.
    fn value(&mut self, key: &str, column: &str, value: &Value) -> Value {
        let Some(field) = self.there.fields.iter().flatten().find(|field| field.column == column) else {
            return value.clone();
        };
        let named = if field.options.is_empty() { value.clone() } else { self.named(key, column, value) };
        typed(&named, field.kind, &field.options).into_owned()
    }

    fn named(&mut self, key: &str, column: &str, value: &Value) -> Value {
        match value {
            Value::String(name) => self.option(key, column, name).map_or(Value::Null, Value::from),
            Value::Array(values) => values.iter().map(|value| self.named(key, column, value)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.clone(),
        }
    }

    /// Returns the entry with this name; if there is none, the only entry whose name differs just in upper and lower
    /// case.
    fn pick<'t, T>(&mut self, key: &str, name: &str, there: &'t [T], name_of: impl Fn(&T) -> &String) -> Option<&'t T> {
        let (exact, folded) = (name.trim(), name.trim().to_lowercase());
        let mut found: Vec<&T> = there.iter().filter(|one| name_of(one).trim() == exact).collect();
        if found.is_empty() {
            found = there.iter().filter(|one| name_of(one).trim().to_lowercase() == folded).collect();
        }
        if let [one] = found.as_slice() {
            return Some(one);
        }
        let names: Vec<String> = there.iter().map(|one| format!("\"{}\"", name_of(one).trim())).collect();
        let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        self.faults.push(if found.is_empty() {
            let meant = did_you_mean(exact, there.iter().map(|one| name_of(one).trim()));
            format!(
                "`{key}`: \"{exact}\" does not exist{meant}{} available: {names}",
                if meant.is_empty() { ";" } else { "" }
            )
        } else {
            format!("`{key}`: several entries are named \"{exact}\"; write the id or the column instead")
        });
        None
    }

    fn unlisted<T>(&mut self, key: &str, name: &str, list: &str, instead: &str) -> Option<T> {
        self.faults
            .push(format!("`{key}`: this Testmo does not list its {list}; write the {instead} instead of \"{name}\""));
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::Priority;
    use crate::batch::render::catalogue::{Field, FieldKind, unfilled};

    fn items(names: &[&str]) -> Vec<Item> {
        names.iter().zip(1..).map(|(name, id)| Item { id, name: (*name).into() }).collect()
    }

    fn field(column: &str, label: &str, options: &[&str]) -> Field {
        Field {
            id: None,
            column: column.into(),
            label: label.into(),
            options: items(options),
            required: false,
            kind: FieldKind::Unknown,
        }
    }

    fn catalogue() -> Catalogue {
        Catalogue {
            templates: Some(items(&["Case (text)", "Case (steps)", "Case (BDD)"])),
            template_fields: BTreeMap::new(),
            states: Some(items(&["Draft", "Active"])),
            fields: Some(vec![
                field("custom_priority", "Priority", &["High", "Normal", "Low"]),
                field("custom_requirements", "Test Data", &[]),
                field("custom_type", "Type", &["Functional", "Security"]),
                field("custom_twin_1", "Twin", &[]),
                field("custom_twin_2", "Twin", &[]),
            ]),
        }
    }

    fn written(value: Value) -> MappingSpec {
        MappingSpec::from_json(&value.to_string()).unwrap()
    }

    #[test]
    fn without_names_a_mapping_is_the_same_for_people_and_worker() {
        assert_eq!(written(json!({})), MappingSpec::default());
        let by_ids = json!({"format": "markdown", "template_id": 2, "gherkin_template_id": 4, "state_id": 1, "steps": null,
                            "priority": {"column": "custom_p", "values": {"high": 7}}, "fixed": {"custom_type": "text"}});
        let mapping = written(by_ids.clone()).resolve(&Catalogue::default()).unwrap();
        assert_eq!(mapping, serde_json::from_value(by_ids).unwrap());
        assert_eq!(written(serde_json::to_value(MappingSpec::from(mapping.clone())).unwrap()), mapping.into());
    }

    #[test]
    fn names_become_ids_and_columns() {
        let written = written(json!({
            "template": "Case (steps)", "gherkin_template": "case (bdd)", "state": " Draft ", "description": "Test Data",
            "priority": {"column": "Priority", "values": {"critical": "High", "low": 3}},
            "fixed": {"Type": "Security", "custom_twin_1": "text", "custom_type_2": ["Functional"]},
        }));
        assert_eq!(written.needs(), Needs { templates: true, states: true, fields: true });
        let mapping = written.resolve(&catalogue()).unwrap();
        assert_eq!((mapping.template_id, mapping.gherkin_template_id, mapping.state_id), (Some(2), Some(3), Some(1)));
        assert_eq!(mapping.description.as_deref(), Some("custom_requirements"));
        let priority = mapping.priority.unwrap();
        assert_eq!(priority.column, "custom_priority");
        assert_eq!(priority.values, [(Priority::Critical, 1), (Priority::Low, 3)].into());
        let fixed = json!({"custom_type": 2, "custom_twin_1": "text", "custom_type_2": ["Functional"]});
        assert_eq!(Value::Object(mapping.fixed), fixed);
    }

    #[test]
    fn a_fixed_value_becomes_what_its_field_takes() {
        let mut there = catalogue();
        let of = |column: &str, kind| {
            let options = if kind == FieldKind::MultiSelect { items(&["Payments", "Login"]) } else { vec![] };
            Field { kind, options, ..field(column, column, &[]) }
        };
        there.fields.as_mut().unwrap().extend([
            of("custom_team", FieldKind::MultiSelect),
            of("custom_automated", FieldKind::Checkbox),
            of("custom_day", FieldKind::Date),
            of("custom_risk", FieldKind::Number),
        ]);
        let fixed = json!({"custom_team": "login", "custom_automated": "yes", "custom_day": "1.12.2026",
                           "custom_risk": "3"});
        let mapping = written(json!({ "fixed": fixed })).resolve(&there).unwrap();
        let expected = json!({"custom_team": [2], "custom_automated": true, "custom_day": "2026-12-01",
                              "custom_risk": 3});
        assert_eq!(Value::Object(mapping.fixed), expected);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        for (value, parts) in [
            (
                json!({"state": "Drafft"}),
                &["`state`", "\"Drafft\"", "did you mean \"Draft\"? available", "\"Draft\", \"Active\""][..],
            ),
            (json!({"template": "x"}), &["`template`", "\"Case (text)\""]),
            (json!({"steps": "Steps"}), &["`steps`", "\"Test Data\""]),
            (json!({"steps": "Twin"}), &["`steps`", "several"]),
            (json!({"priority": {"column": "Priority", "values": {"low": "Least"}}}), &["values.low", "\"Low\""]),
            (json!({"priority": {"column": "custom_x", "values": {"low": "Low"}}}), &["custom_x"]),
            (json!({"fixed": {"Type": "Odd"}}), &["fixed.Type", "\"Functional\", \"Security\""]),
            (json!({"fixed": {"Type": 1, "custom_type": 2}}), &["twice"]),
        ] {
            let faults = written(value.clone()).resolve(&catalogue()).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(parts.iter().all(|part| faults[0].contains(part)), "{value}: {faults:?}");
        }
    }

    #[test]
    fn where_nothing_is_listed_ids_and_columns_have_to_be_written() {
        let value = json!({"template": "a", "state": "b", "steps": "c",
                           "priority": {"column": "custom_priority", "values": {"low": "Low"}}});
        let faults = written(value).resolve(&Catalogue::default()).unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("does not list its")), "{faults:?}");
    }

    #[test]
    fn required_fields_that_nothing_fills_are_named() {
        let mut there = catalogue();
        there.fields.iter_mut().flatten().for_each(|field| field.required = true);
        let mapping = Mapping { gherkin: Some("custom_twin_2".into()), ..Mapping::default() };
        assert_eq!(unfilled(&mapping, &there), ["Test Data", "Type", "Twin"]);
        assert!(unfilled(&mapping, &Catalogue::default()).is_empty());
    }
}
