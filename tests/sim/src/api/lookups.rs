//! Answers the routes of templates, fields, states, statuses, tags, users, configurations, repositories and issue
//! connections.
//!
//! `/templates` is recorded; the item forms of the other routes are claims of clients.

use serde_json::{Value, json};

use super::expands::Expands;
use super::page::Paging;
use crate::model::{Account, Choice, Field, FieldKind, FieldTypes, Template};
use crate::request::Request;
use crate::response::Response;

impl Account {
    /// Answers `GET /projects/{id}/templates`: not paged, without column names (recorded).
    pub(crate) fn list_templates(&self) -> Response {
        let templates: Vec<Value> = self.templates.iter().map(|t| self.template_item(t)).collect();
        Response::json(200, &json!({ "result": templates }))
    }

    /// Answers `GET /projects/{id}/fields`, with the `entity` filter.
    pub(crate) fn list_fields(&self, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let fields = self.fields.iter().filter(|_| is_of_cases(request)).map(|field| {
            let mut item = field_item(field);
            item["type"] = self.shown_type(field);
            if self.settings.shows_required {
                item["is_required"] = json!(self.settings.required_fields.contains(&field.column_name));
            }
            if !self.settings.field_columns {
                item["column_name"] = Value::Null;
            }
            item
        });
        Ok(paging.wrap_all(fields.collect(), Expands::default()))
    }

    /// Answers `GET /projects/{id}/states`.
    pub(crate) fn list_states(&self, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let states = self.states.iter().filter(|_| is_of_cases(request)).map(|state| {
            json!({
                "id": state.id,
                "entity": ENTITY,
                "name": state.name,
                "is_default": state.is_default,
            })
        });
        Ok(paging.wrap_all(states.collect(), Expands::default()))
    }

    /// Answers `GET /projects/{id}/tags`: those in use in the project.
    pub(crate) fn list_tags(&self, project: u64, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let of_project = self.cases.of_project(project);
        let tags = self.tags.iter().filter_map(|(id, name)| {
            let count = self.cases.of_tag(id).iter().filter(|case| of_project.contains(case)).count();
            let item = json!({ "id": id, "entity": ENTITY, "name": name, "usage_count": count });
            (count > 0).then_some(item)
        });
        Ok(paging.wrap_all(tags.collect(), Expands::default()))
    }

    /// Answers `GET /projects/{id}/users`: the users who see the project.
    pub(crate) fn list_users(&self, project: u64, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let project = self.projects.get(&project);
        let users = self.users.iter().filter(|user| project.is_some_and(|p| p.is_open_to(user)));
        let items = users.map(|user| json!({ "id": user.id, "name": user.name }));
        Ok(paging.wrap_all(items.collect(), Expands::default()))
    }

    /// Answers `GET /issues/connections` (recorded).
    pub(crate) fn list_connections(&self, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let connections = self.integrations.iter().map(|integration| {
            json!({
                "integration_id": integration.integration_id,
                "integration_type": integration.integration_type,
                "integration_name": integration.integration_name,
                "connection_id": integration.integration_id,
                "connection_name": integration.integration_name,
                "connection_project_id": integration.connection_project_id,
                "connection_project_name": integration.integration_name,
                "is_active": true,
                "created_at": null,
                "updated_at": null,
            })
        });
        Ok(paging.wrap_all(connections.collect(), Expands::default()))
    }

    /// Answers `GET /projects/{id}/repos`: each project has one, with the project's own id (as observed).
    pub(crate) fn list_repos(&self, project: u64, request: &Request) -> Result<Response, Response> {
        let paging = Paging::of(request)?;
        let projects = self.projects.get(&project).into_iter();
        let repos = projects.map(|own| json!({ "id": own.id, "project_id": own.id, "name": own.name }));
        Ok(paging.wrap_all(repos.collect(), Expands::default()))
    }

    fn shown_type(&self, field: &Field) -> Value {
        match self.settings.field_types {
            FieldTypes::Numbers => json!(field.kind.number()),
            FieldTypes::Words => json!(field.kind.word()),
        }
    }

    fn template_item(&self, template: &Template) -> Value {
        let fields = template.columns.iter().filter_map(|column| self.field(column));
        let fields: Vec<Value> = fields.map(|field| template_field(field, &self.shown_type(field))).collect();
        json!({
            "id": template.id,
            "name": template.name,
            "is_default": template.is_default,
            "fields": fields,
        })
    }
}

const ENTITY: &str = "repository_case";

fn is_of_cases(request: &Request) -> bool {
    request.parameter("entity").is_none_or(|entity| entity == ENTITY)
}

/// Answers `GET /projects/{id}/statuses` with the statuses of results that every project has.
pub(crate) fn list_statuses(request: &Request) -> Result<Response, Response> {
    let paging = Paging::of(request)?;
    let names = ["Untested", "Passed", "Failed", "Retest", "Blocked", "Skipped"];
    let statuses = (1..).zip(names).map(|(id, name): (u64, &str)| json!({ "id": id, "name": name }));
    Ok(paging.wrap_all(statuses.collect(), Expands::default()))
}

/// Answers `GET /projects/{id}/configs`: there are none here.
pub(crate) fn list_configs(request: &Request) -> Result<Response, Response> {
    Ok(Paging::of(request)?.wrap_all(Vec::<Value>::new(), Expands::default()))
}

fn template_field(field: &Field, shown_type: &Value) -> Value {
    let mut item = json!({ "id": field.id, "name": field.name, "type": shown_type });
    if !field.options.is_empty() {
        item["options"] = options(&field.options);
    }
    item
}

fn field_item(field: &Field) -> Value {
    json!({
        "id": field.id,
        "entity": ENTITY,
        "type": field.kind.number(),
        "name": field.name,
        "system_name": null,
        "column_name": field.column_name,
        "note": null,
        "is_active": true,
        "is_compact": false,
        "is_multi": field.kind == FieldKind::MultiSelect,
        "include_all": true,
        "display_order": field.id,
        "options": options(&field.options),
    })
}

fn options(choices: &[Choice]) -> Value {
    choices.iter().map(|choice| json!({ "id": choice.id, "value": choice.value })).collect()
}
