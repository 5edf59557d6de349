//! Defines how an account is ordered.

use serde::{Deserialize, Serialize};

use super::station::Station;
use crate::faults::{Faults, RateLimit, Rule};
use crate::model::{
    Account, Choice, Field, Folder, Integration, Project, Role, Settings, State, Template, User, default_fields,
    default_priorities, default_states, default_templates,
};
use crate::time::Time;

/// A requested account; every part that is left out is as in a new Testmo account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSpec {
    /// The users.
    pub users: Vec<UserSpec>,
    /// The projects.
    pub projects: Vec<ProjectSpec>,
    /// The options of `custom_priority`; ignored when `fields` are given.
    pub priorities: Option<Vec<Choice>>,
    /// The custom fields.
    pub fields: Option<Vec<Field>>,
    /// The templates.
    pub templates: Option<Vec<Template>>,
    /// The states of cases.
    pub states: Option<Vec<State>>,
    /// The connected issue trackers.
    pub integrations: Vec<Integration>,
    /// How this account differs from others.
    pub settings: Settings,
    /// How the account is throttled.
    pub rate_limit: Option<RateLimit>,
    /// The faults.
    pub faults: Vec<Rule>,
    /// The id of the first case.
    pub first_case_id: Option<u64>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The id; by default the next free one.
    #[serde(default)]
    pub id: Option<u64>,
    /// The name people see.
    pub name: String,
    /// The API key.
    pub token: String,
    /// What the user may do; by default `write`.
    #[serde(default)]
    pub role: Role,
}

/// A project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// The id; by default the next free one.
    #[serde(default)]
    pub id: Option<u64>,
    /// The name people see.
    pub name: String,
    /// Whether the project is closed.
    #[serde(default)]
    pub is_completed: bool,
    /// The ids of the users who see the project; by default everybody.
    #[serde(default)]
    pub users: Option<Vec<u64>>,
    /// Its folders.
    #[serde(default)]
    pub folders: Vec<FolderSpec>,
}

/// A folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderSpec {
    /// The id; by default the next free one.
    #[serde(default)]
    pub id: Option<u64>,
    /// The name people see.
    pub name: String,
    /// The folders in it.
    #[serde(default)]
    pub folders: Vec<FolderSpec>,
}

/// Why an account cannot be created.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// Two users, projects or folders share an id.
    #[error("the {0} id {1} is given twice")]
    RepeatedId(&'static str, u64),
    /// Two users share a key.
    #[error("two users have the same token")]
    RepeatedToken,
    /// A template names a column that no field has.
    #[error("template {0:?} names the unknown column {1:?}")]
    UnknownColumn(String, String),
    /// The account was removed right after it was created.
    #[error("the account could not be stored")]
    Lost,
}

impl AccountSpec {
    /// Returns an account with a user 1 who writes with this key, and a project 1 with a folder 1.
    pub fn with_one_folder(token: &str) -> Self {
        let name = "Push Bot".to_owned();
        let user = UserSpec { id: Some(1), name, token: token.to_owned(), role: Role::Write };
        let folder = FolderSpec { id: Some(1), name: "Generated".to_owned(), folders: Vec::new() };
        let project =
            ProjectSpec { id: Some(1), name: "Shop".to_owned(), folders: vec![folder], ..ProjectSpec::default() };
        Self { users: vec![user], projects: vec![project], ..Self::default() }
    }

    pub(crate) fn build(self, now: Time) -> Result<Station, SpecError> {
        let priorities = self.priorities.unwrap_or_else(default_priorities);
        let mut account = Account {
            settings: self.settings,
            templates: self.templates.unwrap_or_else(default_templates),
            fields: self.fields.unwrap_or_else(|| default_fields(priorities)),
            states: self.states.unwrap_or_else(default_states),
            integrations: self.integrations,
            ..Account::default()
        };
        account.last_ids.case = self.first_case_id.unwrap_or(1).saturating_sub(1);
        check_columns(&account)?;
        for user in self.users {
            add_user(&mut account, user)?;
        }
        for project in self.projects {
            add_project(&mut account, project, now)?;
        }
        let mut faults = Faults::default();
        faults.set(self.faults);
        let mut station = Station { account, faults, ..Station::default() };
        station.set_rate_limit(self.rate_limit, now);
        Ok(station)
    }
}

fn check_columns(account: &Account) -> Result<(), SpecError> {
    for template in &account.templates {
        let unknown = template.columns.iter().find(|column| account.field(column).is_none());
        if let Some(column) = unknown {
            return Err(SpecError::UnknownColumn(template.name.clone(), column.clone()));
        }
    }
    Ok(())
}

fn add_user(account: &mut Account, spec: UserSpec) -> Result<(), SpecError> {
    let last = account.users.iter().map(|user| user.id).max().unwrap_or(0);
    let id = spec.id.unwrap_or(last + 1);
    if account.user_mut(id).is_some() {
        return Err(SpecError::RepeatedId("user", id));
    }
    if account.user_of(&spec.token).is_some() {
        return Err(SpecError::RepeatedToken);
    }
    let UserSpec { name, token, role, .. } = spec;
    account.users.push(User { id, name, role, token: Some(token) });
    Ok(())
}

fn add_project(account: &mut Account, spec: ProjectSpec, now: Time) -> Result<(), SpecError> {
    let last = account.projects.keys().next_back().copied().unwrap_or(0);
    let id = spec.id.unwrap_or(last + 1);
    if account.projects.contains_key(&id) {
        return Err(SpecError::RepeatedId("project", id));
    }
    let ProjectSpec { name, is_completed, users, folders, .. } = spec;
    account.projects.insert(id, Project { id, name, is_completed, users, created_at: now });
    folders.into_iter().try_for_each(|folder| add_folder(account, id, None, folder))
}

fn add_folder(
    account: &mut Account,
    project_id: u64,
    parent_id: Option<u64>,
    spec: FolderSpec,
) -> Result<(), SpecError> {
    let id = spec.id.unwrap_or(account.last_ids.folder + 1);
    if account.folders.get(id).is_some() {
        return Err(SpecError::RepeatedId("folder", id));
    }
    account.last_ids.folder = account.last_ids.folder.max(id);
    let display_order = i64::try_from(id).unwrap_or(i64::MAX);
    let (name, docs, created_at) = (spec.name, None, None);
    account.folders.insert(Folder { id, project_id, name, parent_id, docs, display_order, created_at });
    spec.folders.into_iter().try_for_each(|folder| add_folder(account, project_id, Some(id), folder))
}
