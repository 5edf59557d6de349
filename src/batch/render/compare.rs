//! Compares what a mapping sends with what a project has, so that people learn at once what Testmo will refuse.

use serde_json::Value;

use crate::batch::render::catalogue::{Catalogue, Field, Item};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::nearest::did_you_mean;

/// The most entries that a sentence lists.
const MOST_LISTED: usize = 20;

/// Returns a sentence for each template, state, column and option that a mapping sends and the project does not list.
///
/// A list that is empty or missing says nothing, as some tenants lack the routes.
pub fn not_there(mapping: &Mapping, there: &Catalogue) -> Vec<String> {
    let mut missing = Vec::new();
    let templates = [("template", mapping.template_id), ("gherkin_template", mapping.gherkin_template_id)];
    missing
        .extend(templates.into_iter().filter_map(|(key, id)| item(key, "template", id?, there.templates.as_deref()?)));
    let retired = mapping.retired.as_ref().and_then(|retired| retired.state_id);
    let states = [("state", mapping.state_id), ("retired.state", retired)];
    missing.extend(states.into_iter().filter_map(|(key, id)| item(key, "state", id?, there.states.as_deref()?)));
    if let Some(fields) = there.fields.as_deref().filter(|fields| !fields.is_empty()) {
        missing.extend(columns(mapping).into_iter().filter_map(|(key, column)| unknown_column(&key, column, fields)));
        missing.extend(options(mapping, fields));
    }
    missing
}

fn item(key: &str, noun: &str, id: u64, there: &[Item]) -> Option<String> {
    let is_missing = !there.is_empty() && there.iter().all(|item| item.id != id);
    is_missing.then(|| format!("`{key}`: the project has no {noun} {id}; available: {}", listed(there)))
}

/// Returns the columns that a mapping fills, each with its place in the mapping.
fn columns(mapping: &Mapping) -> Vec<(String, &str)> {
    let texts = [
        ("steps", &mapping.steps),
        ("preconditions", &mapping.preconditions),
        ("description", &mapping.description),
        ("expected", &mapping.expected),
        ("gherkin", &mapping.gherkin),
    ];
    let texts = texts.into_iter().filter_map(|(key, column)| Some((key.to_owned(), column.as_deref()?)));
    let priority = mapping.priority.iter().map(|priority| ("priority".to_owned(), priority.column.as_str()));
    let fixed = mapping.fixed.keys().map(|column| (format!("fixed.{column}"), column.as_str()));
    texts.chain(priority).chain(fixed).collect()
}

fn unknown_column(key: &str, column: &str, fields: &[Field]) -> Option<String> {
    let is_missing = fields.iter().all(|field| field.column != column);
    is_missing.then(|| {
        let meant = did_you_mean(column, fields.iter().map(|field| field.column.as_str()));
        format!("`{key}`: the project has no field with the column `{column}`{meant}")
    })
}

fn options(mapping: &Mapping, fields: &[Field]) -> Vec<String> {
    let priorities = mapping.priority.iter().flat_map(|priority| {
        let of = |(name, id): (&crate::batch::message::Priority, &u64)| {
            (format!("priority.values.{}", name.name()), priority.column.as_str(), *id)
        };
        priority.values.iter().map(of)
    });
    let fixed = mapping.fixed.iter().flat_map(|(column, value)| {
        ids(value).into_iter().map(move |id| (format!("fixed.{column}"), column.as_str(), id))
    });
    let unknown = |(key, column, id): (String, &str, u64)| {
        let field = fields.iter().find(|field| field.column == column && !field.options.is_empty())?;
        item(&key, &format!("`{column}` with the option"), id, &field.options)
    };
    priorities.chain(fixed).filter_map(unknown).collect()
}

/// Returns the ids in a fixed value; a text is none.
fn ids(value: &Value) -> Vec<u64> {
    match value {
        Value::Number(id) => id.as_u64().into_iter().collect(),
        Value::Array(values) => values.iter().flat_map(ids).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => Vec::new(),
    }
}

fn listed(there: &[Item]) -> String {
    let named: Vec<String> =
        there.iter().take(MOST_LISTED).map(|item| format!("{} {}", item.id, item.name.trim())).collect();
    let more = there.len() - named.len();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    named.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::render::catalogue::FieldKind;

    fn items(ids: &[u64]) -> Vec<Item> {
        ids.iter().map(|id| Item { id: *id, name: format!("n{id}") }).collect()
    }

    fn field(column: &str, options: &[u64]) -> Field {
        Field {
            id: None,
            column: column.into(),
            label: column.into(),
            options: items(options),
            required: false,
            kind: FieldKind::Unknown,
        }
    }

    fn whole() -> Catalogue {
        let fields = ["custom_steps", "custom_preconditions", "custom_description"].map(|column| field(column, &[]));
        let fields = fields.into_iter().chain([field("custom_priority", &[1, 2, 3]), field("custom_type", &[5, 6])]);
        Catalogue {
            templates: Some(items(&[1, 2])),
            states: Some(items(&[4])),
            fields: Some(fields.collect()),
            ..Catalogue::default()
        }
    }

    #[test]
    fn nothing_is_missing_where_the_project_has_all_that_is_sent() {
        let fixed = json!({"custom_type": [5, 6]}).as_object().cloned().unwrap();
        let mapping = Mapping { template_id: Some(2), state_id: Some(4), fixed, ..Mapping::default() };
        assert_eq!(not_there(&mapping, &whole()), [""; 0]);
    }

    #[test]
    fn everything_that_the_project_lacks_is_named_at_once() {
        let fixed = json!({"custom_type": [5, 7], "custom_risk": 1}).as_object().cloned().unwrap();
        let mapping = Mapping {
            template_id: Some(3),
            gherkin_template_id: Some(9),
            state_id: Some(1),
            steps: Some("custom_stepz".into()),
            fixed,
            ..Mapping::default()
        };
        let mut there = whole();
        there.fields.iter_mut().flatten().filter(|field| field.column == "custom_priority").for_each(|field| {
            field.options.pop();
        });
        let missing = not_there(&mapping, &there);
        let expected = [
            "`template`: the project has no template 3; available: 1 n1, 2 n2",
            "`gherkin_template`: the project has no template 9; available: 1 n1, 2 n2",
            "`state`: the project has no state 1; available: 4 n4",
            "`steps`: the project has no field with the column `custom_stepz`; did you mean \"custom_steps\"?",
            "`fixed.custom_risk`: the project has no field with the column `custom_risk`",
            "`priority.values.low`: the project has no `custom_priority` with the option 3; available: 1 n1, 2 n2",
            "`fixed.custom_type`: the project has no `custom_type` with the option 7; available: 5 n5, 6 n6",
        ];
        assert_eq!(missing, expected);
    }

    #[test]
    fn a_list_that_is_missing_or_empty_says_nothing() {
        let mapping = Mapping { template_id: Some(3), state_id: Some(1), ..Mapping::default() };
        assert_eq!(not_there(&mapping, &Catalogue::default()), [""; 0]);
        let empty =
            Catalogue { templates: Some(vec![]), states: Some(vec![]), fields: Some(vec![]), ..Catalogue::default() };
        assert_eq!(not_there(&mapping, &empty), [""; 0]);
    }
}
