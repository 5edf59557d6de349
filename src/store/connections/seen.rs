//! The values in which is remembered what verifications saw beside their results.

use crate::batch::Reason;

/// What verifications saw of a connection that the result of the last one does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// The names of project and folder, while the last verification failed before it read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<SeenNames>,
    /// What kept the last verification of a connection that works from being completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
}

/// The names of a project and a folder, as Testmo showed them last.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeenNames {
    /// The id of the project.
    pub project_id: u64,
    /// The id of the folder.
    pub folder_id: u64,
    /// The name of the project.
    pub project: String,
    /// The path of the folder.
    pub folder: String,
    /// When they were seen, in milliseconds on the store's clock.
    pub at: i64,
}

/// A verification that Testmo or the network kept from being completed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interruption {
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub detail: String,
    /// When, in milliseconds on the store's clock.
    pub at: i64,
}
