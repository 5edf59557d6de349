//! Turns checked requests into folders and cases.
//!
//! Nothing here can fail: everything that could be refused was refused before.

use serde_json::{Map, Value, json};

use super::account::{Account, Issue};
use super::cases::Case;
use super::folders::Folder;
use crate::time::Time;

/// A case that passed every check.
#[derive(Clone, Debug)]
pub(crate) struct NewCase {
    pub(crate) name: String,
    /// The folder of the case; if `None`, a folder is created for it.
    pub(crate) folder_id: Option<u64>,
    pub(crate) template_id: u64,
    pub(crate) state_id: u64,
    pub(crate) estimate: Option<i64>,
    pub(crate) tags: Vec<String>,
    pub(crate) issues: Vec<IssueWish>,
    pub(crate) custom: Map<String, Value>,
}

/// The issue that a case must link to.
#[derive(Clone, Debug)]
pub(crate) enum IssueWish {
    Known(u64),
    Named { display_id: String, integration_id: u64, connection_project_id: Option<u64> },
}

/// The values that a checked PATCH sets; `None` leaves a value unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaseChange {
    pub(crate) name: Option<String>,
    pub(crate) folder_id: Option<u64>,
    pub(crate) state_id: Option<u64>,
    pub(crate) status_id: Option<u64>,
    pub(crate) estimate: Option<Option<i64>>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) issues: Option<Vec<IssueWish>>,
    pub(crate) custom: Map<String, Value>,
}

impl Account {
    /// Stores cases in request order, with consecutive ids and one shared `created_at` (recorded).
    pub(crate) fn add_cases(&mut self, project_id: u64, wishes: Vec<NewCase>, user_id: u64, now: Time) -> Vec<u64> {
        let add = |wish| self.add_case(project_id, wish, user_id, now);
        wishes.into_iter().map(add).collect()
    }

    pub(crate) fn change_cases(&mut self, ids: &[u64], change: &CaseChange, user: u64, now: Time) {
        let tags = change.tags.as_ref().map(|names| self.tag_ids(names));
        let issues = change.issues.as_ref().map(|wishes| self.issue_ids(wishes));
        for id in ids {
            let custom = self.with_step_ids(*id, change.custom.clone());
            let before = self.cases.get(*id).cloned();
            self.cases.update(*id, |case| {
                set(&mut case.name, change.name.as_ref());
                set(&mut case.folder_id, change.folder_id.as_ref());
                set(&mut case.state_id, change.state_id.as_ref());
                set(&mut case.estimate, change.estimate.as_ref());
                set(&mut case.tags, tags.as_ref());
                set(&mut case.issues, issues.as_ref());
                case.status_id = change.status_id.or(case.status_id);
                case.custom.extend(custom);
                case.updated_at = Some(now);
                case.updated_by = Some(user);
            });
            if let Some(before) = before {
                self.note_change(&before, user, now);
            }
        }
    }

    /// Creates a folder at the end of its siblings, or at the requested position.
    pub(crate) fn add_folder(
        &mut self,
        project_id: u64,
        name: &str,
        parent_id: Option<u64>,
        docs: Option<String>,
        display_order: Option<i64>,
        created_at: Option<Time>,
    ) -> u64 {
        self.last_ids.folder += 1;
        let id = self.last_ids.folder;
        let display_order = display_order.unwrap_or(i64::try_from(id).unwrap_or(i64::MAX));
        let name = name.to_owned();
        self.folders.insert(Folder { id, project_id, name, parent_id, docs, display_order, created_at });
        id
    }

    fn add_case(&mut self, project_id: u64, wish: NewCase, user_id: u64, now: Time) -> u64 {
        self.last_ids.case += 1;
        let id = self.last_ids.case;
        let own_folder = |account: &mut Self| account.add_folder(project_id, "New folder", None, None, None, Some(now));
        let case = Case {
            id,
            project_id,
            folder_id: wish.folder_id.unwrap_or_else(|| own_folder(self)),
            template_id: wish.template_id,
            state_id: wish.state_id,
            status_id: None,
            estimate: wish.estimate,
            name: wish.name,
            tags: self.tag_ids(&wish.tags),
            issues: self.issue_ids(&wish.issues),
            custom: self.with_step_ids(id, wish.custom),
            created_at: now,
            created_by: user_id,
            updated_at: None,
            updated_by: None,
            history: Vec::new(),
        };
        self.cases.insert(case);
        self.add_to_history(id, user_id, now, Vec::new());
        id
    }

    fn tag_ids(&mut self, names: &[String]) -> Vec<u64> {
        names.iter().map(|name| self.tags.id_or_new(name)).collect()
    }

    /// Returns the ids of issues, which are found by their display id, or created.
    fn issue_ids(&mut self, wishes: &[IssueWish]) -> Vec<u64> {
        wishes.iter().map(|wish| self.issue_id(wish)).collect()
    }

    fn issue_id(&mut self, wish: &IssueWish) -> u64 {
        let (display_id, integration_id, connection_project_id) = match wish {
            IssueWish::Known(id) => return *id,
            IssueWish::Named { display_id, integration_id, connection_project_id } => {
                (display_id, *integration_id, *connection_project_id)
            }
        };
        let is_it = |issue: &&Issue| issue.display_id == *display_id && issue.integration_id == integration_id;
        if let Some(issue) = self.issues.iter().find(is_it) {
            return issue.issue_id;
        }
        let issue_id = self.issues.len() as u64 + 1;
        let display_id = display_id.clone();
        self.issues.push(Issue { issue_id, display_id, integration_id, connection_project_id });
        issue_id
    }

    /// Gives each step its own id and the id of its case.
    fn with_step_ids(&mut self, case_id: u64, mut custom: Map<String, Value>) -> Map<String, Value> {
        for (column, value) in &mut custom {
            let Value::Array(steps) = value else { continue };
            // Other lists hold ids of options.
            for step in steps.iter_mut().filter(|step| step.is_object()) {
                self.last_ids.step += 1;
                step["column_name"] = json!(column);
                step["id"] = json!(self.last_ids.step);
                step["case_id"] = json!(case_id);
            }
        }
        custom
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
