//! Answers `POST /projects/{id}/cases`.

use serde_json::{Map, Value};

use super::case_checks::Checker;
use super::checks::{entries, required};
use crate::model::{Account, NewCase, Template, User};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

impl Account {
    /// Creates all cases of the request or none: a fault in one entry refuses all of them, under `cases.N.field`.
    pub(crate) fn create_cases(
        &mut self,
        project_id: u64,
        request: &Request,
        user: &User,
        now: Time,
    ) -> Result<Response, Response> {
        let mut checker = Checker::new(self, project_id);
        let mut wishes = Vec::new();
        for (index, entry) in entries(request, "cases")? {
            wishes.extend(checker.new_case(&format!("cases.{index}"), entry));
        }
        checker.refusal.check()?;
        let ids = self.add_cases(project_id, wishes, user.id, now);
        Ok(self.echo(201, &ids).having_created(ids))
    }
}

impl Checker<'_> {
    /// Reads a new case; returns `None` only if a fault was recorded.
    fn new_case(&mut self, key: &str, entry: &Value) -> Option<NewCase> {
        let Some(members) = entry.as_object() else {
            self.refusal.add(key, format!("The {key} must be an array."));
            return None;
        };
        let template = self.chosen_template(key, members.get("template_id"));
        let default_state = self.account.states.iter().find(|state| state.is_default);
        let mut case = NewCase {
            name: String::new(),
            folder_id: None,
            template_id: template.map_or(0, |template| template.id),
            state_id: default_state.map_or(1, |state| state.id),
            estimate: None,
            tags: Vec::new(),
            issues: Vec::new(),
            custom: Map::new(),
        };
        if !members.contains_key("name") {
            let key = format!("{key}.name");
            self.refusal.add(&key, required(&key));
        }
        for (member, value) in members {
            self.read_member(&format!("{key}.{member}"), member, value, template, &mut case);
        }
        if let Some(template) = template {
            self.required(&format!("{key}."), &case.custom, &[template]);
        }
        Some(case)
    }

    fn read_member(&mut self, key: &str, member: &str, value: &Value, template: Option<&Template>, case: &mut NewCase) {
        match member {
            "name" => {
                let name = self.name(key, value).unwrap_or_default();
                case.name = self.account.settings.case_names.stored(name);
            }
            "folder_id" => case.folder_id = self.folder(key, value),
            "template_id" => {}
            "state_id" => case.state_id = self.state(key, value).unwrap_or_default(),
            "estimate" => case.estimate = self.estimate(key, value),
            "tags" => case.tags = self.tags(key, value),
            "issues" => case.issues = self.issues(key, value),
            "automation_links" => self.automation_links(key, value),
            column if column.starts_with("custom_") => {
                // Without a valid template, its fields cannot be checked.
                if let Some(template) = template {
                    let stored = self.custom(key, column, value, &[template]);
                    case.custom.extend(stored.map(|value| (column.to_owned(), value)));
                }
            }
            _ => self.unknown(key),
        }
    }
}

impl<'a> Checker<'a> {
    fn chosen_template(&mut self, key: &str, wish: Option<&Value>) -> Option<&'a Template> {
        let account = self.account;
        match wish {
            None => account.templates.iter().find(|template| template.is_default),
            Some(value) => {
                let id = self.template(&format!("{key}.template_id"), value)?;
                account.template(id)
            }
        }
    }
}
