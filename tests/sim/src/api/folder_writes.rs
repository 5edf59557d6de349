//! Answers POST, PATCH and DELETE on `/projects/{id}/folders`.

use serde_json::{Value, json};

use super::case_checks::Checker;
use super::checks::{entries, ids, integer, members, required, string};
use super::refusal::refused;
use crate::model::{Account, Folder, FolderNames};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

/// A folder that passed every check.
#[derive(Default)]
struct NewFolder {
    name: String,
    parent_id: Option<u64>,
    docs: Option<String>,
    display_order: Option<i64>,
}

/// The values that a checked PATCH sets.
#[derive(Default)]
struct FolderChange {
    name: Option<String>,
    parent_id: Option<Option<u64>>,
    docs: Option<Option<String>>,
}

impl Account {
    /// Creates all folders of the request or none; siblings may share a name.
    pub(crate) fn create_folders(
        &mut self,
        project_id: u64,
        request: &Request,
        now: Time,
    ) -> Result<Response, Response> {
        let mut checker = Checker::new(self, project_id);
        let mut wishes = Vec::new();
        for (index, entry) in entries(request, "folders")? {
            wishes.push(checker.new_folder(&format!("folders.{index}"), entry));
        }
        checker.refusal.check()?;
        let add = |wish: NewFolder| {
            let NewFolder { name, parent_id, docs, display_order } = wish;
            let name = match self.settings.folder_names {
                FolderNames::Trimmed => name,
                FolderNames::Folded => name.split_whitespace().collect::<Vec<_>>().join(" "),
            };
            self.add_folder(project_id, &name, parent_id, docs, display_order, Some(now))
        };
        let ids: Vec<u64> = wishes.into_iter().map(add).collect();
        let mut items: Vec<Value> = self.folders_of(&ids).map(|f| self.folder_item(f)).collect();
        if !self.settings.echoes_folder_parents {
            items.iter_mut().for_each(|item| item["parent_id"] = Value::Null);
        }
        Ok(Response::json(201, &json!({ "result": items })).having_created(ids))
    }

    /// Sets the same values for all ids; `parent_id: null` moves folders to the root.
    pub(crate) fn change_folders(&mut self, project_id: u64, request: &Request) -> Result<Response, Response> {
        let ids = self.folder_ids(project_id, request)?;
        let change = self.checked_folder_change(project_id, request, &ids)?;
        for id in &ids {
            if let Some(folder) = self.folders.get_mut(*id) {
                apply(folder, &change);
            }
        }
        let shown = |folder: &Folder| {
            json!({
                "id": folder.id,
                "name": folder.name,
                "parent_id": folder.parent_id,
                "docs": folder.docs,
            })
        };
        let items: Vec<Value> = self.folders_of(&ids).map(shown).collect();
        Ok(Response::json(200, &json!({ "result": items })).having_changed())
    }

    /// Removes the folders, the folders below them, and the cases in all of them.
    pub(crate) fn delete_folders(&mut self, project_id: u64, request: &Request) -> Result<Response, Response> {
        for id in self.folder_ids(project_id, request)? {
            self.remove_folder(id);
        }
        Ok(Response::no_content())
    }

    fn folder_ids(&self, project_id: u64, request: &Request) -> Result<Vec<u64>, Response> {
        ids(request, |id| self.folders.get_in(project_id, id).is_some())
    }

    fn folders_of<'a>(&'a self, ids: &'a [u64]) -> impl Iterator<Item = &'a Folder> {
        ids.iter().filter_map(|id| self.folders.get(*id))
    }

    fn checked_folder_change(&self, project_id: u64, request: &Request, ids: &[u64]) -> Result<FolderChange, Response> {
        let mut checker = Checker::new(self, project_id);
        let mut change = FolderChange::default();
        for (member, value) in members(request) {
            match member.as_str() {
                "name" => change.name = checker.name(member, value),
                "docs" => change.docs = Some(checker.docs(member, value)),
                "parent_id" => change.parent_id = Some(checker.parent(member, value)),
                _ => {}
            }
        }
        checker.refusal.check()?;
        let parent = change.parent_id.flatten();
        let is_below = |id: &u64| parent.is_some_and(|parent| self.folders.is_within(parent, *id));
        if ids.iter().any(is_below) {
            return Err(refused("parent_id", "The selected parent_id is invalid."));
        }
        Ok(change)
    }
}

impl Checker<'_> {
    fn new_folder(&mut self, key: &str, entry: &Value) -> NewFolder {
        let mut folder = NewFolder::default();
        let Some(members) = entry.as_object() else {
            self.refusal.add(key, format!("The {key} must be an array."));
            return folder;
        };
        if !members.contains_key("name") {
            let key = format!("{key}.name");
            self.refusal.add(&key, required(&key));
        }
        for (member, value) in members {
            let key = format!("{key}.{member}");
            match member.as_str() {
                "name" => folder.name = self.name(&key, value).unwrap_or_default(),
                "parent_id" => folder.parent_id = self.parent(&key, value),
                "docs" => folder.docs = self.docs(&key, value),
                "display_order" if value.is_null() => {}
                "display_order" => folder.display_order = integer(&key, value, &mut self.refusal),
                _ => self.unknown(&key),
            }
        }
        folder
    }

    fn parent(&mut self, key: &str, value: &Value) -> Option<u64> {
        if value.is_null() { None } else { self.folder(key, value) }
    }

    fn docs(&mut self, key: &str, value: &Value) -> Option<String> {
        if value.is_null() {
            return None;
        }
        string(key, value, &mut self.refusal).map(|html| self.account.settings.rich_text.saved(html))
    }
}

fn apply(folder: &mut Folder, change: &FolderChange) {
    if let Some(name) = &change.name {
        folder.name.clone_from(name);
    }
    if let Some(parent_id) = change.parent_id {
        folder.parent_id = parent_id;
    }
    if let Some(docs) = &change.docs {
        folder.docs.clone_from(docs);
    }
}
