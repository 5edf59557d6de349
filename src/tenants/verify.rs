//! Does a connection work? Looks the way a person would: who am I, is the project there, is the folder there.

use std::time::Duration;

use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::{Catalogue, MappingSpec, Needs, unfilled};
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_THROTTLE_PAUSE, reason_of_look};
use crate::batch::{Reason, folded_folder_name};
use crate::store::connections::Verification;
use crate::testmo::{Access, Client, Folder, is_folder_id};

/// Looks at a connection with three reads.
pub async fn verify(client: &Client, access: &Access, project: u64, folder: u64) -> Verification {
    look(client, access, project, folder).await.unwrap_or_else(|ended| ended.finding)
}

/// A look that ended before all was seen.
struct Ended {
    finding: Verification,
    /// How long the account asked to be left alone.
    pause: Option<Duration>,
}

async fn look(client: &Client, access: &Access, project: u64, folder: u64) -> Result<Verification, Ended> {
    let user = client.user(access).await.map_err(|trouble| fails(&trouble, "asking who the key belongs to"))?;
    let name = client
        .project(access, project)
        .await
        .map_err(|trouble| fails(&trouble, &format!("looking for project {project}")))?;
    let folders = client
        .folders(access, project)
        .await
        .map_err(|trouble| fails(&trouble, &format!("listing the folders of project {project}")))?;
    match path_of(&folders, folder) {
        Some(path) => Ok(Verification::Works { user, project: name, folder: path }),
        None => Err(Ended::because(Reason::TargetMissing, format!("project \"{name}\" has no folder {folder}"))),
    }
}

impl Ended {
    fn because(reason: Reason, detail: String) -> Self {
        Self { finding: Verification::Fails { reason, detail }, pause: None }
    }
}

fn fails(trouble: &ApiError, doing: &str) -> Ended {
    let pause = if let ApiError::Throttled { retry_after } = trouble {
        Some(retry_after.unwrap_or(DEFAULT_THROTTLE_PAUSE))
    } else {
        None
    };
    Ended { pause, ..Ended::because(reason_of_look(trouble), format!("{doing}: {trouble}")) }
}

/// What was found out about a connection and its mapping.
#[derive(Debug)]
pub struct Examined {
    /// Whether the connection works, names in its mapping included.
    pub finding: Verification,
    /// The mapping by ids and columns, once its names are known.
    pub mapping: Option<Mapping>,
    /// Labels of required custom fields that the mapping does not fill, as far as Testmo tells.
    pub unfilled: Vec<String>,
    /// How long the account asks to be left alone, if it does.
    pub pause: Option<Duration>,
}

impl Examined {
    /// Testmo could not even be asked.
    pub fn failed(reason: Reason, detail: String) -> Self {
        Self { finding: Verification::Fails { reason, detail }, mapping: None, unfilled: Vec::new(), pause: None }
    }

    /// The look ended early; without names, what the mapping stands for is known all the same.
    fn ended(ended: Ended, written: &MappingSpec) -> Self {
        let mapping = written.resolve(&Catalogue::default()).ok();
        Self { finding: ended.finding, mapping, unfilled: Vec::new(), pause: ended.pause }
    }
}

/// Looks at a connection, and finds out what the names in its mapping stand for.
pub(super) async fn examine(
    client: &Client,
    access: &Access,
    project: u64,
    folder: u64,
    written: &MappingSpec,
) -> Examined {
    let finding = match look(client, access, project, folder).await {
        Ok(finding) => finding,
        Err(ended) => return Examined::ended(ended, written),
    };
    match read_mapping(client, access, project, written).await {
        Ok((mapping, unfilled)) => Examined { finding, mapping: Some(mapping), unfilled, pause: None },
        Err(Ended { finding, pause }) => Examined { finding, mapping: None, unfilled: Vec::new(), pause },
    }
}

async fn read_mapping(
    client: &Client,
    access: &Access,
    project: u64,
    written: &MappingSpec,
) -> Result<(Mapping, Vec<String>), Ended> {
    let needs = written.needs();
    // The fields also tell of required ones; without names they are no reason to call a connection broken.
    let there = match client.catalogue(access, project, Needs { fields: true, ..needs }).await {
        Ok(there) => there,
        Err(_) if needs == (Needs { templates: false, states: false, fields: false }) => Catalogue::default(),
        Err(trouble) => {
            return Err(fails(&trouble, &format!("listing the templates, fields and states of project {project}")));
        }
    };
    match written.resolve(&there) {
        Ok(mapping) => {
            let unfilled = unfilled(&mapping, &there).into_iter().map(str::to_owned).collect();
            Ok((mapping, unfilled))
        }
        Err(faults) => {
            Err(Ended::because(Reason::ConnectionRejected, format!("in the mapping: {}", faults.join("; "))))
        }
    }
}

/// The names from the top to a folder, joined by slashes.
pub fn path_of(folders: &[Folder], id: u64) -> Option<String> {
    let mut names = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let folder = folders.iter().find(|folder| folder.id == id)?;
        names.push(folder.name.as_str());
        if names.len() > folders.len() {
            return None;
        }
        next = folder.parent_id;
    }
    names.reverse();
    Some(names.join("/"))
}

/// Whether `id` is `root` or lies below it.
pub fn lies_under(folders: &[Folder], id: u64, root: u64) -> bool {
    let parent = |id: u64| folders.iter().find(|folder| folder.id == id).and_then(|folder| folder.parent_id);
    let exists = folders.iter().any(|folder| folder.id == id);
    exists && std::iter::successors(Some(id), |id| parent(*id)).take(folders.len() + 1).any(|id| id == root)
}

/// How far `names` lead from `root`, one level each: the folder reached, and the names that are not there yet.
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

/// The folder of this name in `parent`. Of several, one with exactly this name comes before those whose names are only
/// equal once they are folded, and then the lowest id.
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
    fn of_folders_that_look_alike_the_exact_one_counts_and_then_the_lowest_id() {
        let all = [(8, "A  B", 1), (5, "A B ", 1), (4, "A B", 2), (6, "A B", 1), (0, "A B", 1), (7, "a b", 1)]
            .map(|(id, name, parent)| Folder { id, name: name.into(), parent_id: Some(parent) });
        assert_eq!(child(&all, 1, "A B"), Some(5));
        assert_eq!(child(&all, 1, " A  B"), Some(8));
        assert_eq!(child(&all, 1, "A   B"), Some(5));
        assert_eq!(child(&all, 1, "a b"), Some(7));
        assert_eq!(child(&all, 1, "A b"), None);
    }

    #[test]
    fn a_circle_of_folders_ends() {
        let circle = vec![
            Folder { id: 1, name: "a".into(), parent_id: Some(2) },
            Folder { id: 2, name: "b".into(), parent_id: Some(1) },
        ];
        assert_eq!(path_of(&circle, 1), None);
        assert!(!lies_under(&circle, 1, 5));
    }
}
