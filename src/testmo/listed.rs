//! Reads the templates, states and custom fields that Testmo lists.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bounded::Bounded;
use super::pages::Entry;
use crate::batch::render::catalogue::{Field, FieldKind, Item, ListedType};

/// The most fields of a template.
const MOST_FIELDS: usize = 1_000;
/// The most options of a field.
const MOST_OPTIONS: usize = 10_000;

/// A template or a state; states name the entity that they belong to.
#[derive(Debug, Deserialize)]
pub(super) struct NamedItem {
    id: u64,
    name: String,
    entity: Option<String>,
    /// The fields of a template.
    fields: Option<Lenient<Bounded<TemplateField, MOST_FIELDS>>>,
}

/// A field in the list of a template, which shows no column.
#[derive(Debug, Deserialize)]
struct TemplateField {
    id: u64,
    name: String,
}

/// A part of an answer without which the rest can be used: one in another form is passed over.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Read(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Other(IgnoredAny) => None,
        }
    }
}

/// A custom field. `is_required` is not documented, and is read where an answer has it.
#[derive(Debug, Deserialize)]
pub(super) struct ListedField {
    id: Option<Lenient<u64>>,
    name: String,
    column_name: Option<String>,
    entity: Option<String>,
    is_active: Option<bool>,
    is_required: Option<bool>,
    is_multi: Option<Lenient<bool>>,
    #[serde(rename = "type")]
    kind: Option<ListedKind>,
    options: Option<Bounded<ListedOption, MOST_OPTIONS>>,
}

/// The kind of a field, a number in recordings; a name is inferred.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ListedKind {
    Number(u64),
    Name(String),
    Other(IgnoredAny),
}

/// An option of a dropdown, whose text is called `value` in recordings.
#[derive(Debug, Deserialize)]
struct ListedOption {
    id: u64,
    #[serde(alias = "name")]
    value: String,
}

/// The entity of test cases. Testmo ignores filters that a tenant lacks, so the entity is checked here again.
const OF_CASES: &str = "repository_case";

fn is_of_cases(entity: Option<&String>) -> bool {
    entity.is_none_or(|entity| entity == OF_CASES)
}

impl NamedItem {
    /// Returns the item, if it belongs to cases.
    pub(super) fn of_cases(self) -> Option<Item> {
        is_of_cases(self.entity.as_ref()).then_some(Item { id: self.id, name: self.name })
    }

    /// Takes out the fields of a template with the template's id, if they are listed.
    pub(super) fn take_fields(&mut self) -> Option<(u64, Vec<Item>)> {
        let fields = self.fields.take()?.read()?.0;
        Some((self.id, fields.into_iter().map(|field| Item { id: field.id, name: field.name }).collect()))
    }
}

impl ListedField {
    /// Returns the field, if cases can have it.
    pub(super) fn of_cases(self) -> Option<Field> {
        let usable = is_of_cases(self.entity.as_ref()) && self.is_active != Some(false);
        let options = self.options.map(|options| options.0).unwrap_or_default();
        let listed = ListedType {
            number: if let Some(ListedKind::Number(number)) = &self.kind { Some(*number) } else { None },
            name: if let Some(ListedKind::Name(name)) = &self.kind { Some(name) } else { None },
            is_multi: self.is_multi.and_then(Lenient::read) == Some(true),
            has_options: !options.is_empty(),
        };
        Some(Field {
            id: self.id.and_then(Lenient::read),
            column: self.column_name.filter(|_| usable)?,
            label: self.name,
            options: options.into_iter().map(|option| Item { id: option.id, name: option.value }).collect(),
            required: self.is_required == Some(true),
            kind: FieldKind::of_listed(listed),
        })
    }
}

impl Entry for NamedItem {
    fn size(&self) -> usize {
        let of_field = |field: &TemplateField| size_of::<TemplateField>() + field.name.len();
        let fields = match &self.fields {
            Some(Lenient::Read(fields)) => fields.0.iter().map(of_field).sum(),
            Some(Lenient::Other(_)) | None => 0,
        };
        size_of::<Self>() + self.name.len() + self.entity.as_ref().map_or(0, String::len) + fields
    }
}

impl Entry for ListedField {
    fn size(&self) -> usize {
        let texts = [Some(&self.name), self.column_name.as_ref(), self.entity.as_ref()];
        let options = self
            .options
            .iter()
            .flat_map(|options| &options.0)
            .map(|option| size_of::<ListedOption>() + option.value.len());
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>() + options.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_in_every_form() {
        let fields = json!([
            {"id": 1, "name": "Type", "column_name": "custom_type", "type": 8,
             "options": [{"id": 4, "value": "Security"}]},
            {"id": 2, "name": "Note", "column_name": "custom_note", "entity": "run", "options": null},
            {"id": 3, "name": "Old", "column_name": "custom_old", "is_active": false},
            {"id": 4, "name": "Odd", "column_name": null},
            {"id": 5, "name": "Risk", "column_name": "custom_risk", "entity": "repository_case", "is_required": true,
             "type": "multiselect", "is_multi": 1, "options": [{"id": 1, "name": "Great"}]}]);
        let fields: Vec<ListedField> = serde_json::from_value(fields).unwrap();
        let read: Vec<Field> = fields.into_iter().filter_map(ListedField::of_cases).collect();
        let seen: Vec<_> =
            read.iter().map(|f| (f.column.as_str(), f.options[0].name.as_str(), f.required, f.kind)).collect();
        assert_eq!(
            seen,
            [
                ("custom_type", "Security", false, FieldKind::Dropdown),
                ("custom_risk", "Great", true, FieldKind::MultiSelect)
            ]
        );
    }

    #[test]
    fn the_fields_of_templates_are_read_and_other_forms_passed_over() {
        let templates = json!([
            {"id": 4, "name": "Case (BDD)", "fields": [{"id": 6, "name": "Feature", "type": 2}]},
            {"id": 5, "name": "Odd", "fields": {"0": 7}},
            {"id": 6, "name": "Bare"}]);
        let mut templates: Vec<NamedItem> = serde_json::from_value(templates).unwrap();
        let fields: Vec<_> = templates.iter_mut().filter_map(NamedItem::take_fields).collect();
        assert_eq!(fields, [(4, vec![Item { id: 6, name: "Feature".into() }])]);
    }
}
