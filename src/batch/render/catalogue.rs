//! What a tenant's Testmo lists: templates, states and custom fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::render::mapping::Mapping;

/// The templates, states and fields of a tenant's Testmo; a part that is not listed is `None`, as some tenants lack the
/// routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The project's templates.
    pub templates: Option<Vec<Item>>,
    /// The ids and labels of the fields that each template has, by the id of the template, as far as they are listed.
    pub template_fields: BTreeMap<u64, Vec<Item>>,
    /// The states of cases.
    pub states: Option<Vec<Item>>,
    /// The custom fields of cases.
    pub fields: Option<Vec<Field>>,
}

/// An object with an id and a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The id.
    pub id: u64,
    /// The name that people see.
    pub name: String,
}

/// A custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The id, if it is listed.
    pub id: Option<u64>,
    /// The key in cases, `custom_...`, which stays the same after the field was created.
    pub column: String,
    /// The present label.
    pub label: String,
    /// The options of a dropdown or of a multi-select field.
    pub options: Vec<Item>,
    /// Whether every case has to fill the field, if Testmo reports this.
    pub required: bool,
    /// What the field holds.
    pub kind: FieldKind,
}

/// What a custom field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// The HTML of Testmo's editor.
    RichText,
    /// A list of steps, whose texts are such HTML.
    Steps,
    /// One option of a list, by its id.
    Dropdown,
    /// A list of ids of options, also for a single one (claimed by clients).
    MultiSelect,
    /// `true` or `false` (inferred).
    Checkbox,
    /// A day, as `2026-11-30` (inferred).
    Date,
    /// A number (inferred).
    Number,
    /// An address, which is kept as it is (inferred).
    Link,
    /// Something else that is shown as it is stored, such as a line of text.
    Plain,
    /// Testmo does not say, or a later version of this program wrote a kind that this one does not know.
    #[serde(other)]
    Unknown,
}

/// What Testmo's lists say about the kind of a field.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListedType<'a> {
    /// The number of the type.
    pub number: Option<u64>,
    /// The name of the type.
    pub name: Option<&'a str>,
    /// Whether several options can be chosen.
    pub is_multi: bool,
    /// Whether there are options.
    pub has_options: bool,
}

impl FieldKind {
    /// Returns the kind of a field. Recorded are the numbers 2 (text), 8 (dropdown) and 10 (steps); claimed by clients is
    /// `is_multi`. No other number is known, and that a type may be a word is inferred: where neither is known, options
    /// make a list, and any other number means that the value is shown as it is stored.
    pub fn of_listed(listed: ListedType<'_>) -> Self {
        let list = if listed.is_multi { Self::MultiSelect } else { Self::Dropdown };
        match listed.number {
            Some(2) => return Self::RichText,
            Some(10) => return Self::Steps,
            Some(8) => return list,
            Some(_) | None => {}
        }
        let word: String = listed.name.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
        match word.to_ascii_lowercase().as_str() {
            "dropdown" | "select" => list,
            "multiselect" => Self::MultiSelect,
            "checkbox" | "bool" | "boolean" => Self::Checkbox,
            "date" => Self::Date,
            "number" | "integer" | "float" | "decimal" => Self::Number,
            "link" | "url" => Self::Link,
            "steps" => Self::Steps,
            "string" | "line" => Self::Plain,
            _ if listed.has_options => list,
            _ if listed.number.is_some() => Self::Plain,
            _ => Self::Unknown,
        }
    }
}

/// Returns the labels of required fields that no part of a mapping fills.
pub fn unfilled<'a>(mapping: &Mapping, there: &'a Catalogue) -> Vec<&'a str> {
    let texts = [&mapping.steps, &mapping.preconditions, &mapping.description, &mapping.gherkin];
    let filled = |column: &String| {
        texts.into_iter().flatten().any(|own| own == column)
            || mapping.priority.as_ref().is_some_and(|priority| priority.column == *column)
            || mapping.fixed.contains_key(column)
    };
    let fields = there.fields.iter().flatten();
    fields.filter(|field| field.required && !filled(&field.column)).map(|field| field.label.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_from_the_number_the_word_or_the_options() {
        use FieldKind::{Checkbox, Date, Dropdown, Link, MultiSelect, Number, Plain, RichText, Steps, Unknown};
        let kind = |number, name, is_multi, has_options| {
            FieldKind::of_listed(ListedType { number, name, is_multi, has_options })
        };
        for (listed, expected) in [
            ((Some(2), None, false, false), RichText),
            ((Some(10), None, false, false), Steps),
            ((Some(8), None, false, true), Dropdown),
            ((Some(8), None, true, false), MultiSelect),
            ((Some(1), None, false, false), Plain),
            ((Some(99), None, false, true), Dropdown),
            ((Some(99), None, true, true), MultiSelect),
            ((None, Some("Multi-Select"), false, true), MultiSelect),
            ((None, Some("multi_select"), false, false), MultiSelect),
            ((None, Some("dropdown"), true, true), MultiSelect),
            ((None, Some("checkbox"), false, false), Checkbox),
            ((None, Some("date"), false, false), Date),
            ((None, Some("number"), false, false), Number),
            ((None, Some("URL"), false, false), Link),
            ((None, Some("text"), false, false), Unknown),
            ((None, Some("text"), true, true), MultiSelect),
            ((None, None, false, false), Unknown),
        ] {
            let (number, name, is_multi, has_options) = listed;
            assert_eq!(kind(number, name, is_multi, has_options), expected, "{listed:?}");
        }
    }
}
