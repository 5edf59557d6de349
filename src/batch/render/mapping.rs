//! How does a tenant want cases to look in Testmo? The mapping from the contract to Testmo's fields, by ids and columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::message::Priority;

/// A tenant's wishes as the worker uses them; people may write names instead, see [`crate::batch::render::mapping_spec`]. Every part has a
/// default that fits a fresh Testmo project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// Template of cases with steps or text; the project's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<u64>,
    /// Template of cases in Gherkin; `template_id` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin_template_id: Option<u64>,
    /// State that new cases get; the project's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_id: Option<u64>,
    /// Column of the steps; `null` leaves them out.
    pub steps: Option<String>,
    /// Column of the preconditions; `null` leaves them out.
    pub preconditions: Option<String>,
    /// Column of the description; `null` leaves it out.
    pub description: Option<String>,
    /// Column of Gherkin text; without one it goes into the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin: Option<String>,
    /// Column and values of the priority; `null` leaves it out.
    pub priority: Option<PriorityColumn>,
    /// Whether the description ends with what the case was generated from.
    pub origin_note: bool,
    /// Values for custom fields that are the same in every case.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fixed: Map<String, Value>,
    /// Tags that every case gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether every case carries the tag of its batch.
    pub mark: bool,
    /// Whether `estimate_seconds` is sent.
    pub estimate: bool,
    /// The issue integration that display ids belong to; issues are left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<u64>,
    /// The project of that integration; GitHub and GitLab need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_project_id: Option<u64>,
}

/// Where a priority goes and which option each name is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityColumn {
    /// The column.
    pub column: String,
    /// The option id of each name; a name without one is left out.
    pub values: BTreeMap<Priority, u64>,
}

impl Default for Mapping {
    /// The columns of a fresh Testmo project; its priorities are 1 High, 2 Normal, 3 Low.
    fn default() -> Self {
        let values = [(Priority::Critical, 1), (Priority::High, 1), (Priority::Normal, 2), (Priority::Low, 3)];
        Self {
            template_id: None,
            gherkin_template_id: None,
            state_id: None,
            steps: Some("custom_steps".into()),
            preconditions: Some("custom_preconditions".into()),
            description: Some("custom_description".into()),
            gherkin: None,
            priority: Some(PriorityColumn { column: "custom_priority".into(), values: values.into() }),
            origin_note: true,
            fixed: Map::new(),
            tags: Vec::new(),
            mark: true,
            estimate: false,
            integration_id: None,
            connection_project_id: None,
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
