//! Checks the custom fields of a case, and returns their stored form.

use serde_json::{Map, Value, json};

use super::case_checks::Checker;
use super::checks::{array, integer, required, string};
use crate::model::{Field, FieldKind, Template, UnknownFields};
use crate::time::Time;

impl Checker<'_> {
    /// Returns the stored form of one custom field, if all these templates have it. Null empties the field.
    pub(crate) fn custom(&mut self, key: &str, column: &str, value: &Value, templates: &[&Template]) -> Option<Value> {
        let has_it = |template: &&Template| template.columns.iter().any(|own| own == column);
        let field = self.account.field(column).filter(|_| templates.iter().all(has_it));
        let Some(field) = field else {
            self.refusal.add(key, format!("The {key} field is not part of the template."));
            return None;
        };
        if value.is_null() { Some(Value::Null) } else { self.filled(key, field, value) }
    }

    /// Records a fault for every required column of these templates that stays empty.
    pub(crate) fn required(&mut self, prefix: &str, custom: &Map<String, Value>, templates: &[&Template]) {
        for column in &self.account.settings.required_fields {
            let is_asked = templates.iter().any(|template| template.columns.contains(column));
            if is_asked && is_empty(custom.get(column)) {
                let key = format!("{prefix}{column}");
                self.refusal.add(&key, required(&key));
            }
        }
    }

    fn filled(&mut self, key: &str, field: &Field, value: &Value) -> Option<Value> {
        match field.kind {
            FieldKind::RichText => {
                let form = self.account.settings.rich_text;
                string(key, value, &mut self.refusal).map(|html| json!(form.saved(html)))
            }
            FieldKind::PlainText => string(key, value, &mut self.refusal).map(|text| json!(text)),
            FieldKind::Dropdown => self.option(key, field, value),
            FieldKind::MultiSelect => self.options(key, field, value),
            FieldKind::Checkbox => {
                if !value.is_boolean() {
                    self.refusal.add(key, format!("The {key} field must be true or false."));
                }
                Some(value.clone())
            }
            FieldKind::Date => {
                let is_date = string(key, value, &mut self.refusal).map(is_date)?;
                if !is_date {
                    self.refusal.add(key, format!("The {key} is not a valid date."));
                }
                Some(value.clone())
            }
            FieldKind::Link => {
                let is_link = string(key, value, &mut self.refusal).map(is_link)?;
                if !is_link {
                    self.refusal.add(key, format!("The {key} must be a valid URL."));
                }
                Some(value.clone())
            }
            FieldKind::Steps => self.steps(key, value),
            FieldKind::Number => {
                if !value.is_number() {
                    self.refusal.add(key, format!("The {key} must be a number."));
                }
                Some(value.clone())
            }
        }
    }

    fn option(&mut self, key: &str, field: &Field, value: &Value) -> Option<Value> {
        let id = integer(key, value, &mut self.refusal)?;
        if !field.options.iter().any(|choice| choice.id == id) {
            self.refusal.add(key, format!("The selected {key} is invalid."));
        }
        Some(json!(id))
    }

    /// Reads a list of ids of options.
    fn options(&mut self, key: &str, field: &Field, value: &Value) -> Option<Value> {
        let values = array(key, value, &mut self.refusal)?;
        let ids = values.iter().enumerate();
        Some(ids.filter_map(|(index, value)| self.option(&format!("{key}.{index}"), field, value)).collect())
    }

    /// Reads steps in order of the requested `display_order`, which then counts from 1; unused texts are null.
    fn steps(&mut self, key: &str, value: &Value) -> Option<Value> {
        let values = array(key, value, &mut self.refusal)?;
        let mut steps: Vec<(i64, Value)> = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let place = i64::try_from(index + 1).unwrap_or(i64::MAX);
            steps.push(self.step(&format!("{key}.{index}"), value, place));
        }
        steps.sort_by_key(|(place, _)| *place);
        let numbered = steps.into_iter().zip(1..).map(|((_, mut step), place)| {
            step["display_order"] = json!(place);
            step
        });
        Some(numbered.collect())
    }

    fn step(&mut self, key: &str, value: &Value, default_place: i64) -> (i64, Value) {
        let mut place = default_place;
        let mut step = json!({ "column_name": null, "id": null, "case_id": null, "display_order": null,
            "text1": null, "text2": null, "text3": null, "text4": null });
        let Some(members) = value.as_object() else {
            self.refusal.add(key, format!("The {key} must be an array."));
            return (place, step);
        };
        for (name, value) in members {
            let key = format!("{key}.{name}");
            match name.as_str() {
                "display_order" => {
                    place = integer(&key, value, &mut self.refusal).unwrap_or(place);
                }
                "text1" | "text2" | "text3" | "text4" if value.is_null() => {}
                "text1" | "text2" | "text3" | "text4" => {
                    let html = string(&key, value, &mut self.refusal).unwrap_or_default();
                    step[name] = json!(self.account.settings.rich_text.saved(html));
                }
                _ => self.unknown(&key),
            }
        }
        (place, step)
    }

    /// Records a fault for a key that Testmo does not have.
    pub(crate) fn unknown(&mut self, key: &str) {
        match self.account.settings.unknown_fields {
            UnknownFields::Refuse => {
                self.refusal.add(key, format!("The {key} field is not allowed."));
            }
            UnknownFields::Ignore => {}
        }
    }
}

/// Returns whether a text is a day in the form `2026-11-30`.
fn is_date(text: &str) -> bool {
    text.len() == 10 && Time::parse(&format!("{text}T00:00:00Z")).is_some()
}

fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}
