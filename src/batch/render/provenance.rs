//! Records who supplied each field of a rendered case.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::batch::render::mapping::Mapping;

/// Who supplied a part of what is sent to Testmo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplier {
    /// The generator, in the case.
    Case,
    /// The tenant's mapping.
    Mapping,
    /// The tenant's connection: the folder.
    Connection,
    /// The worker: a default of the mapping that the tenant has not changed, or the batch tag.
    Defaults,
}

/// Who supplied a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who chose the field.
    pub field: Supplier,
    /// Who supplied its value.
    pub value: Supplier,
}

impl Origin {
    /// A field and its value from one supplier.
    pub const fn all(by: Supplier) -> Self {
        Self { field: by, value: by }
    }

    /// A text of the case in a field that somebody else chose.
    pub const fn text_in(field: Supplier) -> Self {
        Self { field, value: Supplier::Case }
    }
}

/// Who supplied the fields of a case, and which fields the cases of its batch supply. Cases that are alike share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    of_case: Arc<Origins>,
    of_batch: Arc<BTreeSet<String>>,
}

/// Who supplied the fields of a case, by the names that Testmo uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins {
    template: Option<u64>,
    fields: Vec<(String, Origin)>,
    /// The labels by which the case names fields, each with its column if that is known.
    labels: Vec<(String, Option<String>)>,
    /// Labels that no field has, each with the column and the label of the field that was probably meant.
    misspelt: Vec<(String, String, String)>,
    /// The tags that every case of the batch gets from the mapping and the worker.
    added_tags: Arc<[String]>,
}

impl Origins {
    pub(super) fn new(template: Option<u64>, added_tags: &Arc<[String]>) -> Self {
        let fields = vec![("folder_id".into(), Origin::all(Supplier::Connection))];
        Self { template, fields, added_tags: Arc::clone(added_tags), ..Self::default() }
    }

    /// Records the field that was probably meant by a label that no field has.
    pub(super) fn misspells(&mut self, written: &str, column: &str, label: &str) {
        self.misspelt.push((written.to_owned(), column.to_owned(), label.to_owned()));
    }

    /// Records what a label stands for by which the case names a field.
    pub(super) fn names(&mut self, label: &str, column: Option<&str>) {
        self.labels.push((label.to_owned(), column.map(str::to_owned)));
    }

    /// Records the supplier of a field that is sent; the last one counts.
    pub(super) fn put(&mut self, field: &str, origin: Origin) {
        match self.fields.iter_mut().find(|(known, _)| known == field) {
            Some((_, known)) => *known = origin,
            None => self.fields.push((field.to_owned(), origin)),
        }
    }

    /// Records who keeps a field from being sent, unless somebody else supplies it.
    pub(super) fn left_out(&mut self, field: &str, by: Supplier) {
        if !self.fields.iter().any(|(known, _)| known == field) {
            self.put(field, Origin::all(by));
        }
    }
}

impl Provenance {
    /// Returns what is known of each case of a batch, in order.
    pub(super) fn of_batch(cases: Vec<Arc<Origins>>) -> impl Iterator<Item = Self> {
        let mut supplied = BTreeSet::new();
        for (index, of_case) in cases.iter().enumerate() {
            if index == 0 || !Arc::ptr_eq(of_case, &cases[index - 1]) {
                let own = of_case.fields.iter().filter(|(_, origin)| origin.value == Supplier::Case);
                supplied.extend(own.map(|(field, _)| field.clone()));
            }
        }
        let of_batch = Arc::new(supplied);
        cases.into_iter().map(move |of_case| Self { of_case, of_batch: Arc::clone(&of_batch) })
    }

    /// Returns who supplied a field, or who keeps it from being sent.
    pub fn origin(&self, field: &str) -> Option<Origin> {
        self.of_case.fields.iter().find(|(known, _)| known == field).map(|(_, origin)| *origin)
    }

    /// Returns the column that a key of the case's fields stands for: itself, unless it is a label; `None` if no field is
    /// known by the label.
    pub fn column_of<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        match self.of_case.labels.iter().find(|(label, _)| label == key) {
            Some((_, column)) => column.as_deref(),
            None => Some(key),
        }
    }

    /// Returns the label by which the case probably meant a field although no field has it, and the field's label.
    pub fn misspelt(&self, column: &str) -> Option<(&str, &str)> {
        let found = self.of_case.misspelt.iter().find(|(_, meant, _)| meant == column);
        found.map(|(written, _, label)| (written.as_str(), label.as_str()))
    }

    /// Returns whether every case of the batch gets a tag from the mapping or the worker.
    pub fn is_added_tag(&self, tag: &str) -> bool {
        self.of_case.added_tags.iter().any(|added| added == tag)
    }

    /// Returns whether any case of the batch supplies a field.
    pub fn is_supplied_in_batch(&self, field: &str) -> bool {
        self.of_batch.contains(field)
    }

    /// Returns the name under which a field of this case is remembered once Testmo has accepted it: whether a field
    /// exists depends on the template.
    pub fn name_of(&self, field: &str) -> String {
        match self.of_case.template {
            Some(template) => format!("{field}@{template}"),
            None => field.to_owned(),
        }
    }

    /// Returns the names of the fields that somebody else than the case chose, and that hold what the case supplied.
    pub fn chosen_fields(&self) -> impl Iterator<Item = String> {
        let chosen = |origin: Origin| origin.value == Supplier::Case && origin.field != Supplier::Case;
        self.of_case.fields.iter().filter(move |(_, origin)| chosen(*origin)).map(|(field, _)| self.name_of(field))
    }

    /// Returns the columns of the custom fields that the case chose itself.
    pub fn own_columns(&self) -> impl Iterator<Item = &str> {
        let is_own = |origin: Origin| origin == Origin::all(Supplier::Case);
        let own = self.of_case.fields.iter().filter(move |(_, origin)| is_own(*origin));
        own.map(|(field, _)| field.as_str()).filter(|field| field.starts_with("custom_"))
    }

    /// Returns whether both are known to have the same fields.
    pub fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.of_case, &other.of_case)
    }
}

/// Returns who chose a part of a mapping: the worker, if it is the same as by default.
pub(super) fn chooser<T: PartialEq>(mapping: &Mapping, default: &Mapping, part: impl Fn(&Mapping) -> &T) -> Supplier {
    if part(mapping) == part(default) { Supplier::Defaults } else { Supplier::Mapping }
}
