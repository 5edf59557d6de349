//! Holds a tenant's mapping from the contract to Testmo's fields, by ids and columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::generation::{Dropped, Edits, Removal};
use crate::batch::message::{OnRepeat, Priority, TextFormat};
use crate::batch::undo::Retired;

/// A tenant's mapping as the worker uses it; people may write names instead, see
/// [`crate::batch::render::mapping_spec`]. Every part has a default that fits a fresh Testmo project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// Template of cases with steps or text; if absent, the project's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<u64>,
    /// Template of cases in Gherkin; if absent, `template_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin_template_id: Option<u64>,
    /// State of new cases; if absent, the project's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_id: Option<u64>,
    /// Format of texts for which neither the case nor its batch names one; if absent, plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// Column of the steps; `null` leaves them out.
    pub steps: Option<String>,
    /// Column of the preconditions; `null` leaves them out.
    pub preconditions: Option<String>,
    /// Column of the description; `null` leaves it out.
    pub description: Option<String>,
    /// Column of the expected result of a case without steps; if absent, the result is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Column of Gherkin text; if absent, the text goes into the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin: Option<String>,
    /// Column and values of the priority; `null` leaves it out.
    pub priority: Option<PriorityColumn>,
    /// Whether the description ends with a note of the case's source.
    pub origin_note: bool,
    /// Values for custom fields that are the same in every case.
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
    /// What becomes of fields that a person has edited when a later batch changes them.
    #[serde(skip_serializing_if = "Edits::is_default")]
    pub edits: Edits,
    /// How cases are retired; if absent, they can only be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// What is done with cases that a later batch of their source does not have any more.
    #[serde(skip_serializing_if = "Dropped::is_default")]
    pub dropped: Dropped,
}

/// The column of the priority, and the option of each priority name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityColumn {
    /// The column.
    pub column: String,
    /// The option id of each priority name; a name without an option is left out.
    pub values: BTreeMap<Priority, u64>,
    /// Further words for priorities, in the form of [`crate::batch::message::folded_word`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, Priority>,
}

impl Default for Mapping {
    /// Returns the mapping for a fresh Testmo project, whose priorities are 1 High, 2 Normal, 3 Low.
    fn default() -> Self {
        let values = [(Priority::Critical, 1), (Priority::High, 1), (Priority::Normal, 2), (Priority::Low, 3)];
        Self {
            template_id: None,
            gherkin_template_id: None,
            state_id: None,
            format: None,
            steps: Some("custom_steps".into()),
            preconditions: Some("custom_preconditions".into()),
            description: Some("custom_description".into()),
            expected: None,
            gherkin: None,
            priority: Some(PriorityColumn {
                column: "custom_priority".into(),
                values: values.into(),
                words: BTreeMap::new(),
            }),
            origin_note: true,
            fixed: Map::new(),
            tags: Vec::new(),
            rename_tags: BTreeMap::new(),
            batch_tag: true,
            estimate: false,
            integration_id: None,
            connection_project_id: None,
            on_repeat: None,
            edits: Edits::Keep,
            retired: None,
            dropped: Dropped::Leave,
        }
    }
}

impl Mapping {
    /// Returns what is done with cases that a later batch of their source does not have any more.
    pub fn removal(&self) -> Removal {
        let retired = self.retired.clone().unwrap_or_default();
        match self.dropped {
            Dropped::Leave => Removal::Leave,
            Dropped::Retire => Removal::Retire { state: retired.state_id, folder: retired.folder_id },
            Dropped::Delete => Removal::Delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_read_back_as_it_is_written() {
        let text = serde_json::to_string(&Mapping::default()).unwrap();
        assert_eq!(serde_json::from_str::<Mapping>(&text).unwrap(), Mapping::default());
        assert_eq!(serde_json::from_str::<Mapping>("{}").unwrap(), Mapping::default());
    }
}
