//! Answers `GET /projects/{id}/folders`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::expands::{Expands, is_wished};
use super::page::{Order, Paging, sort_column};
use super::refusal::refused;
use crate::model::{Account, Folder, FolderSort};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

impl Account {
    /// Returns one page of the flat list; clients rebuild the tree through `parent_id`.
    pub(crate) fn list_folders(&self, project_id: u64, request: &Request, now: Time) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let (column, order) = match self.settings.folder_sort {
            FolderSort::AsAsked => sorted(request, &["display_order", "name", "id", "depth"])?,
            FolderSort::DocumentedOnly => sorted(request, &["display_order", "name"])?,
            FolderSort::Ignored => ("display_order", Order::Ascending),
        };
        let parents = wished_parents(request)?;
        let name = request.parameter("name").map(str::to_lowercase);
        let fits = |folder: &&Folder| {
            folder.project_id == project_id
                && folder.is_listed(self.settings.folder_list, now)
                && parents.as_ref().is_none_or(|ids| folder.parent_id.is_some_and(|id| ids.contains(&id)))
                && name.as_ref().is_none_or(|part| folder.name.to_lowercase().contains(part))
        };
        let mut folders: Vec<&Folder> = self.folders.iter().filter(fits).collect();
        match column {
            "display_order" => folders.sort_by_key(|folder| (folder.display_order, folder.id)),
            "name" => folders.sort_by_key(|folder| (folder.name.to_lowercase(), folder.id)),
            "depth" => folders.sort_by_key(|folder| (self.folders.depth(folder), folder.id)),
            _ => {}
        }
        order.turn(&mut folders);
        let total = folders.len();
        let page = paging.cut(folders.into_iter());
        let expands = self.parent_expands(request, &page);
        let rows = page.into_iter().map(|folder| self.folder_item(folder)).collect();
        Ok(paging.wrap(rows, total, expands))
    }

    /// Returns a folder in the form of the API: no counter of cases, no timestamps.
    pub(crate) fn folder_item(&self, folder: &Folder) -> Value {
        json!({
            "id": folder.id,
            "project_id": folder.project_id,
            "repo_id": folder.project_id,
            "name": folder.name,
            "parent_id": folder.parent_id,
            "depth": self.folders.depth(folder),
            "docs": folder.docs,
            "display_order": folder.display_order,
        })
    }

    fn parent_expands(&self, request: &Request, page: &[&Folder]) -> Expands {
        let mut expands = Expands::default();
        if is_wished(request, "folders") {
            let ids: BTreeSet<u64> = page.iter().filter_map(|folder| folder.parent_id).collect();
            let parents = ids.into_iter().filter_map(|id| self.folders.get(id));
            expands.add("folders", parents.map(|parent| self.folder_item(parent)).collect());
        }
        expands
    }
}

fn sorted<'a>(request: &'a Request, columns: &[&str]) -> Result<(&'a str, Order), Response> {
    let column = sort_column(request, "repository_folders", columns, "display_order")?;
    Ok((column, Order::of(request, Order::Ascending)?))
}

fn wished_parents(request: &Request) -> Result<Option<Vec<u64>>, Response> {
    if request.parameter("parent_id").is_none() {
        return Ok(None);
    }
    let ids = request.list("parent_id").into_iter().map(|id| id.parse().ok()).collect();
    let ids: Option<Vec<u64>> = ids;
    let words = "The parent_id must be an integer.";
    ids.map(Some).ok_or_else(|| refused("parent_id", words))
}
