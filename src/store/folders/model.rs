//! The values in which folders are claimed and remembered.

use std::time::Duration;

/// A folder to be created. Names that are equal once they are folded mean the same folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// The account it is in.
    pub account: String,
    /// The project.
    pub project: u64,
    /// The folder it is to be in.
    pub parent: u64,
    /// Its name, trimmed.
    pub name: String,
}

/// A folder whose id a create request returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFolder {
    /// Its id.
    pub id: u64,
    /// Its name as Testmo's answer showed it.
    pub shown_as: Option<String>,
    /// When the id was stored, in milliseconds on the store's clock.
    pub since: i64,
}

/// The answer to a claim for a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderClaim {
    /// Granted: list the folders first, and create the folder only if it is missing.
    Granted {
        /// Ids of the folders that were created last in this project: a list that shows new folders shows these.
        created: Vec<u64>,
    },
    /// Another worker holds the claim, or held it and may have created the folder; for this time.
    Busy(Duration),
}

/// Whether a create request for a folder may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderPermit {
    /// It may, and is counted.
    Granted,
    /// The id of the folder is known by now.
    Known,
    /// Not for this time: there were as many requests as allowed, or the last one was too recent.
    Spent(Duration),
    /// Not under this claim, which another worker has taken over.
    Lost,
}

/// How many create requests for a folder there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderLimits {
    /// The time in which there are at most [`MOST_REQUESTS`](super::MOST_REQUESTS).
    pub window: Duration,
    /// The same for requests whose outcome is unknown; at most `window`.
    pub unknown: Duration,
    /// The least time between a request that returned no folder and the next one.
    pub spacing: Duration,
}

/// What became of a claim for a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderEnd {
    /// Nothing was created under it.
    NotCreated,
    /// Testmo returned the folder.
    Created {
        /// Its id.
        id: u64,
        /// Its name as the answer showed it.
        shown_as: Option<String>,
    },
    /// Testmo said that it created a folder, but not which one; it may show for this time.
    Astray(Duration),
    /// The outcome is unknown for this time.
    Unknown(Duration),
}
