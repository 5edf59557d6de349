//! Reads a mapping as people write it, with ids and columns or with Testmo's names, and resolves the names.

mod lenient;
mod wrong;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::lenient::strict;
use self::wrong::described;
use crate::batch::generation::{Dropped, Edits};
use crate::batch::is_batch_tag;
use crate::batch::message::{OnRepeat, Priority, TextFormat, Urgency};
use crate::batch::render::mapping::{Mapping, PriorityColumn};
use crate::batch::render::tag::tag;

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
    /// Format of texts for which neither the case nor its batch names one; if absent, plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// Column or label of the steps; `null` leaves them out.
    pub steps: Option<String>,
    /// Column or label of the preconditions; `null` leaves them out.
    pub preconditions: Option<String>,
    /// Column or label of the description; `null` leaves it out.
    pub description: Option<String>,
    /// Column or label of the expected result of a case without steps; if absent, the result is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
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
    /// Other names for tags of cases, by the tag as it is written; upper and lower case count as equal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rename_tags: BTreeMap<String, String>,
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
    /// What is done with cases that an earlier batch wrote, if a batch does not say it; if absent, they are created again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_repeat: Option<OnRepeat>,
    /// What becomes of fields that a person has edited when a later batch changes them: they are kept or overwritten.
    #[serde(skip_serializing_if = "Edits::is_default")]
    pub edits: Edits,
    /// How cases are retired, which are taken back or no longer generated: the state that they get, the folder that they are
    /// moved to, or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<WrittenRetired>,
    /// What is done with cases that a later batch of their source does not have any more: they are left, retired or deleted.
    #[serde(skip_serializing_if = "Dropped::is_default")]
    pub dropped: Dropped,
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
    /// Further words for priorities, beside those that docs/publishing.md lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, Priority>,
}

/// How cases are retired, as written: at least one part is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRetired {
    /// The state that a retired case gets, by name or id.
    #[serde(default, alias = "state_id", skip_serializing_if = "Option::is_none")]
    pub state: Option<Named>,
    /// The id of the folder that a retired case is moved to.
    #[serde(default, alias = "folder_id", skip_serializing_if = "Option::is_none")]
    pub folder: Option<u64>,
}

impl Default for MappingSpec {
    fn default() -> Self {
        Mapping::default().into()
    }
}

impl From<Mapping> for MappingSpec {
    fn from(mapping: Mapping) -> Self {
        let priority = |PriorityColumn { column, values, words }| WrittenPriority {
            words,
            column,
            values: values.into_iter().map(|(name, option)| (name, Named::Id(option))).collect(),
        };
        Self {
            template: mapping.template_id.map(Named::Id),
            gherkin_template: mapping.gherkin_template_id.map(Named::Id),
            state: mapping.state_id.map(Named::Id),
            format: mapping.format,
            steps: mapping.steps,
            preconditions: mapping.preconditions,
            description: mapping.description,
            expected: mapping.expected,
            gherkin: mapping.gherkin,
            priority: mapping.priority.map(priority),
            origin_note: mapping.origin_note,
            fixed: mapping.fixed,
            tags: mapping.tags,
            rename_tags: mapping.rename_tags,
            batch_tag: mapping.batch_tag,
            estimate: mapping.estimate,
            integration_id: mapping.integration_id,
            connection_project_id: mapping.connection_project_id,
            on_repeat: mapping.on_repeat,
            edits: mapping.edits,
            retired: mapping
                .retired
                .map(|retired| WrittenRetired { state: retired.state_id.map(Named::Id), folder: retired.folder_id }),
            dropped: mapping.dropped,
        }
    }
}

