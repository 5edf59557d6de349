//! Reads a mapping as people write it, with ids and columns or with Testmo's names, and resolves the names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::message::Priority;
use crate::batch::message::decode::is_custom_column;
use crate::batch::render::catalogue::Catalogue;
use crate::batch::render::lookup::Lookup;
use crate::batch::render::mapping::{Mapping, PriorityColumn};
use crate::batch::render::tag;

/// A mapping as it is written; without names it means the same as [`Mapping`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MappingSpec {
    /// Template of cases with steps or text; if absent, the project's default.
    #[serde(alias = "template_id", skip_serializing_if = "Option::is_none")]
    pub template: Option<Named>,
    /// Template of cases in Gherkin; if absent, `template`.
    #[serde(alias = "gherkin_template_id", skip_serializing_if = "Option::is_none")]
    pub gherkin_template: Option<Named>,
    /// State of new cases; if absent, the project's default.
    #[serde(alias = "state_id", skip_serializing_if = "Option::is_none")]
    pub state: Option<Named>,
    /// Column or label of the steps; `null` leaves them out.
    pub steps: Option<String>,
    /// Column or label of the preconditions; `null` leaves them out.
    pub preconditions: Option<String>,
    /// Column or label of the description; `null` leaves it out.
    pub description: Option<String>,
    /// Column or label of Gherkin text; if absent, the text goes into the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin: Option<String>,
    /// Column and values of the priority; `null` leaves it out.
    pub priority: Option<WrittenPriority>,
    /// Whether the description ends with a note of the case's source.
    pub origin_note: bool,
    /// Values for custom fields that are the same in every case, by column or label.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fixed: Map<String, Value>,
    /// Tags that every case gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether every case carries the tag of its batch.
    #[serde(alias = "mark")]
    pub batch_tag: bool,
    /// Whether `estimate_seconds` is sent.
    pub estimate: bool,
    /// The issue integration that display ids belong to; if absent, issues are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<u64>,
    /// The project of the issue integration; GitHub and GitLab need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_project_id: Option<u64>,
}

/// An object in Testmo, by its id or by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected an id or a name")]
pub enum Named {
    /// The id.
    Id(u64),
    /// The name that people see.
    Name(String),
}

/// The column of the priority, and the option of each priority name, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenPriority {
    /// The column or label.
    pub column: String,
    /// The option of each priority name; a name without an option is left out.
    pub values: BTreeMap<Priority, Named>,
}

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

impl Default for MappingSpec {
    fn default() -> Self {
        Mapping::default().into()
    }
}

impl From<Mapping> for MappingSpec {
    fn from(mapping: Mapping) -> Self {
        let priority = |PriorityColumn { column, values }| WrittenPriority {
            column,
            values: values.into_iter().map(|(name, option)| (name, Named::Id(option))).collect(),
        };
        Self {
            template: mapping.template_id.map(Named::Id),
            gherkin_template: mapping.gherkin_template_id.map(Named::Id),
            state: mapping.state_id.map(Named::Id),
            steps: mapping.steps,
            preconditions: mapping.preconditions,
            description: mapping.description,
            gherkin: mapping.gherkin,
            priority: mapping.priority.map(priority),
            origin_note: mapping.origin_note,
            fixed: mapping.fixed,
            tags: mapping.tags,
            batch_tag: mapping.batch_tag,
            estimate: mapping.estimate,
            integration_id: mapping.integration_id,
            connection_project_id: mapping.connection_project_id,
        }
    }
}

impl MappingSpec {
    /// Reads a mapping from JSON.
    ///
    /// # Errors
    /// One sentence that names the place and the remedy.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mapping: Self =
            serde_path_to_error::deserialize(&mut json).map_err(|e| format!("at {}: {}", e.path(), e.inner()))?;
        json.end().map_err(|error| error.to_string())?;
        match mapping.tags.iter().find(|t| tag(t).as_deref() != Some(t)) {
            Some(wrong) => Err(format!("`{wrong}` is not a tag: write 1 to 32 of a-z, 0-9, _ and -")),
            None => Ok(mapping),
        }
    }

    /// Returns the parts of a [`Catalogue`] that have to be read before the names can be resolved.
    pub fn needs(&self) -> Needs {
        let named = |one: &Option<Named>| matches!(one, Some(Named::Name(_)));
        let texts = [&self.steps, &self.preconditions, &self.description, &self.gherkin];
        let columns =
            texts.into_iter().flatten().chain(self.priority.as_ref().map(|p| &p.column)).chain(self.fixed.keys());
        let options = self.priority.iter().flat_map(|p| p.values.values());
        Needs {
            templates: named(&self.template) || named(&self.gherkin_template),
            states: named(&self.state),
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
        let [steps, preconditions, description, gherkin] = [
            column("steps", &self.steps),
            column("preconditions", &self.preconditions),
            column("description", &self.description),
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
            steps,
            preconditions,
            description,
            gherkin,
            priority: self.priority.as_ref().map(|priority| lookup.priority(priority)),
            origin_note: self.origin_note,
            fixed: lookup.fixed(&self.fixed),
            tags: self.tags.clone(),
            batch_tag: self.batch_tag,
            estimate: self.estimate,
            integration_id: self.integration_id,
            connection_project_id: self.connection_project_id,
        };
        lookup.end(mapping)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::render::catalogue::{Field, Item, unfilled};

    fn items(names: &[&str]) -> Vec<Item> {
        names.iter().zip(1..).map(|(name, id)| Item { id, name: (*name).into() }).collect()
    }

    fn field(column: &str, label: &str, options: &[&str]) -> Field {
        Field { column: column.into(), label: label.into(), options: items(options), required: false }
    }

    fn catalogue() -> Catalogue {
        Catalogue {
            templates: Some(items(&["Case (text)", "Case (steps)", "Case (BDD)"])),
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
        let by_ids = json!({"template_id": 2, "gherkin_template_id": 4, "state_id": 1, "steps": null,
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
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        for (value, parts) in [
            (json!({"state": "Drafft"}), &["`state`", "\"Drafft\"", "\"Draft\", \"Active\""][..]),
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

    #[test]
    fn a_wrong_mapping_is_refused_with_its_place() {
        for (text, place) in [
            (r#"{"step": "x"}"#, "step"),
            (r#"{"template": [1]}"#, "an id or a name"),
            (r#"{"template": 1, "template_id": 2}"#, "duplicate"),
            (r#"{"priority": {"column": "custom_p", "values": {"urgent": 1}}}"#, "priority.values"),
            (r#"{"tags": ["Two Words"]}"#, "Two Words"),
            (r#"{} {}"#, "trailing"),
        ] {
            let error = MappingSpec::from_json(text).unwrap_err();
            assert!(error.contains(place), "{text}: {error}");
        }
    }
}
