//! Holds what is known of a project's custom fields: which there are, and what each holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::batch::render::catalogue::{Field, FieldKind};
use crate::batch::render::mapping::Mapping;

/// The most fields that are kept of a project.
const MOST_FIELDS: usize = 500;
/// The most fields that are kept of those that a project has lost.
const MOST_LOST: usize = 200;
/// The most characters of a column that is kept.
const LONGEST_COLUMN: usize = 100;

/// The custom fields of a project, by column; empty if Testmo does not list them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldKinds {
    #[serde(default)]
    listed: BTreeMap<String, FieldKind>,
    /// Fields that were listed for the same version of the connection before, and are not any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    lost: BTreeSet<String>,
    /// Fields that were gone when a person entered the connection again, who knows of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    given_up: BTreeSet<String>,
}

impl FieldKinds {
    /// Returns the kinds of the fields that a project lists, as many as are kept.
    pub fn of(fields: &[Field]) -> Self {
        let kept = fields.iter().filter(|field| field.column.chars().count() <= LONGEST_COLUMN);
        let listed = kept.take(MOST_FIELDS).map(|field| (field.column.clone(), field.kind)).collect();
        Self { listed, ..Self::default() }
    }

    /// Returns what is known once a connection was verified again: what it listed before and lists no more is lost. An
    /// empty list says nothing.
    pub fn renewed(&self, listed: Self) -> Self {
        if listed.listed.is_empty() {
            return self.clone();
        }
        let is_gone = |column: &&String| !listed.listed.contains_key(*column);
        let lost = self.listed.keys().chain(&self.lost).filter(is_gone).take(MOST_LOST).cloned().collect();
        let given_up = self.given_up.iter().filter(is_gone).cloned().collect();
        Self { lost, given_up, ..listed }
    }

    /// Returns what is known once a person has entered the connection again: what is gone is not expected back.
    pub fn entered_again(&self, listed: Self) -> Self {
        let renewed = self.renewed(listed);
        let given_up = renewed.lost.into_iter().chain(renewed.given_up).take(MOST_LOST).collect();
        Self { lost: BTreeSet::new(), given_up, ..renewed }
    }

    /// Returns whether a field was gone when a person entered the connection again.
    pub fn is_given_up(&self, column: &str) -> bool {
        self.given_up.contains(column)
    }

    /// Returns whether the project has or had a field.
    pub fn knows(&self, column: &str) -> bool {
        self.listed.contains_key(column) || self.lost.contains(column)
    }

    /// Returns what a field holds. The fields that a mapping fills with texts and steps hold these, whatever is listed.
    pub fn kind(&self, column: &str, mapping: &Mapping) -> FieldKind {
        let is = |chosen: &Option<String>| chosen.as_deref() == Some(column);
        if is(&mapping.steps) {
            return FieldKind::Steps;
        }
        if [&mapping.description, &mapping.preconditions, &mapping.gherkin].into_iter().any(is) {
            return FieldKind::RichText;
        }
        self.listed.get(column).copied().unwrap_or(FieldKind::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(columns: &[&str]) -> FieldKinds {
        let field = |column: &&str| Field {
            column: (*column).into(),
            label: "l".into(),
            options: vec![],
            required: false,
            kind: FieldKind::Plain,
        };
        FieldKinds::of(&columns.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn a_field_that_is_listed_no_more_stays_known_until_it_is_listed_again() {
        let first = listed(&["custom_a", "custom_b"]);
        let second = first.renewed(listed(&["custom_a"]));
        assert!(second.knows("custom_b") && !second.knows("custom_c"));
        assert_eq!(second.renewed(FieldKinds::default()), second, "an empty list says nothing");
        let third = second.renewed(listed(&["custom_a", "custom_c"]));
        assert!(third.knows("custom_b") && third.knows("custom_c"));
        assert_eq!(
            third.renewed(listed(&["custom_b"])).renewed(first.clone()).kind("custom_b", &Mapping::default()),
            { FieldKind::Plain }
        );
        assert_eq!(FieldKinds::default().renewed(first.clone()), first);
        let again = second.entered_again(listed(&["custom_a"])).renewed(listed(&["custom_a"]));
        assert!(!again.knows("custom_b") && again.is_given_up("custom_b"), "a person knows of it");
        let back = again.renewed(first.clone());
        assert!(back.knows("custom_b") && !back.is_given_up("custom_b"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_reads_what_a_later_version_wrote() {
        let many: Vec<String> = (0..2_000).map(|n| format!("custom_{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = format!("custom_{}", "x".repeat(LONGEST_COLUMN));
        assert!(!listed(&[&long]).knows(&long));
        let all = listed(&many);
        let lost = all.renewed(listed(&["custom_x"]));
        assert_eq!((all.listed.len(), lost.lost.len()), (MOST_FIELDS, MOST_LOST));
        let later = r#"{"listed": {"custom_a": "matrix", "custom_b": "rich_text"}, "more": 1}"#;
        let later: FieldKinds = serde_json::from_str(later).unwrap();
        let kinds = ["custom_a", "custom_b"].map(|column| later.kind(column, &Mapping::default()));
        assert_eq!(kinds, [FieldKind::Unknown, FieldKind::RichText]);
        let text = serde_json::to_string(&lost).unwrap();
        assert_eq!(serde_json::from_str::<FieldKinds>(&text).unwrap(), lost);
    }

    #[test]
    fn the_fields_that_a_mapping_fills_need_no_list() {
        let mapping = Mapping { gherkin: Some("custom_feature".into()), ..Mapping::default() };
        for (column, kind) in [
            ("custom_steps", FieldKind::Steps),
            ("custom_description", FieldKind::RichText),
            ("custom_feature", FieldKind::RichText),
            ("custom_other", FieldKind::Unknown),
        ] {
            assert_eq!(FieldKinds::default().kind(column, &mapping), kind, "{column}");
        }
        assert_eq!([2, 10, 1, 8].map(FieldKind::of_number), {
            [FieldKind::RichText, FieldKind::Steps, FieldKind::Plain, FieldKind::Plain]
        });
    }
}
