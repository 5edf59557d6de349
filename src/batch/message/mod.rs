//! Holds a generator's batch as values, once it has been read and checked.

pub mod decode;
pub(in crate::batch) mod fault;
pub(in crate::batch) mod fingerprint;
pub(in crate::batch) mod folder_name;
pub(in crate::batch) mod identity;
mod json;
pub mod lint;
mod reader;
pub(in crate::batch) mod text;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::batch::BatchKey;

/// The contract version this worker reads.
pub const SCHEMA_VERSION: u64 = 1;
/// The most cases in one batch.
pub const MAX_CASES: usize = 1_000;
/// The most characters of a case's name.
pub const MAX_NAME: usize = 1_000;
/// The most characters of an external id.
pub const MAX_EXTERNAL_ID: usize = 255;
/// The most steps of a case.
pub const MAX_STEPS: usize = 500;
/// The most tags of a case, and the most issues.
pub const MAX_TAGS: usize = 50;
/// The most characters of a tag, an issue or a folder name.
pub const MAX_WORD: usize = 200;
/// The most folders in a path.
pub const MAX_FOLDERS: usize = 20;
/// The most characters of each part of a source.
pub const MAX_SOURCE: usize = 2_000;
/// The largest number of the contract: up to here every language's numbers are exact.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A tenant's generated cases, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its identity.
    pub key: BatchKey,
    /// When the generator made it, in milliseconds since 1970.
    pub generated_at: i64,
    /// What it was generated from.
    pub source: Source,
    /// Where its cases are to go.
    pub folder: FolderWish,
    /// Its cases, in order; 1 to [`MAX_CASES`].
    pub cases: Vec<Case>,
}

/// What a batch was generated from; each part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Source {
    /// The key of the story or ticket, such as `SHOP-142`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where people find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What generated the cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
}

/// Where the generator wants the cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderWish {
    /// The tenant's own folder.
    Tenant,
    /// A folder below the tenant's, by names from the top.
    Path(Vec<String>),
    /// A folder by its id.
    Id(u64),
}

/// One generated test case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The generator's own id of it.
    pub external_id: Option<String>,
    /// Its name, trimmed.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// What must hold before.
    pub preconditions: Option<String>,
    /// What to do.
    pub script: Script,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Tags as the generator wrote them.
    pub tags: Vec<String>,
    /// Display ids of issues, such as `SHOP-142`.
    pub issues: Vec<String>,
    /// How long it takes a person, in seconds.
    pub estimate_seconds: Option<u64>,
    /// Passed-through custom fields by column name.
    pub fields: Map<String, Value>,
}

/// What a person does to run a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// Nothing is written down.
    None,
    /// Steps in order.
    Steps(Vec<Step>),
    /// A feature in Gherkin.
    Gherkin(String),
}

/// One step of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// What to do.
    pub action: String,
    /// With which data.
    pub data: Option<String>,
    /// What is expected then.
    pub expected: Option<String>,
}

/// How urgent a case is, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// The most urgent.
    Critical,
    /// Urgent.
    High,
    /// As usual.
    Normal,
    /// When there is time.
    Low,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// What a case without an id of its own is called: `#n`, by its position from 1.
pub fn key_by_position(index: usize) -> String {
    format!("#{}", index + 1)
}

impl Case {
    /// The key of this case within its batch: its external id, or `#n` by its position from 1.
    pub fn key(&self, index: usize) -> String {
        match &self.external_id {
            Some(id) => id.clone(),
            None => key_by_position(index),
        }
    }
}

impl Batch {
    /// The keys of all cases, in order.
    pub fn case_keys(&self) -> Vec<String> {
        self.cases.iter().enumerate().map(|(i, case)| case.key(i)).collect()
    }
}
