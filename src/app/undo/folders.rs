//! Finds folders that a batch's cases were in and that seem empty. None is ever deleted: Testmo deletes everything in it, and
//! nobody can take that back.

use std::collections::BTreeSet;

use super::caller::Caller;
use super::subject::Subject;
use crate::batch::event::folder_address;
use crate::batch::undo::{ItemKind, Undo, UndoKind};

/// The most folders that are examined.
const MOST: usize = 20;

/// Returns the folders that seem empty, with their addresses, but for the folder of the connection. One that cannot be read is
/// left out: what is done is done.
pub(super) async fn empty_folders(caller: &mut Caller<'_>, subject: &Subject, undo: &Undo) -> Vec<(u64, String)> {
    if undo.kind == UndoKind::Restore {
        return Vec::new();
    }
    let changed = undo
        .items
        .iter()
        .filter(|item| item.done().is_some() && !matches!(item.kind, ItemKind::Updated | ItemKind::Dropped));
    let folders: BTreeSet<u64> = changed.filter_map(|item| Some(subject.target(item)?.folder)).collect();
    let folders: Vec<u64> = folders.into_iter().filter(|id| *id != subject.connection.folder).take(MOST).collect();
    let mut without_cases = Vec::new();
    for folder in folders {
        let page = caller.page(&format!("&folder_id={folder}"), 1).await;
        let is_there = |page: &crate::testmo::ShownPage| {
            page.next_page.is_some() || page.cases.iter().any(|row| row.number("folder_id") == Some(folder))
        };
        if matches!(page, Ok(Some(page)) if !is_there(&page)) {
            without_cases.push(folder);
        }
    }
    if without_cases.is_empty() {
        return Vec::new();
    }
    let pages = &mut caller.pages;
    let project = pages.project;
    let Ok(all) = pages.client.folders(pages.access, project, &mut pages.permits).await else {
        return Vec::new();
    };
    let is_empty =
        |id: &u64| all.iter().any(|folder| folder.id == *id) && all.iter().all(|folder| folder.parent_id != Some(*id));
    let account = &subject.connection.origin;
    let found = without_cases.into_iter().filter(is_empty);
    found.map(|id| (id, folder_address(account, project, id))).collect()
}
