//! Models the content of a Testmo account as values, without sockets, clock or randomness.

mod account;
mod cases;
mod fields;
mod folders;
mod growth;
mod history;
mod projects;
mod rich_text;
mod sanitizer;
mod settings;
mod tags;
mod users;

pub use account::{Account, Integration, Issue};
pub use cases::{Case, Cases};
pub use fields::{
    Choice, Field, FieldKind, State, Template, default_fields, default_priorities, default_states, default_templates,
};
pub use folders::{Folder, Folders};
pub use history::{HistoryEntry, HistoryForm};
pub use projects::Project;
pub use settings::{
    CaseNames, CaseOrder, DateHeader, DropdownForm, FieldTypes, FolderList, FolderNames, FolderSort, RichText,
    Settings, TagsFilter, UnknownFields,
};
pub use tags::Tags;
pub use users::{Role, User};

pub(crate) use growth::{CaseChange, IssueWish, NewCase};
pub(crate) use tags::{folded, is_tag};
