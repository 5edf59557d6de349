//! Stores the cases of an account, and finds them through indices.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::history::HistoryEntry;
use crate::time::Time;

/// A test case as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The case's id, unique in the account and rising.
    pub id: u64,
    /// The project of the case.
    pub project_id: u64,
    /// The folder of the case.
    pub folder_id: u64,
    /// Its template; it never changes.
    pub template_id: u64,
    /// Its state.
    pub state_id: u64,
    /// Its status, if one was set.
    pub status_id: Option<u64>,
    /// The estimate as it was sent.
    pub estimate: Option<i64>,
    /// The name, byte for byte.
    pub name: String,
    /// Tag ids, in order of the tags' names.
    pub tags: Vec<u64>,
    /// Ids of linked issues.
    pub issues: Vec<u64>,
    /// Filled custom fields by column.
    pub custom: Map<String, Value>,
    /// When the case was created.
    pub created_at: Time,
    /// The user who created the case.
    pub created_by: u64,
    /// When the case was last changed.
    pub updated_at: Option<Time>,
    /// The user who changed the case last.
    pub updated_by: Option<u64>,
    /// Its creation, and each change since.
    pub history: Vec<HistoryEntry>,
}

/// All cases of an account, indexed by project, folder and tag.
#[derive(Clone, Debug)]
pub struct Cases {
    by_id: BTreeMap<u64, Case>,
    by_project: HashMap<u64, BTreeSet<u64>>,
    by_folder: HashMap<u64, BTreeSet<u64>>,
    by_tag: HashMap<u64, BTreeSet<u64>>,
    newest: Time,
    is_in_time_order: bool,
}

static NONE: BTreeSet<u64> = BTreeSet::new();

impl Default for Cases {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_project: HashMap::new(),
            by_folder: HashMap::new(),
            by_tag: HashMap::new(),
            newest: Time(i64::MIN),
            is_in_time_order: true,
        }
    }
}

impl Cases {
    /// Returns every case, in order of ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Case> + ExactSizeIterator {
        self.by_id.values()
    }

    /// Returns the case with this id.
    pub fn get(&self, id: u64) -> Option<&Case> {
        self.by_id.get(&id)
    }

    /// Returns the ids of a project's cases.
    pub fn of_project(&self, id: u64) -> &BTreeSet<u64> {
        self.by_project.get(&id).unwrap_or(&NONE)
    }

    /// Returns the ids of the cases directly in a folder.
    pub fn of_folder(&self, id: u64) -> &BTreeSet<u64> {
        self.by_folder.get(&id).unwrap_or(&NONE)
    }

    /// Returns the ids of the cases with a tag.
    pub fn of_tag(&self, id: u64) -> &BTreeSet<u64> {
        self.by_tag.get(&id).unwrap_or(&NONE)
    }

    /// Returns whether ids and `created_at` rise together, so that both give the same order.
    pub(crate) fn is_in_time_order(&self) -> bool {
        self.is_in_time_order
    }

    pub(crate) fn insert(&mut self, case: Case) {
        self.is_in_time_order &= case.created_at >= self.newest;
        self.newest = self.newest.max(case.created_at);
        self.enter(&case);
        self.by_id.insert(case.id, case);
    }

    /// Changes a case and updates the indices.
    pub(crate) fn update(&mut self, id: u64, change: impl FnOnce(&mut Case)) {
        if let Some(mut case) = self.remove(id) {
            change(&mut case);
            self.enter(&case);
            self.by_id.insert(id, case);
        }
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Case> {
        let case = self.by_id.remove(&id)?;
        leave(&mut self.by_project, case.project_id, id);
        leave(&mut self.by_folder, case.folder_id, id);
        for tag in &case.tags {
            leave(&mut self.by_tag, *tag, id);
        }
        Some(case)
    }

    fn enter(&mut self, case: &Case) {
        self.by_project.entry(case.project_id).or_default().insert(case.id);
        self.by_folder.entry(case.folder_id).or_default().insert(case.id);
        for tag in &case.tags {
            self.by_tag.entry(*tag).or_default().insert(case.id);
        }
    }
}

fn leave(index: &mut HashMap<u64, BTreeSet<u64>>, key: u64, id: u64) {
    if let Some(ids) = index.get_mut(&key) {
        ids.remove(&id);
    }
}
