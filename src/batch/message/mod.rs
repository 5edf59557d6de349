//! Holds a generator's batch as values that have been read and checked.

pub mod case_count;
pub mod decode;
pub mod encoding;
pub(in crate::batch) mod fault;
mod faulty;
pub(in crate::batch) mod fingerprint;
pub(in crate::batch) mod folder_name;
mod format;
pub(in crate::batch) mod identity;
mod json;
pub mod lint;
mod markdown;
mod on_repeat;
mod places;
mod priority;
mod reader;
mod repeat_fields;
pub mod similar;
pub(in crate::batch) mod text;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub use crate::batch::message::faulty::Faulty;
pub use crate::batch::message::format::TextFormat;
pub(in crate::batch) use crate::batch::message::json::not_valid;
pub use crate::batch::message::on_repeat::OnRepeat;
pub use crate::batch::message::places::Places;
pub use crate::batch::message::priority::{Priority, Urgency, WORDS, folded_word};
use crate::batch::{BatchId, BatchKey};

/// The default of `amqp.max_message_bytes`: a larger message is not read.
pub const MOST_BYTES_BY_DEFAULT: usize = 8_000_000;
/// The contract version that this worker reads.
pub const SCHEMA_VERSION: u64 = 1;
/// The most cases in one batch.
pub const MAX_CASES: usize = 1_000;
/// The most characters of a case's name.
pub const MAX_NAME: usize = 1_000;
/// The most characters of an external id.
pub const MAX_EXTERNAL_ID: usize = 255;
/// The most steps of a case.
pub const MAX_STEPS: usize = 500;
/// The most tags of a case, and the most issues of a case.
pub const MAX_TAGS: usize = 50;
/// The most custom fields that a case may set itself.
pub const MAX_FIELDS: usize = 500;
/// The most characters of a tag, an issue or a folder name.
pub const MAX_WORD: usize = 200;
/// The most folders in a path.
pub const MAX_FOLDERS: usize = 20;
/// The most different folder paths that the cases of a batch may name.
pub const MAX_CASE_FOLDERS: usize = 100;
/// The most characters of each part of a source.
pub const MAX_SOURCE: usize = 2_000;
/// The largest number in the contract: numbers up to this one are exact in every language.
pub const MAX_NUMBER: u64 = 9_007_199_254_740_991;

/// A tenant's generated cases, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The identity of the batch.
    pub key: BatchKey,
    /// When the generator made the batch, in milliseconds since 1970-01-01 UTC.
    pub generated_at: i64,
    /// What it was generated from.
    pub source: Source,
    /// The requested folder for its cases.
    pub folder: RequestedFolder,
    /// What is done with cases that an earlier batch wrote; without it, the tenant's mapping decides.
    pub on_repeat: Option<OnRepeat>,
    /// The earlier batch of the same tenant for whose cases those of this batch stand.
    pub replaces: Option<BatchId>,
    /// The cases of the batch, in order; 1 to [`MAX_CASES`].
    pub cases: Vec<Case>,
}

/// What a batch was generated from; each part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Source {
    /// The key of the story or ticket, such as `SHOP-142`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The title of the story or ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The address of the story or ticket, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The generator of the cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
}

/// The folder that the generator requests for the cases.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestedFolder {
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
    /// The generator's own id of the case.
    pub external_id: Option<String>,
    /// The name of the case, trimmed.
    pub name: String,
    /// What the case is about.
    pub description: Option<String>,
    /// The conditions that must hold before the case is run.
    pub preconditions: Option<String>,
    /// The instructions for running the case.
    pub script: Script,
    /// The urgency of the case.
    pub priority: Option<Urgency>,
    /// Tags as the generator wrote them.
    pub tags: Vec<String>,
    /// Display ids of issues, such as `SHOP-142`.
    pub issues: Vec<String>,
    /// How long a person takes to run the case, in seconds.
    pub estimate_seconds: Option<u64>,
    /// Custom fields to pass through, by column name.
    pub fields: Map<String, Value>,
    /// The format of the texts, as the case or its batch names it; without one, the tenant's mapping decides. Absent in
    /// the fingerprint where the message names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// The expected result of a case without steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The requested folder of the case; without one, the case goes to the folder of its batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<RequestedFolder>,
    /// Why the case is refused without being sent; such a case keeps its name and its external id only, as far as they
    /// can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faulty: Option<Box<Faulty>>,
}

/// The instructions for running a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// The case has no instructions.
    None,
    /// Steps in order.
    Steps(Vec<Step>),
    /// A feature in Gherkin.
    Gherkin(String),
}

/// One step of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// The action to carry out.
    pub action: String,
    /// The data to use.
    pub data: Option<String>,
    /// The expected result.
    pub expected: Option<String>,
}

/// Returns the key of a case without an id of its own: `#n`, by its position from 1.
pub fn key_by_position(index: usize) -> String {
    format!("#{}", index + 1)
}

impl Case {
    /// Returns a case with a name and nothing else.
    pub(in crate::batch) fn named(name: String) -> Self {
        Self {
            external_id: None,
            name,
            description: None,
            preconditions: None,
            script: Script::None,
            priority: None,
            tags: Vec::new(),
            issues: Vec::new(),
            estimate_seconds: None,
            fields: Map::new(),
            expected: None,
            folder: None,
            format: None,
            faulty: None,
        }
    }

    /// Returns the key of this case within its batch: its external id, or `#n` by its position from 1.
    pub fn key(&self, index: usize) -> String {
        match &self.external_id {
            Some(id) => id.clone(),
            None => key_by_position(index),
        }
    }
}

impl Batch {
    /// Returns the keys of all cases, in order.
    pub fn case_keys(&self) -> Vec<String> {
        self.cases.iter().enumerate().map(|(i, case)| case.key(i)).collect()
    }
}
