//! Holds the content of one Testmo instance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cases::Cases;
use super::fields::{Field, State, Template};
use super::folders::Folders;
use super::projects::Project;
use super::settings::Settings;
use super::tags::Tags;
use super::users::User;

/// One Testmo instance.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// How this account differs from others.
    pub settings: Settings,
    /// Its users, in order of ids.
    pub users: Vec<User>,
    /// Its projects by id.
    pub projects: BTreeMap<u64, Project>,
    /// The folders of all projects.
    pub folders: Folders,
    /// The cases of all projects.
    pub cases: Cases,
    /// The tags of all cases.
    pub tags: Tags,
    /// The templates of every project.
    pub templates: Vec<Template>,
    /// The custom fields of every project.
    pub fields: Vec<Field>,
    /// The states of cases.
    pub states: Vec<State>,
    /// The connected issue trackers.
    pub integrations: Vec<Integration>,
    pub(crate) issues: Vec<Issue>,
    pub(crate) last_ids: LastIds,
}

/// A connected issue tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integration {
    /// The integration's id.
    pub integration_id: u64,
    /// The name people see.
    pub integration_name: String,
    /// 1 custom, 2 GitHub, 3 GitLab, 4 Jira.
    pub integration_type: u64,
    /// The tracker's project that is linked.
    pub connection_project_id: u64,
}

/// An issue that a case links to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Testmo's id of the issue.
    pub issue_id: u64,
    /// The tracker's id, as in `ABC-12`.
    pub display_id: String,
    /// The integration of the issue.
    pub integration_id: u64,
    /// The tracker's project.
    pub connection_project_id: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LastIds {
    pub(crate) case: u64,
    pub(crate) folder: u64,
    pub(crate) step: u64,
    pub(crate) token: u64,
    pub(crate) history: u64,
}

impl Account {
    /// Returns the user whose working key this is.
    pub fn user_of(&self, token: &str) -> Option<&User> {
        self.users.iter().find(|user| user.token.as_deref() == Some(token))
    }

    /// Returns the user with this id.
    pub fn user_mut(&mut self, id: u64) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    /// Returns the template with this id.
    pub fn template(&self, id: u64) -> Option<&Template> {
        self.templates.iter().find(|template| template.id == id)
    }

    /// Returns the state with this id.
    pub fn state(&self, id: u64) -> Option<&State> {
        self.states.iter().find(|state| state.id == id)
    }

    /// Returns the custom field with this column.
    pub fn field(&self, column: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.column_name == column)
    }

    /// Returns the issue with this id.
    pub fn issue(&self, id: u64) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.issue_id == id)
    }

    /// Revokes a user's key. Returns whether the user exists.
    pub fn revoke_key(&mut self, user_id: u64) -> bool {
        let user = self.user_mut(user_id);
        user.map(|user| user.token = None).is_some()
    }

    /// Gives a user a new key, the given one or a generated one; the old key stops working.
    pub fn renew_key(&mut self, user_id: u64, wish: Option<String>) -> Option<String> {
        self.last_ids.token += 1;
        let serial = self.last_ids.token;
        let token = wish.unwrap_or_else(|| format!("testmo_api_sim_{user_id}_{serial}"));
        let user = self.user_mut(user_id)?;
        user.token = Some(token.clone());
        Some(token)
    }

    /// Resets the account to its state before any case was created, ids included.
    pub fn forget_cases(&mut self) {
        self.cases = Cases::default();
        self.last_ids.case = 0;
    }

    /// Removes a folder, everything below it and the cases in it. Returns whether the folder existed.
    pub fn remove_folder(&mut self, id: u64) -> bool {
        let existed = self.folders.get(id).is_some();
        for folder in self.folders.subtree(id) {
            for case in self.cases.of_folder(folder).clone() {
                self.cases.remove(case);
            }
            self.folders.remove(folder);
        }
        existed
    }

    /// Removes a project with its folders and cases. Returns whether the project existed.
    pub fn remove_project(&mut self, id: u64) -> bool {
        let roots = self.folders.iter().filter(|f| f.project_id == id && f.parent_id.is_none());
        for folder in roots.map(|folder| folder.id).collect::<Vec<_>>() {
            self.remove_folder(folder);
        }
        self.projects.remove(&id).is_some()
    }
}
