//! What a tenant's Testmo lists: templates, states and custom fields.

use serde::{Deserialize, Serialize};

use crate::batch::render::mapping::Mapping;

/// The templates, states and fields of a tenant's Testmo; a part that is not listed is `None`, as some tenants lack the
/// routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The project's templates.
    pub templates: Option<Vec<Item>>,
    /// The states of cases.
    pub states: Option<Vec<Item>>,
    /// The custom fields of cases.
    pub fields: Option<Vec<Field>>,
}

/// An object with an id and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The id.
    pub id: u64,
    /// The name that people see.
    pub name: String,
}

/// A custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key in cases, `custom_...`, which stays the same after the field was created.
    pub column: String,
    /// The present label.
    pub label: String,
    /// The options of a dropdown.
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
    /// Something that is shown as it is stored: a line of text, a number, a date, an address, an option.
    Plain,
    /// Testmo does not say, or a later version of this program wrote a kind that this one does not know.
    #[serde(other)]
    Unknown,
}

impl FieldKind {
    /// Returns the kind for the number by which Testmo's lists call it: 2 is text and 10 steps (recorded).
    pub fn of_number(number: u64) -> Self {
        match number {
            2 => Self::RichText,
            10 => Self::Steps,
            _ => Self::Plain,
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
