//! Writes a case as a row of a list and as an item of an answer to POST or PATCH.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::expands::is_wished;
use crate::model::{Account, Case, DropdownForm, Field, FieldKind};
use crate::request::Request;
use crate::response::Response;

/// A case in the form of the API.
pub(crate) struct CaseRow<'a> {
    pub(crate) account: &'a Account,
    pub(crate) case: &'a Case,
    pub(crate) shape: Shape,
}

/// The keys of a row, and their form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// The form of POST and PATCH: everything, tags as `{tag_id, name}` (recorded).
    Echo,
    /// The form of the list: tags and similar keys are absent unless they were asked for, then bare ids (recorded).
    Listed(Extras),
}

/// What `expands` adds to the rows of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extras {
    tags: bool,
    automation_links: bool,
    comments: bool,
    history: bool,
}

impl Extras {
    pub(crate) fn of(request: &Request, lists_tags: bool) -> Self {
        Self {
            tags: lists_tags && is_wished(request, "tags"),
            automation_links: is_wished(request, "automation_links"),
            comments: is_wished(request, "comments"),
            history: is_wished(request, "history"),
        }
    }
}

impl Account {
    /// Returns the answer to a POST or PATCH: full items, in the order of the ids.
    pub(crate) fn echo(&self, status: u16, ids: &[u64]) -> Response {
        let cases = ids.iter().filter_map(|id| self.cases.get(*id));
        let rows = cases.map(|case| CaseRow { account: self, case, shape: Shape::Echo });
        let rows: Vec<CaseRow> = rows.collect();
        Response::json(status, &Result { result: rows })
    }
}

#[derive(Serialize)]
struct Result<'a> {
    result: Vec<CaseRow<'a>>,
}

impl Serialize for CaseRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let case = self.case;
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("id", &case.id)?;
        row.serialize_entry("key", &case.id)?;
        row.serialize_entry("name", &case.name)?;
        row.serialize_entry("project_id", &case.project_id)?;
        row.serialize_entry("repo_id", &case.project_id)?;
        row.serialize_entry("folder_id", &case.folder_id)?;
        row.serialize_entry("template_id", &case.template_id)?;
        row.serialize_entry("state_id", &case.state_id)?;
        row.serialize_entry("status_id", &case.status_id)?;
        row.serialize_entry("status_at", &None::<()>)?;
        row.serialize_entry("estimate", &case.estimate)?;
        row.serialize_entry("forecast", &None::<()>)?;
        row.serialize_entry("has_automation", &false)?;
        row.serialize_entry("has_automation_status", &false)?;
        let created_at = case.created_at.plus(self.account.settings.created_at_shift_ms);
        row.serialize_entry("created_at", &created_at.of_case())?;
        row.serialize_entry("created_by", &case.created_by)?;
        row.serialize_entry("updated_at", &case.updated_at.map(|at| at.of_case()))?;
        row.serialize_entry("updated_by", &case.updated_by)?;
        self.serialize_custom(&mut row)?;
        match self.shape {
            Shape::Echo => self.serialize_echo(&mut row)?,
            Shape::Listed(extras) => self.serialize_extras(extras, &mut row)?,
        }
        row.end()
    }
}

impl CaseRow<'_> {
    /// Writes the fields of the case's own template, empty ones as null.
    fn serialize_custom<M: SerializeMap>(&self, row: &mut M) -> std::result::Result<(), M::Error> {
        let template = self.account.template(self.case.template_id);
        let hidden = &self.account.settings.hidden_in_lists;
        for column in template.into_iter().flat_map(|template| &template.columns) {
            let value = self.case.custom.get(column).unwrap_or(&Value::Null);
            match self.shape {
                Shape::Listed(_) if hidden.contains(column) => {}
                Shape::Listed(_) | Shape::Echo => match self.as_option(column, value) {
                    Some(option) => row.serialize_entry(column, &option)?,
                    None => row.serialize_entry(column, value)?,
                },
            }
        }
        Ok(())
    }

    fn serialize_echo<M: SerializeMap>(&self, row: &mut M) -> std::result::Result<(), M::Error> {
        let tag = |id: &u64| json!({ "tag_id": id, "name": self.account.tags.name(*id) });
        let tags: Vec<Value> = self.case.tags.iter().map(tag).collect();
        let issues = self.case.issues.iter().filter_map(|id| self.account.issue(*id));
        row.serialize_entry("automation_links", &NOTHING)?;
        row.serialize_entry("tags", &tags)?;
        row.serialize_entry("issues", &issues.collect::<Vec<_>>())
    }

    fn serialize_extras<M: SerializeMap>(&self, extras: Extras, row: &mut M) -> std::result::Result<(), M::Error> {
        if extras.tags {
            row.serialize_entry("tags", &self.case.tags)?;
        }
        for (key, is_wished) in [("automation_links", extras.automation_links), ("comments", extras.comments)] {
            if is_wished {
                row.serialize_entry(key, &NOTHING)?;
            }
        }
        match self.account.shown_history(self.case).filter(|_| extras.history) {
            Some(history) => row.serialize_entry("history", &history),
            None => Ok(()),
        }
    }

    /// Returns a dropdown's value as an object, for accounts that show dropdowns in this form. The options of a multi-select
    /// field are always shown so (claimed by clients).
    fn as_option(&self, column: &str, value: &Value) -> Option<Value> {
        let field = self.account.field(column)?;
        match (field.kind, self.account.settings.dropdown_form) {
            (FieldKind::MultiSelect, _) => Some(value.as_array()?.iter().map(|id| shown(field, id)).collect()),
            (FieldKind::Dropdown, DropdownForm::Object) => Some(shown(field, value)).filter(|_| !value.is_null()),
            (_, DropdownForm::Id | DropdownForm::Object) => None,
        }
    }
}

fn shown(field: &Field, id: &Value) -> Value {
    let choice = field.options.iter().find(|choice| id.as_i64() == Some(choice.id));
    choice.map_or_else(|| id.clone(), |choice| json!({ "id": choice.id, "name": choice.value }))
}

const NOTHING: [u8; 0] = [];
