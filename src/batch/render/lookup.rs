//! Turns the names that people write in a mapping into ids and columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::batch::message::decode::is_custom_column;
use crate::batch::render::catalogue::{Catalogue, Field, Item};
use crate::batch::render::mapping::PriorityColumn;
use crate::batch::render::mapping_spec::{Named, WrittenPriority};

/// Resolves names, and collects a fault for each name that does not exist.
pub(super) struct Lookup<'a> {
    there: &'a Catalogue,
    faults: Vec<String>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(there: &'a Catalogue) -> Self {
        Self { there, faults: Vec::new() }
    }

    /// Returns the resolved value if every name existed, or else all faults.
    pub(super) fn end<T>(self, resolved: T) -> Result<T, Vec<String>> {
        if self.faults.is_empty() { Ok(resolved) } else { Err(self.faults) }
    }

    pub(super) fn item(
        &mut self,
        key: &str,
        wanted: Option<&Named>,
        list: &str,
        there: Option<&[Item]>,
    ) -> Option<u64> {
        match wanted? {
            Named::Id(id) => Some(*id),
            Named::Name(name) => match there {
                Some(there) => self.pick(key, name, there, |item| &item.name).map(|item| item.id),
                None => self.unlisted(key, name, list, "id"),
            },
        }
    }

    /// Returns the column that a text is or is the label of; if no label matches, the text itself.
    pub(super) fn column(&mut self, key: &str, text: &str) -> String {
        if is_custom_column(text) {
            return text.to_owned();
        }
        let found = match self.there.fields.as_deref() {
            Some(fields) => self.pick(key, text, fields, |field| &field.label).map(|field| field.column.clone()),
            None => self.unlisted(key, text, "fields", "column, custom_ and then a-z, 0-9 or _,"),
        };
        found.unwrap_or_else(|| text.to_owned())
    }

    pub(super) fn priority(&mut self, written: &WrittenPriority) -> PriorityColumn {
        let column = self.column("priority.column", &written.column);
        let mut values = BTreeMap::new();
        for (priority, wanted) in &written.values {
            let key = format!("priority.values.{}", priority.name());
            let option = match wanted {
                Named::Id(id) => Some(*id),
                Named::Name(name) => self.option(&key, &column, name),
            };
            values.extend(option.map(|option| (*priority, option)));
        }
        PriorityColumn { column, values }
    }

    fn option(&mut self, key: &str, column: &str, name: &str) -> Option<u64> {
        let Some(fields) = self.there.fields.as_deref() else { return self.unlisted(key, name, "fields", "id") };
        match fields.iter().find(|field| field.column == column) {
            Some(field) => self.pick(key, name, &field.options, |option| &option.name).map(|option| option.id),
            None if is_custom_column(column) => {
                self.faults.push(format!("`{key}`: this Testmo has no field with the column `{column}`"));
                None
            }
            // The missing label was reported already.
            None => None,
        }
    }

    pub(super) fn fixed(&mut self, written: &Map<String, Value>) -> Map<String, Value> {
        let mut fixed = Map::new();
        for (text, value) in written {
            let key = format!("fixed.{text}");
            let column = self.column(&key, text);
            let value = self.value(&key, &column, value);
            if fixed.insert(column.clone(), value).is_some() {
                self.faults.push(format!("`{key}`: the field {column} is set twice"));
            }
        }
        fixed
    }

    /// Resolves a fixed value, with names of options turned into ids; in a field without options a text stays a text.
    fn value(&mut self, key: &str, column: &str, value: &Value) -> Value {
        let has_options = |field: &&Field| field.column == column && !field.options.is_empty();
        if !self.there.fields.iter().flatten().any(|field| has_options(&field)) {
            return value.clone();
        }
        match value {
            Value::String(name) => self.option(key, column, name).map_or(Value::Null, Value::from),
            Value::Array(values) => values.iter().map(|value| self.value(key, column, value)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.clone(),
        }
    }

    /// Returns the entry with this name; if there is none, the only entry whose name differs just in upper and lower
    /// case.
    fn pick<'t, T>(&mut self, key: &str, name: &str, there: &'t [T], name_of: impl Fn(&T) -> &String) -> Option<&'t T> {
        let (exact, folded) = (name.trim(), name.trim().to_lowercase());
        let mut found: Vec<&T> = there.iter().filter(|one| name_of(one).trim() == exact).collect();
        if found.is_empty() {
            found = there.iter().filter(|one| name_of(one).trim().to_lowercase() == folded).collect();
        }
        if let [one] = found.as_slice() {
            return Some(one);
        }
        let names: Vec<String> = there.iter().map(|one| format!("\"{}\"", name_of(one).trim())).collect();
        let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        self.faults.push(if found.is_empty() {
            format!("`{key}`: \"{exact}\" does not exist; available: {names}")
        } else {
            format!("`{key}`: several entries are named \"{exact}\"; write the id or the column instead")
        });
        None
    }

    fn unlisted<T>(&mut self, key: &str, name: &str, list: &str, instead: &str) -> Option<T> {
        self.faults
            .push(format!("`{key}`: this Testmo does not list its {list}; write the {instead} instead of \"{name}\""));
        None
    }
}
