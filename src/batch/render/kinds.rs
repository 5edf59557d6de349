//! Holds what is known of a project's custom fields: which there are, and what each holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::batch::render::catalogue::{Catalogue, FieldKind, Item};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::project::{KnownField, MOST_KEPT, Project, is_kept};

/// The most fields that are kept of those that a project has lost.
const MOST_LOST: usize = 200;

/// The custom fields of a project, by column, and what else it has; empty if Testmo does not list the fields.
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
    /// Labels, options, templates and states. Earlier versions of this program did not keep them.
    #[serde(default)]
    project: Project,
}

/// A custom field of a project.
#[derive(Clone, Copy, Debug)]
pub struct ListedField<'a> {
    /// The column.
    pub column: &'a str,
    /// What the field holds.
    pub kind: FieldKind,
    /// What else is known of it.
    pub known: &'a KnownField,
}

impl FieldKinds {
    /// Returns what is kept of a project's lists.
    pub fn of(there: &Catalogue) -> Self {
        let kept = there.fields.iter().flatten().filter(|field| is_kept(&field.column));
        let listed = kept.take(MOST_KEPT).map(|field| (field.column.clone(), field.kind)).collect();
        Self { listed, project: Project::of(there), ..Self::default() }
    }

    /// Returns the same with the time at which it was read, in milliseconds on the store's clock.
    pub fn read_at(mut self, at: i64) -> Self {
        self.project.read_at = Some(at);
        self
    }

    /// Returns what else the project has.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Returns whether the labels, options and required fields of the project are known.
    pub fn is_detailed(&self) -> bool {
        !self.project.fields.is_empty()
    }

    /// Returns the fields of the project of which more than the kind is known.
    pub fn fields(&self) -> impl Iterator<Item = ListedField<'_>> {
        self.listed.iter().filter_map(|(column, kind)| {
            let known = self.project.fields.get(column)?;
            Some(ListedField { column, kind: *kind, known })
        })
    }

    /// Returns the field with a column, if more than its kind is known.
    pub fn field(&self, column: &str) -> Option<ListedField<'_>> {
        let (column, kind) = self.listed.get_key_value(column)?;
        Some(ListedField { column, kind: *kind, known: self.project.fields.get(column)? })
    }

    /// Returns the options of a field; none if they are not known.
    pub fn options(&self, column: &str) -> &[Item] {
        self.project.fields.get(column).map(|field| field.options.as_slice()).unwrap_or_default()
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
        Self { listed: listed.listed, lost, given_up, project: self.project.renewed(listed.project) }
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
    use crate::batch::render::catalogue::Field;
    use crate::batch::render::project::LONGEST_COLUMN;

    fn listed(columns: &[&str]) -> FieldKinds {
        let field = |column: &&str| Field {
            id: None,
            column: (*column).into(),
            label: "l".into(),
            options: vec![],
            required: false,
            kind: FieldKind::Plain,
        };
        FieldKinds::of(&Catalogue { fields: Some(columns.iter().map(field).collect()), ..Catalogue::default() })
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
        assert_eq!((all.listed.len(), lost.lost.len()), (MOST_KEPT, MOST_LOST));
        let later = r#"{"listed": {"custom_a": "matrix", "custom_b": "rich_text"}, "more": 1}"#;
        let later: FieldKinds = serde_json::from_str(later).unwrap();
        let kinds = ["custom_a", "custom_b"].map(|column| later.kind(column, &Mapping::default()));
        assert_eq!(kinds, [FieldKind::Unknown, FieldKind::RichText]);
        assert!(!later.is_detailed(), "an earlier version keeps no labels");
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
    }
}
