//! Remembers for a moment which custom fields the projects of connections list.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::suspects::Name;
use crate::guard::lock;

/// How long a list is remembered, so that cases which are refused one after the other cost one reading.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The most connections that are remembered. Beyond it all are forgotten.
const MOST_CONNECTIONS: usize = 1_000;

/// The columns that projects list, by connection; `None` where a project does not list them.
#[derive(Debug, Default)]
pub(super) struct ProjectFields(Mutex<HashMap<Name, (Instant, Columns)>>);

/// The columns that a project lists, if it does.
pub(super) type Columns = Option<Arc<BTreeSet<String>>>;

impl ProjectFields {
    /// Returns the columns of a connection's project, if they were read a moment ago.
    pub(super) fn recall(&self, name: &Name) -> Option<Columns> {
        let known = lock(&self.0);
        known.get(name).filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, columns)| columns.clone())
    }

    /// Remembers the columns of a connection's project.
    pub(super) fn keep(&self, name: Name, columns: Columns) {
        let mut known = lock(&self.0);
        if known.len() >= MOST_CONNECTIONS {
            known.clear();
        }
        known.insert(name, (Instant::now(), columns));
    }
}
