//! Defines the ways in which one account may differ from another.

use serde::{Deserialize, Serialize};

use super::history::HistoryForm;

/// The available routes and filters, the size limits, and the latency.
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
    /// How lists show the history of a case.
    pub history: HistoryForm,
    /// How lists show the type of a field.
    pub field_types: FieldTypes,
    /// Whether the list of fields shows which are required (nowhere recorded).
    pub shows_required: bool,
    /// How the case list handles `tags`.
    pub tags_filter: TagsFilter,
    /// Whether the case list knows `name` (claimed by clients only).
    pub name_filter: bool,
    /// Whether the case list knows `recursive` (claimed by clients only).
    pub recursive_filter: bool,
    /// Whether the case list knows `folder_id` (nowhere in doubt, but unknown filters are ignored).
    pub folder_filter: bool,
    /// Whether the case list accepts `sort`.
    pub sorts_cases: bool,
    /// Whether the case list ignores `sort` and `order` without a word.
    pub ignores_case_sort: bool,
    /// How the folder list handles `sort`.
    pub folder_sort: FolderSort,
    /// How many rows a page of the case list has, whatever is asked for.
    pub case_page_rows: Option<usize>,
    /// Whether the case list shows tags when asked to.
    pub lists_tags: bool,
    /// Whether the list of fields shows their columns.
    pub field_columns: bool,
    /// Which of the folders that were created over the API the folder list shows.
    pub folder_list: FolderList,
    /// How the name of a folder changes that is created over the API.
    pub folder_names: FolderNames,
    /// Whether the answer to creating a folder shows its parent.
    pub echoes_folder_parents: bool,
    /// The largest body that is read, in bytes; a larger one is 413 (assumed, no limit is published).
    pub body_limit_bytes: usize,
    /// How long every request takes, in milliseconds; it takes effect at the end of this time.
    pub latency_ms: u64,
    /// Columns (`custom_...`) that a case must fill when its template has them.
    pub required_fields: Vec<String>,
    /// Text columns that list rows leave out (recorded for one long-text field).
    pub hidden_in_lists: Vec<String>,
    /// How a POST handles a plain field that does not exist (not decided by any recording).
    pub unknown_fields: UnknownFields,
    /// How list rows and echoes show a dropdown's value (differs by tenant or date).
    pub dropdown_form: DropdownForm,
    /// The longest name in characters (assumed; 496 were seen to pass).
    pub name_max_chars: usize,
    /// The longest tag in characters (assumed).
    pub tag_max_chars: usize,
    /// How far this account's clock is ahead, in milliseconds.
    pub clock_skew_ms: i64,
    /// How far the account's times of creation are shown ahead of its clock, in milliseconds: these times have no zone,
    /// and nothing states that they are UTC.
    pub created_at_shift_ms: i64,
    /// The order in which cases are listed.
    pub case_order: CaseOrder,
    /// The `Date` header of honest answers.
    pub date_header: DateHeader,
    /// How long after its creation the case list shows a case, in milliseconds (nowhere excluded).
    pub case_list_lag_ms: i64,
    /// How the name of a new case changes.
    pub case_names: CaseNames,
    /// Whether blanks at the ends of the name of a case are removed (assumed).
    pub trims_names: bool,
    /// How HTML changes when it is saved.
    pub rich_text: RichText,
    /// Whether capitals in tags become small letters (recorded).
    pub lowers_tags: bool,
    /// Whether tags may have any character (blanks and some others are recorded as refused).
    pub any_tag_characters: bool,
    /// How many requests are remembered; the oldest are removed first.
    pub record_limit: usize,
}

/// How HTML changes when it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RichText {
    /// Raw ampersands are encoded (recorded).
    Encoded,
    /// Tags and attributes that an editor does not know are dropped, too (nowhere excluded).
    Sanitized,
    /// Scripts are removed, too (nowhere excluded).
    WithoutScripts,
    /// Every ampersand is encoded, those of entities too (nowhere excluded).
    EncodedTwice,
}

/// How the case list handles its parameter `tags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagsFilter {
    /// The list ignores `tags` silently (recorded).
    Ignored,
    /// The list shows cases with any of the tags (recorded for one tag).
    Any,
    /// The list shows cases with all of the tags (nowhere excluded).
    All,
    /// The list shows cases with any of the tags, but new cases only after this many milliseconds (nowhere excluded).
    Late(i64),
}

/// How lists show the type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldTypes {
    /// By a number (recorded for three of them).
    Numbers,
    /// By a word (nowhere excluded).
    Words,
}

/// How the folder list handles `sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderSort {
    /// It sorts by every column that a client claims, `id` among them.
    AsAsked,
    /// It takes `display_order` and `name` only, and refuses other columns (claimed by a client that quotes the
    /// documentation).
    DocumentedOnly,
    /// It ignores `sort` and `order` without a word (nowhere excluded).
    Ignored,
}

/// The `Date` header of honest answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateHeader {
    /// The account's time.
    Right,
    /// There is none.
    Missing,
    /// A text that is no date.
    Garbled,
    /// The account's time with this many milliseconds added, as from a cache.
    Shifted(i64),
}

/// How the name of a new case changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseNames {
    /// Not at all, except for blanks at its ends (recorded).
    Kept,
    /// Letters are lowered (nowhere excluded).
    Lowered,
    /// Blanks inside are reduced to one (nowhere excluded).
    Folded,
    /// `&`, `<` and `>` are encoded, as in rich text (nowhere excluded).
    Encoded,
}

impl CaseNames {
    /// Returns a name as it is stored.
    pub(crate) fn stored(self, name: String) -> String {
        match self {
            Self::Kept => name,
            Self::Lowered => name.to_lowercase(),
            Self::Folded => name.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Encoded => name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        }
    }
}

/// The order in which cases are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseOrder {
    /// As `sort` and `order` request.
    AsAsked,
    /// Oldest first, whatever the request says: unknown parameters are ignored.
    OldestFirst,
}

/// Which of the folders that were created over the API the folder list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderList {
    /// All of them (recorded).
    Whole,
    /// New ones only after this many milliseconds (nowhere excluded).
    Late(i64),
    /// None of them (nowhere excluded).
    Never,
}

/// How the name of a folder changes that is created over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderNames {
    /// Only its ends are trimmed (assumed).
    Trimmed,
    /// Blanks inside are also reduced to one (nowhere excluded).
    Folded,
}

/// How a plain field of a new case is handled that Testmo does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// 422 with the field's key: the strict interpretation.
    Refuse,
    /// The field is dropped silently.
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
            history: HistoryForm::Empty,
            field_types: FieldTypes::Numbers,
            shows_required: false,
            tags_filter: TagsFilter::Any,
            name_filter: false,
            recursive_filter: false,
            folder_filter: true,
            sorts_cases: true,
            ignores_case_sort: false,
            folder_sort: FolderSort::AsAsked,
            case_page_rows: None,
            lists_tags: true,
            field_columns: true,
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
            date_header: DateHeader::Right,
            case_list_lag_ms: 0,
            case_names: CaseNames::Kept,
            trims_names: true,
            rich_text: RichText::Encoded,
            lowers_tags: true,
            any_tag_characters: false,
            record_limit: 200_000,
        }
    }
}
