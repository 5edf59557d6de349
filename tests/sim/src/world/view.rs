//! Shows an account to control calls and tests.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::station::Station;
use crate::faults::{RateLimit, Rule};
use crate::model::{Account, Case, Role, Settings};
use crate::time::Time;

/// Everything about an account except its cases and requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// The account's name.
    pub name: String,
    /// Its users, without their keys.
    pub users: Vec<UserView>,
    /// Its projects.
    pub projects: Vec<ProjectView>,
    /// How many cases the account has.
    pub cases: usize,
    /// How many tags the account has.
    pub tags: usize,
    /// How many requests are remembered.
    pub requests: usize,
    /// How the account differs from others.
    pub settings: Settings,
    /// How the account is throttled.
    pub rate_limit: Option<RateLimit>,
    /// The faults that are still to come.
    pub faults: Vec<Rule>,
}

/// A user without the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserView {
    /// The id.
    pub id: u64,
    /// The name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether a key works.
    pub has_key: bool,
}

/// A project with its folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectView {
    /// The id.
    pub id: u64,
    /// The name.
    pub name: String,
    /// Whether the project is closed.
    pub is_completed: bool,
    /// The users who see the project; `None` means everybody.
    pub users: Option<Vec<u64>>,
    /// How many cases the project has.
    pub cases: usize,
    /// Its folders, in order of ids.
    pub folders: Vec<FolderView>,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FolderView {
    /// The id.
    pub id: u64,
    /// The names from the root down, joined with `/`.
    pub path: String,
    /// The parent folder.
    pub parent_id: Option<u64>,
    /// How many cases lie directly in the folder.
    pub cases: usize,
}

/// A case, in a simple form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseView {
    /// The id.
    pub id: u64,
    /// The name.
    pub name: String,
    /// The project of the case.
    pub project_id: u64,
    /// The folder of the case.
    pub folder_id: u64,
    /// The folder's path.
    pub folder: String,
    /// The template.
    pub template_id: u64,
    /// The state.
    pub state_id: u64,
    /// The estimate.
    pub estimate: Option<i64>,
    /// The names of its tags, sorted.
    pub tags: Vec<String>,
    /// When the case was created, as the API writes it.
    pub created_at: String,
    /// When the case was created, in milliseconds since 1970.
    pub created_at_ms: Time,
    /// The user who created the case.
    pub created_by: u64,
    /// The filled custom fields by column.
    pub custom: Map<String, Value>,
}

impl Station {
    /// Returns everything except cases and requests.
    pub fn view(&self, name: &str) -> AccountView {
        let account = &self.account;
        let user = |user: &crate::model::User| UserView {
            id: user.id,
            name: user.name.clone(),
            role: user.role,
            has_key: user.has_key(),
        };
        AccountView {
            name: name.to_owned(),
            users: account.users.iter().map(user).collect(),
            projects: account.projects.keys().filter_map(|id| project(account, *id)).collect(),
            cases: account.cases.iter().len(),
            tags: account.tags.iter().count(),
            requests: self.log.iter().len(),
            settings: account.settings.clone(),
            rate_limit: self.faults.rate_limit().cloned(),
            faults: self.faults.rules().to_vec(),
        }
    }

    /// Returns every case, in order of ids.
    pub fn case_views(&self) -> Vec<CaseView> {
        self.account.cases.iter().map(|case| case_view(&self.account, case)).collect()
    }
}

fn project(account: &Account, id: u64) -> Option<ProjectView> {
    let project = account.projects.get(&id)?;
    let folders = account.folders.iter().filter(|folder| folder.project_id == id);
    let folder = |folder: &crate::model::Folder| FolderView {
        id: folder.id,
        path: account.folders.path(folder.id),
        parent_id: folder.parent_id,
        cases: account.cases.of_folder(folder.id).len(),
    };
    Some(ProjectView {
        id,
        name: project.name.clone(),
        is_completed: project.is_completed,
        users: project.users.clone(),
        cases: account.cases.of_project(id).len(),
        folders: folders.map(folder).collect(),
    })
}

fn case_view(account: &Account, case: &Case) -> CaseView {
    CaseView {
        id: case.id,
        name: case.name.clone(),
        project_id: case.project_id,
        folder_id: case.folder_id,
        folder: account.folders.path(case.folder_id),
        template_id: case.template_id,
        state_id: case.state_id,
        estimate: case.estimate,
        tags: case.tags.iter().map(|id| account.tags.name(*id).to_owned()).collect(),
        created_at: case.created_at.of_case(),
        created_at_ms: case.created_at,
        created_by: case.created_by,
        custom: case.custom.clone(),
    }
}
