//! Defines the templates, fields and states of an account.

use serde::{Deserialize, Serialize};

/// The kind of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// HTML; raw ampersands are encoded on save.
    RichText,
    /// Text, kept byte for byte.
    PlainText,
    /// One option of a list.
    Dropdown,
    /// Some options of a list, as a list of their ids.
    MultiSelect,
    /// True or false.
    Checkbox,
    /// A day, as `2026-11-30`.
    Date,
    /// An address of the web.
    Link,
    /// A list of steps with `text1` to `text4`.
    Steps,
    /// A number.
    Number,
}

/// One option of a dropdown or of a multi-select field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The option's id, which a case stores.
    pub id: i64,
    /// The text that people read.
    pub value: String,
}

/// A custom field of cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The field's id.
    pub id: u64,
    /// The key in cases: `custom_...`. It is fixed when the field is created.
    pub column_name: String,
    /// The present label.
    pub name: String,
    /// The kind of its value.
    pub kind: FieldKind,
    /// The options of a dropdown or of a multi-select field.
    #[serde(default)]
    pub options: Vec<Choice>,
}

/// A template, which defines the fields of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The template's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// Whether the template is used for cases without a `template_id`.
    #[serde(default)]
    pub is_default: bool,
    /// The columns of its fields, in order.
    pub columns: Vec<String>,
}

/// A state of cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The state's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// Whether the state is used for cases without a `state_id`.
    #[serde(default)]
    pub is_default: bool,
}

impl FieldKind {
    /// Returns the `type` number in lists: 2, 8 and 10 are recorded, the others are invented.
    pub fn number(self) -> u64 {
        match self {
            Self::PlainText => 1,
            Self::RichText => 2,
            Self::Number => 4,
            Self::Checkbox => 5,
            Self::Date => 6,
            Self::Link => 7,
            Self::Dropdown => 8,
            Self::Steps => 10,
            Self::MultiSelect => 12,
        }
    }

    /// Returns the word for the type; nowhere recorded.
    pub fn word(self) -> &'static str {
        match self {
            Self::PlainText => "string",
            Self::RichText => "text",
            Self::Number => "number",
            Self::Checkbox => "checkbox",
            Self::Date => "date",
            Self::Link => "link",
            Self::Dropdown => "dropdown",
            Self::Steps => "steps",
            Self::MultiSelect => "multiselect",
        }
    }
}

/// Returns the priorities of the default list: 1 High, 2 Normal, 3 Low.
pub fn default_priorities() -> Vec<Choice> {
    let choice = |(id, value): (i64, &str)| Choice { id, value: value.to_owned() };
    [(1, "High"), (2, "Normal"), (3, "Low")].map(choice).to_vec()
}

/// Returns the fields of a new account, with these priorities.
pub fn default_fields(priorities: Vec<Choice>) -> Vec<Field> {
    let field = |id, column: &str, name: &str, kind, options| Field {
        id,
        column_name: column.to_owned(),
        name: name.to_owned(),
        kind,
        options,
    };
    vec![
        field(1, "custom_priority", "Priority", FieldKind::Dropdown, priorities),
        field(2, "custom_description", "Description", FieldKind::RichText, Vec::new()),
        field(3, "custom_preconditions", "Preconditions", FieldKind::RichText, Vec::new()),
        field(4, "custom_expected", "Expected result", FieldKind::RichText, Vec::new()),
        field(5, "custom_steps", "Steps", FieldKind::Steps, Vec::new()),
        field(6, "custom_feature", "Feature", FieldKind::RichText, Vec::new()),
        field(7, "custom_steps_text", "Steps (text)", FieldKind::RichText, Vec::new()),
    ]
}

/// Returns the three built-in templates; the one with steps is the default.
pub fn default_templates() -> Vec<Template> {
    let template = |id, name: &str, own: &[&str]| {
        let shared = ["custom_priority", "custom_description", "custom_preconditions"];
        let columns = shared.iter().chain(own).map(|column| (*column).to_owned()).collect();
        Template { id, name: name.to_owned(), is_default: id == 2, columns }
    };
    vec![
        template(1, "Case (text)", &["custom_steps_text", "custom_expected"]),
        template(2, "Case (steps)", &["custom_steps"]),
        template(4, "Case (BDD)", &["custom_feature"]),
    ]
}

/// Returns the five built-in states; new cases are active.
pub fn default_states() -> Vec<State> {
    let names = ["Draft", "Review", "Approved", "Active", "Deprecated"];
    let state = |(id, name): (u64, &str)| State { id, name: name.to_owned(), is_default: id == 4 };
    (1..).zip(names).map(state).collect()
}
