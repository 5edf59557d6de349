//! In which ways may one account differ from another?

use serde::{Deserialize, Serialize};

/// What is switched on, how large things may be and how long an answer takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether `/projects/{id}/templates` exists; tenants can lack the lookup routes.
    pub templates_route: bool,
    /// Whether `/projects/{id}/fields` exists.
    pub fields_route: bool,
    /// Whether `/projects/{id}/states` exists.
    pub states_route: bool,
    /// Whether `/projects/{id}/tags` exists.
    pub tags_route: bool,
    /// What the case list makes of `tags`.
    pub tags_filter: TagsFilter,
    /// Whether the case list knows `name` (claimed by clients only).
    pub name_filter: bool,
    /// Whether the case list knows `recursive` (claimed by clients only).
    pub recursive_filter: bool,
    /// Which of the folders that were created over the API the folder list shows.
    pub folder_list: FolderList,
    /// What becomes of the name of a folder that is created over the API.
    pub folder_names: FolderNames,
    /// Whether the answer to creating a folder shows the folder that it is in.
    pub echoes_folder_parents: bool,
    /// The largest body that is read, in bytes; more is 413 (assumed, no limit is published).
    pub body_limit_bytes: usize,
    /// How long every request takes, in milliseconds; it commits at the end of that time.
    pub latency_ms: u64,
    /// Columns (`custom_...`) that a case must fill when its template has them.
    pub required_fields: Vec<String>,
    /// Text columns that list rows leave out (recorded for one long-text field).
    pub hidden_in_lists: Vec<String>,
    /// What a plain field that does not exist does to a POST (not settled by any recording).
    pub unknown_fields: UnknownFields,
    /// How list rows and echoes show a dropdown's value (differs by tenant or date).
    pub dropdown_form: DropdownForm,
    /// The longest name in characters (assumed; 496 were seen to pass).
    pub name_max_chars: usize,
    /// The longest tag in characters (assumed).
    pub tag_max_chars: usize,
    /// How far this account's clock is ahead, in milliseconds.
    pub clock_skew_ms: i64,
    /// How far its times of creation are shown ahead of that clock, in milliseconds: they tell no zone, and nothing says
    /// that they are UTC.
    pub created_at_shift_ms: i64,
    /// In which order cases are listed.
    pub case_order: CaseOrder,
    /// How many requests are remembered; the oldest go first.
    pub record_limit: usize,
}

/// What the case list makes of its parameter `tags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagsFilter {
    /// Nothing, without a word (recorded).
    Ignored,
    /// It shows cases with any of the tags (recorded for one tag).
    Any,
    /// It shows cases with all of the tags (nowhere excluded).
    All,
    /// It shows cases with any of the tags, but new ones only after so many milliseconds (nowhere excluded).
    Late(i64),
}

/// In which order cases are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseOrder {
    /// As `sort` and `order` ask for it.
    AsAsked,
    /// Oldest first, whatever was asked for: unknown parameters are ignored.
    OldestFirst,
}

/// Which of the folders that were created over the API the folder list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderList {
    /// All of them (recorded).
    Whole,
    /// New ones only after so many milliseconds (nowhere excluded).
    Late(i64),
    /// None of them (nowhere excluded).
    Never,
}

/// What becomes of the name of a folder that is created over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderNames {
    /// Only its ends are trimmed (assumed).
    Trimmed,
    /// Blanks inside become one, too (nowhere excluded).
    Folded,
}

/// What happens to a plain field in a new case that Testmo does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// 422 with the field's key: the strict reading.
    Refuse,
    /// Dropped without a word.
    Ignore,
}

/// How a dropdown's value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropdownForm {
    /// The option's id, an integer.
    Id,
    /// `{"id": ..., "name": ...}`.
    Object,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            templates_route: true,
            fields_route: true,
            states_route: true,
            tags_route: true,
            tags_filter: TagsFilter::Any,
            name_filter: false,
            recursive_filter: false,
            folder_list: FolderList::Whole,
            folder_names: FolderNames::Trimmed,
            echoes_folder_parents: true,
            body_limit_bytes: 5_000_000,
            latency_ms: 0,
            required_fields: Vec::new(),
            hidden_in_lists: Vec::new(),
            unknown_fields: UnknownFields::Refuse,
            dropdown_form: DropdownForm::Id,
            name_max_chars: 512,
            tag_max_chars: 32,
            clock_skew_ms: 0,
            created_at_shift_ms: 0,
            case_order: CaseOrder::AsAsked,
            record_limit: 200_000,
        }
    }
}
