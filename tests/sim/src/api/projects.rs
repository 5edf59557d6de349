//! Answers the routes of the user and of the projects.

use serde_json::{Value, json};

use super::expands::{Expands, is_wished};
use super::page::{Order, Paging, sort_column};
use super::refusal::no_such_project;
use crate::model::{Account, Project, User};
use crate::request::Request;
use crate::response::Response;

impl Account {
    /// Answers `GET /user`: a bare object, not inside `result`; it has no e-mail address and no role.
    pub(crate) fn show_user(&self, user: &User) -> Response {
        let shown = json!({
            "id": user.id,
            "name": user.name,
            "timezone": "Europe/Berlin",
            "date_format": "Y-m-d",
            "time_format": null,
        });
        Response::json(200, &shown)
    }

    /// Answers `GET /projects`: those that are open to the user.
    pub(crate) fn list_projects(&self, request: &Request, user: &User) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let columns = ["created_at", "completed_at"];
        sort_column(request, "projects", &columns, "created_at")?;
        let order = Order::of(request, Order::Descending)?;
        let completed = match request.parameter("is_completed") {
            Some("0") => Some(false),
            Some("1") => Some(true),
            None | Some(_) => None,
        };
        let fits =
            |project: &&Project| project.is_open_to(user) && completed.is_none_or(|wish| wish == project.is_completed);
        let mut projects: Vec<&Project> = self.projects.values().filter(fits).collect();
        projects.sort_by_key(|project| (project.created_at, project.id));
        order.turn(&mut projects);
        let mut expands = Expands::default();
        if is_wished(request, "users") {
            let users = self.users.iter().map(|user| json!({ "id": user.id, "name": user.name }));
            expands.add("users", users.collect());
        }
        Ok(paging.wrap_all(projects.into_iter().map(shown).collect(), expands))
    }

    /// Answers `GET /projects/{id}`.
    pub(crate) fn show_project(&self, id: u64) -> Result<Response, Response> {
        let project = self.projects.get(&id).ok_or_else(no_such_project)?;
        Ok(Response::json(200, &json!({ "result": shown(project), "expands": [] })))
    }
}

/// Returns a project with the fields of the official SDK; there is no counter of cases or folders.
fn shown(project: &Project) -> Value {
    let created_at = project.created_at.of_project();
    let mut shown = json!({
        "id": project.id,
        "name": project.name,
        "note": null,
        "is_completed": project.is_completed,
    });
    for counter in COUNTERS {
        shown[counter] = json!(0);
    }
    shown["created_at"] = json!(created_at);
    shown["created_by"] = json!(1);
    shown["updated_at"] = json!(null);
    shown["updated_by"] = json!(null);
    shown["completed_at"] = if project.is_completed { json!(created_at) } else { json!(null) };
    shown
}

const COUNTERS: [&str; 15] = [
    "milestone_count",
    "milestone_active_count",
    "milestone_completed_count",
    "run_count",
    "run_active_count",
    "run_closed_count",
    "session_count",
    "session_active_count",
    "session_closed_count",
    "automation_source_count",
    "automation_source_active_count",
    "automation_source_retired_count",
    "automation_run_count",
    "automation_run_active_count",
    "automation_run_completed_count",
];
