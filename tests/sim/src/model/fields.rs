//! Which templates, fields and states does an account have?

use serde::{Deserialize, Serialize};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// HTML; raw ampersands are encoded on save.
    RichText,
    /// Text, kept byte for byte.
    PlainText,
    /// One option of a list.
    Dropdown,
    /// A list of steps with `text1` to `text4`.
    Steps,
    /// A number.
    Number,
}

/// One option of a dropdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The option's id: what a case holds.
    pub id: i64,
    /// What people read.
    pub value: String,
}

/// A custom field of cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The field's id.
    pub id: u64,
    /// The key in cases: `custom_...`. It is frozen when the field is made.
    pub column_name: String,
    /// Today's label.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// The options of a dropdown.
    #[serde(default)]
    pub options: Vec<Choice>,
}

/// A template: which fields a case has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The template's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// Whether cases without a `template_id` get it.
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
    /// Whether cases without a `state_id` get it.
    #[serde(default)]
    pub is_default: bool,
}

impl FieldKind {
    /// The `type` number in `/templates`: 2, 8 and 10 are recorded, the others are made up.
    pub fn number(self) -> u64 {
        match self {
            Self::PlainText => 1,
            Self::RichText => 2,
            Self::Number => 4,
            Self::Dropdown => 8,
            Self::Steps => 10,
        }
    }
}

/// The priorities of the default list: 1 High, 2 Normal, 3 Low.
pub fn default_priorities() -> Vec<Choice> {
    let choice = |(id, value): (i64, &str)| Choice { id, value: value.to_owned() };
    [(1, "High"), (2, "Normal"), (3, "Low")].map(choice).to_vec()
}

/// The fields of a new account, with these priorities.
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
        field(6, "custom_feature", "Feature", FieldKind::PlainText, Vec::new()),
    ]
}

/// The three built-in templates; the one with steps is the default.
pub fn default_templates() -> Vec<Template> {
    let template = |id, name: &str, own: &str| {
        let columns = ["custom_priority", "custom_description", "custom_preconditions", own];
        Template { id, name: name.to_owned(), is_default: id == 2, columns: columns.map(str::to_owned).to_vec() }
    };
    vec![
        template(1, "Case (text)", "custom_expected"),
        template(2, "Case (steps)", "custom_steps"),
        template(4, "Case (BDD)", "custom_feature"),
    ]
}

/// The five built-in states; new cases are active.
pub fn default_states() -> Vec<State> {
    let names = ["Draft", "Review", "Approved", "Active", "Deprecated"];
    let state = |(id, name): (u64, &str)| State { id, name: name.to_owned(), is_default: id == 4 };
    (1..).zip(names).map(state).collect()
}