impl MappingSpec {
    /// Reads a mapping from JSON, in which comments from `//` to the end of the line and a comma after the last
    /// entry are allowed.
    ///
    /// # Errors
    /// One sentence that names the place and the remedy.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let text = &*strict(text);
        // The parser would take a list for the values of all keys in their order.
        if text.trim_start().starts_with('[') {
            return Err("a mapping has to be an object, not a list".into());
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let wrong = |path: &str, error: &serde_json::Error| described(path, error, text.trim().is_empty());
        let mapping: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| wrong(&error.path().to_string(), error.inner()))?;
        json.end().map_err(|error| wrong("", &error))?;
        let is_wrong = |text: &&String| tag(text).as_ref() != Some(*text) || is_batch_tag(text);
        if let Some(wrong) = mapping.tags.iter().chain(mapping.rename_tags.values()).find(is_wrong) {
            return Err(format!(
                "`{wrong}` is not a tag: write 1 to 32 of a-z, 0-9, _ and -, not the form of a batch tag"
            ));
        }
        if mapping.retired.as_ref().is_some_and(|retired| retired.state.is_none() && retired.folder.is_none()) {
            return Err(
                "`retired` is empty: write a `state`, a `folder` or both, such as {\"state\": \"Deprecated\"}".into()
            );
        }
        if mapping.dropped == Dropped::Retire {
            let retired = mapping.retired.as_ref();
            let retired = retired.ok_or("`dropped`: write `retired`, too, such as {\"state\": \"Deprecated\"}")?;
            if retired.state.is_some() && mapping.state.is_none() {
                let why = "`dropped`: write `state`, too, so that a case gets it back if it is generated again";
                return Err(why.into());
            }
        }
        let mut words = mapping.priority.iter().flat_map(|priority| &priority.words);
        match words.find_map(|(word, _)| Some((word, Urgency::of(word).meant_by(&BTreeMap::new())?))) {
            Some((word, meant)) => {
                Err(format!("`{word}` in `priority.words` already means {}: remove this line", meant.name()))
            }
            None => Ok(mapping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_retired_only_to_a_place_from_which_they_come_back() {
        let said = |text: &str| MappingSpec::from_json(text).err().unwrap_or_default();
        for text in [
            r#"{"dropped": "leave"}"#,
            r#"{"dropped": "delete"}"#,
            r#"{"dropped": "retire", "retired": {"folder": 7}}"#,
            r#"{"dropped": "retire", "state": "Active", "retired": {"state": "Deprecated"}}"#,
            r#"{"dropped": "retire", "state_id": 4, "retired": {"state": 5, "folder": 7}}"#,
            r#"{"dropped": "delete", "retired": {"state": 5}}"#,
        ] {
            assert_eq!(said(text), "", "{text}");
        }
        for (text, place) in [
            (r#"{"dropped": "retire"}"#, "`dropped`"),
            (r#"{"dropped": "retire", "retired": {"state": 5}}"#, "`dropped`: write `state`"),
        ] {
            assert!(said(text).starts_with(place), "{text}: {}", said(text));
        }
    }

    #[test]
    fn a_wrong_mapping_is_refused_with_its_place() {
        for (text, place) in [
            (r#"{"step": "x"}"#, "`step` is not a key of a mapping; the keys are template,"),
            (r#"{"template": [1]}"#, "an id or a name"),
            (r#"{"template": 1, "template_id": 2}"#, "`template` is given twice, or also as `template_id`"),
            (r#"{"priority": {"column": "custom_p", "values": {"urgent": 1}}}"#, "priority.values"),
            (
                r#"{"priority": {"colum": "custom_p"}}"#,
                "`colum` is not a key of `priority`: write column, values and words",
            ),
            (r#"{"priority": {"column": "custom_p"}}"#, "`priority` lacks `values`"),
            (r#"{"retired": {}}"#, "`retired` is empty: write a `state`, a `folder` or both"),
            (r#"{"retired": {"status": 3}}"#, "`status` is not a key of `retired`: write state and folder"),
            (r#"{"retired": {"folder": "Old"}}"#, "`retired.folder` has to be a whole number, without quotes"),
            (r#"{"priority": 7}"#, "`priority` has to be an object with column and values, not the integer `7`"),
            (r#"{"format": "html"}"#, "`html` in `format` is unknown: write `plain` or `markdown`"),
            (r#"{"estimate": "yes"}"#, "`estimate` has to be true or false, not the text \"yes\""),
            (r#"{"integration_id": "4"}"#, "`integration_id` has to be a whole number, without quotes, not the text"),
            (r#"{"tags": "x"}"#, "`tags` has to be a list, not the text \"x\""),
            (r#"{"steps": 5}"#, "`steps` has to be a text in double quotes"),
            (r#"{"tags": ["Two Words"]}"#, "Two Words"),
            ("[]", "a mapping has to be an object"),
            (r#"["Case (text)"]"#, "a mapping has to be an object"),
            ("7", "a mapping has to be an object"),
            ("{} {}", "it is not valid JSON: something follows the first value (line 1, column 4)"),
            ("{", "it is not valid JSON: it ends"),
            ("", "it is empty"),
        ] {
            let error = MappingSpec::from_json(text).map_or_else(|error| error, |_| "no error".into());
            assert!(error.contains(place), "{text}: {error}");
            assert!(!error.contains("EOF") && !error.contains("unknown field"), "{text}: {error}");
        }
    }

    #[test]
    fn every_key_is_listed() {
        let written = serde_json::to_value(MappingSpec::default()).unwrap();
        let listed: Vec<&str> = wrong::KEYS.split(", ").collect();
        assert!(written.as_object().unwrap().keys().all(|key| listed.contains(&key.as_str())), "{written}");
        for key in listed {
            let error = MappingSpec::from_json(&format!(r#"{{"{key}": {{"no": 1}}}}"#));
            assert!(!error.is_err_and(|error| error.contains("not a key of a mapping")), "{key}");
        }
    }
}
