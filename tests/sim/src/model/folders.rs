//! Stores the folders of an account as trees.

use std::collections::BTreeMap;

use super::settings::FolderList;
use crate::time::Time;

/// A folder of a project's repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    /// The folder's id.
    pub id: u64,
    /// The project of the folder.
    pub project_id: u64,
    /// The name; siblings can share it.
    pub name: String,
    /// The parent folder; `None` at the root.
    pub parent_id: Option<u64>,
    /// HTML, or `None`.
    pub docs: Option<String>,
    /// The position among its siblings.
    pub display_order: i64,
    /// When the folder was created over the API; `None` if it existed before, or a person created it.
    pub created_at: Option<Time>,
}

impl Folder {
    /// Returns whether the folder list shows the folder.
    pub(crate) fn is_listed(&self, list: FolderList, now: Time) -> bool {
        match (self.created_at, list) {
            (None, _) | (Some(_), FolderList::Whole) => true,
            (Some(at), FolderList::Late(ms)) => at.plus(ms) <= now,
            (Some(_), FolderList::Never) => false,
        }
    }
}

/// All folders of an account.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    by_id: BTreeMap<u64, Folder>,
}

impl Folders {
    /// Returns every folder, in order of ids.
    pub fn iter(&self) -> impl Iterator<Item = &Folder> {
        self.by_id.values()
    }

    /// Returns the folder with this id.
    pub fn get(&self, id: u64) -> Option<&Folder> {
        self.by_id.get(&id)
    }

    /// Returns the folder with this id, if it belongs to this project.
    pub fn get_in(&self, project_id: u64, id: u64) -> Option<&Folder> {
        self.get(id).filter(|folder| folder.project_id == project_id)
    }

    /// Returns how many folders lie above this one: 0 at the root.
    pub fn depth(&self, folder: &Folder) -> usize {
        self.ancestors(folder).count()
    }

    /// Returns the names from the root down, joined with `/`.
    pub fn path(&self, id: u64) -> String {
        let Some(folder) = self.get(id) else { return String::new() };
        let mut names: Vec<&str> = self.ancestors(folder).map(|f| f.name.as_str()).collect();
        names.reverse();
        names.push(&folder.name);
        names.join("/")
    }

    /// Returns whether `id` is `root` or lies anywhere below it.
    pub fn is_within(&self, id: u64, root: u64) -> bool {
        let above = |folder| self.ancestors(folder).any(|ancestor| ancestor.id == root);
        id == root || self.get(id).is_some_and(above)
    }

    /// Returns the folder itself and everything below it.
    pub fn subtree(&self, root: u64) -> Vec<u64> {
        self.by_id.keys().copied().filter(|id| self.is_within(*id, root)).collect()
    }

    pub(crate) fn insert(&mut self, folder: Folder) {
        self.by_id.insert(folder.id, folder);
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Folder> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.by_id.remove(&id);
    }

    fn ancestors<'a>(&'a self, folder: &'a Folder) -> impl Iterator<Item = &'a Folder> {
        let parent = |folder: &&'a Folder| folder.parent_id.and_then(|id| self.get(id));
        std::iter::successors(Some(folder), parent).skip(1)
    }
}
