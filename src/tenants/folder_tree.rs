//! Finds folders in the list of a project's folders.

use std::collections::HashMap;

use crate::batch::folded_folder_name;
use crate::testmo::{Folder, is_folder_id};

/// Returns the names from the top to a folder, joined by slashes.
pub fn path_of(folders: &[Folder], id: u64) -> Option<String> {
    let by_id = by_id(folders);
    let mut names = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let folder = by_id.get(&id)?;
        names.push(folder.name.as_str());
        if names.len() > folders.len() {
            return None;
        }
        next = folder.parent_id;
    }
    names.reverse();
    Some(names.join("/"))
}

/// Returns whether `id` is `root` or below it.
pub fn lies_under(folders: &[Folder], id: u64, root: u64) -> bool {
    let by_id = by_id(folders);
    let parent = |id: u64| by_id.get(&id).and_then(|folder| folder.parent_id);
    by_id.contains_key(&id)
        && std::iter::successors(Some(id), |id| parent(*id)).take(folders.len() + 1).any(|id| id == root)
}

/// Returns the folders by their ids, so that a chain of many thousands takes no search of the list for each level. Of
/// several with one id the first counts.
fn by_id(folders: &[Folder]) -> HashMap<u64, &Folder> {
    folders.iter().rev().map(|folder| (folder.id, folder)).collect()
}

/// Follows `names` from `root`, one level each, and returns the folder reached and the names that do not exist yet.
pub fn descend<'a>(folders: &[Folder], root: u64, names: &'a [String]) -> (u64, &'a [String]) {
    let mut reached = root;
    for (level, name) in names.iter().enumerate() {
        match child(folders, reached, name) {
            Some(id) => reached = id,
            None => return (reached, &names[level..]),
        }
    }
    (reached, &[])
}

/// Returns the folder of this name in `parent`. Of several, one with exactly this name comes before those whose names are
/// equal only once they are folded, and then the one with the lowest id.
pub fn child(folders: &[Folder], parent: u64, name: &str) -> Option<u64> {
    let name = name.trim();
    let folded = folded_folder_name(name);
    let inside = folders.iter().filter(|folder| folder.parent_id == Some(parent) && is_folder_id(folder.id));
    let fitting = inside.filter(|folder| folded_folder_name(&folder.name) == folded);
    fitting.min_by_key(|folder| (folder.name.trim() != name, folder.id)).map(|folder| folder.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Vec<Folder> {
        [(1, "Root", None), (2, "Shop", Some(1)), (3, "Pay", Some(2)), (9, "Pay", Some(2)), (4, "Other", None)]
            .map(|(id, name, parent_id)| Folder { id, name: name.into(), parent_id })
            .into()
    }

    #[test]
    fn folders_are_found_by_path_and_lineage() {
        let all = folders();
        assert_eq!(path_of(&all, 3).as_deref(), Some("Root/Shop/Pay"));
        assert_eq!(path_of(&all, 7), None);
        assert!(lies_under(&all, 3, 1) && lies_under(&all, 1, 1));
        assert!(!lies_under(&all, 4, 1) && !lies_under(&all, 7, 7));
        assert_eq!(descend(&all, 1, &["Shop".into(), " Pay".into()]), (3, &[][..]));
        assert_eq!(descend(&all, 1, &["Shop".into(), "Nope".into()]), (2, &["Nope".to_owned()][..]));
    }

    #[test]
    fn among_folders_of_similar_names_the_exact_one_comes_first_and_then_the_lowest_id() {
        let all = [(8, "A  B", 1), (5, "A B ", 1), (4, "A B", 2), (6, "A B", 1), (0, "A B", 1), (7, "a b", 1)]
            .map(|(id, name, parent)| Folder { id, name: name.into(), parent_id: Some(parent) });
        assert_eq!(child(&all, 1, "A B"), Some(5));
        assert_eq!(child(&all, 1, " A  B"), Some(8));
        assert_eq!(child(&all, 1, "A   B"), Some(5));
        assert_eq!(child(&all, 1, "a b"), Some(7));
        assert_eq!(child(&all, 1, "A b"), None);
    }

    #[test]
    fn a_chain_of_sixty_thousand_folders_is_followed_in_one_pass() {
        let chain: Vec<Folder> = (1..=60_000)
            .map(|id| Folder { id, name: "x".into(), parent_id: Some(id - 1).filter(|id| *id > 0) })
            .collect();
        // Searching the list for each level would make 3,600,000,000 steps.
        assert!(lies_under(&chain, 60_000, 1));
        assert_eq!(path_of(&chain, 60_000).map(|path| path.len()), Some(2 * 60_000 - 1));
    }

    #[test]
    fn a_cycle_of_folders_is_not_followed_forever() {
        let cycle = vec![
            Folder { id: 1, name: "a".into(), parent_id: Some(2) },
            Folder { id: 2, name: "b".into(), parent_id: Some(1) },
        ];
        assert_eq!(path_of(&cycle, 1), None);
        assert!(!lies_under(&cycle, 1, 5));
    }
}
