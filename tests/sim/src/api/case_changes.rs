//! Answers PATCH and DELETE on `/projects/{id}/cases`.

use serde_json::{Map, Value};

use super::case_checks::Checker;
use super::checks::{id, ids, members};
use super::refusal::Refusal;
use crate::model::{Account, CaseChange, Template, User};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

impl Account {
    /// Sets the same values for all ids; lists replace the former lists.
    pub(crate) fn patch_cases(
        &mut self,
        project_id: u64,
        request: &Request,
        user: &User,
        now: Time,
    ) -> Result<Response, Response> {
        let ids = self.case_ids(project_id, request)?;
        let change = self.checked_change(project_id, request, &ids)?;
        self.change_cases(&ids, &change, user.id, now);
        Ok(self.echo(200, &ids).having_changed())
    }

    /// Removes all ids or none.
    pub(crate) fn delete_cases(&mut self, project_id: u64, request: &Request) -> Result<Response, Response> {
        for id in self.case_ids(project_id, request)? {
            self.cases.remove(id);
        }
        Ok(Response::no_content())
    }

    fn case_ids(&self, project_id: u64, request: &Request) -> Result<Vec<u64>, Response> {
        ids(request, |id| self.cases.of_project(project_id).contains(&id))
    }

    fn checked_change(&self, project_id: u64, request: &Request, ids: &[u64]) -> Result<CaseChange, Response> {
        let usable: Vec<(&String, &Value)> = members(request).filter(|(m, _)| is_usable(m)).collect();
        if usable.is_empty() {
            return Err(nothing_usable());
        }
        let templates = self.templates_of(ids);
        let mut checker = Checker::new(self, project_id);
        let mut change = CaseChange::default();
        for (member, value) in usable {
            checker.read_change(member, value, &templates, &mut change);
        }
        checker.required("", &change.custom, &templates);
        checker.refusal.check()?;
        Ok(change)
    }

    fn templates_of(&self, ids: &[u64]) -> Vec<&Template> {
        let cases = ids.iter().filter_map(|id| self.cases.get(*id));
        cases.filter_map(|case| self.template(case.template_id)).collect()
    }
}

impl Checker<'_> {
    fn read_change(&mut self, member: &str, value: &Value, templates: &[&Template], change: &mut CaseChange) {
        match member {
            "name" => change.name = self.name(member, value),
            "folder_id" => change.folder_id = self.folder(member, value),
            "state_id" => change.state_id = self.state(member, value),
            "status_id" => change.status_id = id(member, value, &mut self.refusal),
            "estimate" => change.estimate = Some(self.estimate(member, value)),
            "tags" => change.tags = Some(self.tags(member, value)),
            "issues" => change.issues = Some(self.issues(member, value)),
            "automation_links" => self.automation_links(member, value),
            column => {
                let stored = self.custom(column, column, value, templates);
                let member = stored.map(|value| (column.to_owned(), value));
                change.custom.extend(member.into_iter().collect::<Map<_, _>>());
            }
        }
    }
}

/// Returns whether PATCH accepts a member; the others, `template_id` among them, are dropped.
fn is_usable(member: &str) -> bool {
    let plain = ["name", "folder_id", "state_id", "status_id", "estimate", "issues", "tags", "automation_links"];
    plain.contains(&member) || member.starts_with("custom_")
}

/// Returns the refusal of a PATCH without a usable member: 400, not 422 (recorded).
fn nothing_usable() -> Response {
    let mut refusal = Refusal::default();
    let words = "No fields provided or the fields provided are not valid for update.";
    refusal.add("fields", words);
    refusal.into_response(400)
}
