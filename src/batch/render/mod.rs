//! Renders each case of a batch as one entry of a create request, without the folder.

pub mod catalogue;
pub mod check;
pub mod compare;
pub mod draft;
pub mod kinds;
pub mod left_out;
pub mod mapping;
pub mod mapping_spec;
mod named;
pub mod nearest;
mod origin_note;
mod own_fields;
pub(in crate::batch) mod pack;
pub mod preview;
pub mod project;
pub mod provenance;
pub mod resolve;
pub mod tag;
mod text;
mod typed;
pub mod written;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::batch::message::fingerprint;
use crate::batch::message::{Batch, Case, Script, Step, TextFormat};
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::named::{Automatic, Labels, column, labels, rendered, rendered_gherkin};
use crate::batch::render::origin_note::origin_note;
use crate::batch::render::provenance::{Origin, Origins, Provenance, Supplier, chooser};
use crate::batch::render::tag::{added, sendable, tags};
use crate::batch::render::text::html;
use crate::batch::write_json;

/// The version of the renderer, which is stored with what was written: raised whenever the same case is rendered
/// differently.
pub const RENDERER_VERSION: u32 = 3;
/// The usual size of the entry of a case with a few steps, in bytes.
const USUAL_BYTES: usize = 2_048;

/// A case as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedCase {
    /// The key of the case within the batch.
    pub key: String,
    /// The name of the case, as Testmo will hold it.
    pub name: String,
    /// The entry as JSON text, without `folder_id`; see [`crate::batch::push_body`].
    pub entry: String,
    /// Who supplied its fields.
    pub provenance: Provenance,
}

/// Returns every case of a batch as it will be sent, in order, to a project with these fields.
pub fn render(batch: &Batch, mapping: &Mapping, kinds: &FieldKinds) -> Vec<RenderedCase> {
    let batch_tag = mapping.batch_tag.then(|| fingerprint::batch_tag(&batch.key));
    let note = origin_note(&batch.source).filter(|_| mapping.origin_note);
    let default = Mapping::default();
    let labels = labels(batch, kinds);
    let (labels, automatic) = (&labels, Automatic::of(mapping, kinds));
    let gherkin = kinds.project().gherkin_column(mapping);
    let added_tags: Arc<[String]> = added(mapping, batch_tag.as_deref()).collect();
    let mut json = Vec::with_capacity(USUAL_BYTES);
    let (mut texts, mut origins) = (Vec::with_capacity(batch.cases.len()), Vec::<Arc<Origins>>::new());
    for case in &batch.cases {
        let (mapping, default) = match &automatic {
            Some(automatic) if automatic.takes(case, labels) => (&automatic.mapping, &automatic.default),
            Some(_) | None => (mapping, &default),
        };
        let (note, batch_tag, added_tags) = (note.as_deref(), batch_tag.as_deref(), Arc::clone(&added_tags));
        let parts = Shared { note, mapping, kinds, labels, default, gherkin, batch_tag, added_tags };
        let entry = entry(case, &parts);
        json.clear();
        write_json(&mut json, &entry);
        texts.push(String::from_utf8_lossy(&json).into_owned());
        // Most cases of a batch are alike.
        match origins.last() {
            Some(last) if **last == entry.origins => origins.push(Arc::clone(last)),
            Some(_) | None => origins.push(Arc::new(entry.origins)),
        }
    }
    let parts = batch.cases.iter().enumerate().zip(texts).zip(Provenance::of_batch(origins));
    let one = |(((index, case), entry), provenance): (((usize, &Case), String), Provenance)| RenderedCase {
        key: case.key(index),
        name: text::name(&case.name).into_owned(),
        entry,
        provenance,
    };
    parts.map(one).collect()
}

/// The fields of a case in the order in which they are sent, the name first.
struct Entry<'a> {
    fields: Vec<(&'a str, Field<'a>)>,
    origins: Origins,
}

impl<'a> Entry<'a> {
    /// Returns whether a field is set.
    fn has(&self, column: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == column)
    }

    /// Replaces the field of the same name, or appends the field.
    fn put(&mut self, column: &'a str, field: Field<'a>, origin: Origin) {
        self.origins.put(column, origin);
        match self.fields.iter_mut().find(|(known, _)| *known == column) {
            Some((_, known)) => *known = field,
            None => self.fields.push((column, field)),
        }
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(column, field)| (column, field)))
    }
}

/// The value of a field.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Text(Cow<'a, str>),
    Html(String),
    Number(u64),
    Steps(Vec<StepFields>),
    Tags(Vec<String>),
    Issues(Vec<IssueFields<'a>>),
    Given(Cow<'a, Value>),
}

/// One step: by Testmo's default `text1` is the action, `text2` the data and `text3` the expected result.
#[derive(Serialize)]
struct StepFields {
    text1: String,
    display_order: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text3: Option<String>,
}

#[derive(Serialize)]
struct IssueFields<'a> {
    display_id: &'a str,
    integration_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_project_id: Option<u64>,
}

/// What the cases of a batch are rendered with.
struct Shared<'a> {
    note: Option<&'a str>,
    mapping: &'a Mapping,
    kinds: &'a FieldKinds,
    labels: &'a Labels<'a>,
    default: &'a Mapping,
    /// The column for Gherkin, if there is one.
    gherkin: Option<&'a str>,
    batch_tag: Option<&'a str>,
    /// The tags that every case gets.
    added_tags: Arc<[String]>,
}

fn entry<'a>(case: &'a Case, shared: &Shared<'a>) -> Entry<'a> {
    let Shared { note, mapping, kinds, labels, default, batch_tag, .. } = *shared;
    let gherkin = matches!(case.script, Script::Gherkin(_));
    let template = mapping.gherkin_template_id.filter(|_| gherkin).or(mapping.template_id);
    let mut entry = Entry { fields: Vec::new(), origins: Origins::new(template, &shared.added_tags) };
    let (of_case, of_mapping) = (Origin::all(Supplier::Case), Origin::all(Supplier::Mapping));
    let format = format_of(case, mapping);
    entry.put("name", Field::Text(text::name(&case.name)), of_case);
    for (key, value) in &case.fields {
        let column = column(key, labels);
        let is_label = column != Some(key);
        if is_label {
            entry.origins.names(key, column);
            if let Some(meant) = labels.meant_by(key) {
                entry.origins.misspells(key, meant.column, &meant.known.label);
            }
        }
        // A label gives way to the column, and to another label, of the same field.
        let is_free = |column: &&str| !is_label || (!case.fields.contains_key(*column) && !entry.has(column));
        if let Some(column) = column.filter(is_free) {
            let value = if shared.gherkin == Some(column) {
                rendered_gherkin(value)
            } else {
                rendered(value, column, mapping, kinds, format)
            };
            entry.put(column, Field::Given(value), of_case);
        }
    }
    for (column, value) in &mapping.fixed {
        entry.put(column, Field::Given(Cow::Borrowed(value)), of_mapping);
    }
    if let Some(id) = template {
        let by = if default.gherkin_template_id == Some(id) { Supplier::Defaults } else { Supplier::Mapping };
        entry.put("template_id", Field::Number(id), Origin::all(by));
    }
    if let Some(id) = mapping.state_id {
        entry.put("state_id", Field::Number(id), of_mapping);
    }
    put_texts(&mut entry, case, note, mapping, default);
    put_priority(&mut entry, case, mapping, default);
    let tags = tags(case, mapping, batch_tag);
    if !tags.is_empty() {
        let others = if mapping.tags.is_empty() { Supplier::Defaults } else { Supplier::Mapping };
        let has_own = sendable(case, mapping).next().is_some();
        let origin = if has_own { of_case } else { Origin::all(others) };
        entry.put("tags", Field::Tags(tags), origin);
    }
    match mapping.integration_id {
        Some(integration_id) if !case.issues.is_empty() => {
            let connection_project_id = mapping.connection_project_id;
            let issue = |id| IssueFields { display_id: id, integration_id, connection_project_id };
            let issues = case.issues.iter().map(String::as_str).map(issue).collect();
            entry.put("issues", Field::Issues(issues), Origin::text_in(Supplier::Mapping));
        }
        None if !case.issues.is_empty() => entry.origins.left_out("issues", Supplier::Mapping),
        Some(_) | None => {}
    }
    match case.estimate_seconds {
        Some(seconds) if mapping.estimate => entry.put("estimate", Field::Number(seconds), of_case),
        Some(_) => entry.origins.left_out("estimate", Supplier::Mapping),
        None => {}
    }
    entry
}

/// Puts the texts of a case into the columns that the mapping chooses for them.
fn put_texts<'a>(entry: &mut Entry<'a>, case: &'a Case, note: Option<&str>, mapping: &'a Mapping, default: &Mapping) {
    let by = |part: fn(&Mapping) -> &Option<String>| Origin::text_in(chooser(mapping, default, part));
    let format = format_of(case, mapping);
    if let (Script::Steps(steps), Some(column)) = (&case.script, &mapping.steps) {
        let steps = steps.iter().enumerate().map(|step| step_fields(step, format)).collect();
        entry.put(column, Field::Steps(steps), by(|mapping| &mapping.steps));
    }
    if let (Script::Gherkin(text), Some(column)) = (&case.script, &mapping.gherkin) {
        entry.put(column, Field::Html(text::gherkin(text)), by(|mapping| &mapping.gherkin));
    }
    if let (Some(text), Some(column)) = (&case.preconditions, &mapping.preconditions) {
        entry.put(column, Field::Html(html(text, format)), by(|mapping| &mapping.preconditions));
    }
    if let (Some(text), Some(column)) = (&case.expected, &mapping.expected) {
        entry.put(column, Field::Html(html(text, format)), by(|mapping| &mapping.expected));
    }
    if let Some(column) = &mapping.description {
        let html = description(case, note, mapping);
        if !html.is_empty() {
            entry.put(column, Field::Html(html), by(|mapping| &mapping.description));
        }
    }
}

/// Puts the option of a case's priority; a priority without an option is left out.
fn put_priority<'a>(entry: &mut Entry<'a>, case: &Case, mapping: &'a Mapping, default: &Mapping) {
    let (Some(name), Some(priority)) = (&case.priority, &mapping.priority) else { return };
    let by = chooser(mapping, default, |mapping| &mapping.priority);
    match name.meant_by(&priority.words).and_then(|name| priority.values.get(&name)) {
        Some(option) => entry.put(&priority.column, Field::Number(*option), Origin::all(by)),
        None => entry.origins.left_out(&priority.column, by),
    }
}

/// Returns the format of a case's texts: its own or its batch's, or else the tenant's.
pub(in crate::batch::render) fn format_of(case: &Case, mapping: &Mapping) -> TextFormat {
    case.format.or(mapping.format).unwrap_or_default()
}

fn step_fields((index, step): (usize, &Step), format: TextFormat) -> StepFields {
    let other = |text: &Option<String>| text.as_deref().map(|text| html(text, format));
    let (text2, text3) = (other(&step.data), other(&step.expected));
    StepFields { text1: html(&step.action, format), display_order: index + 1, text2, text3 }
}

fn description(case: &Case, note: Option<&str>, mapping: &Mapping) -> String {
    let format = format_of(case, mapping);
    let mut html = case.description.as_deref().map(|text| html(text, format)).unwrap_or_default();
    if let (Script::Gherkin(text), None) = (&case.script, &mapping.gherkin) {
        html.push_str(&text::code_block(text));
    }
    html.push_str(note.unwrap_or_default());
    html
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_holds_what_the_mapping_says() {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z",
            "source": {"key": "SHOP-1", "title": "Sign in", "link": "https://jira.example/SHOP-1"},
            "cases": [
              {"external_id": "A", "name": "Sign in & out", "description": "About it", "preconditions": "An account",
               "steps": [{"action": "Open", "data": "<url>", "expected": "Form"}], "priority": "high",
               "tags": ["Smoke Test", "auth"], "issues": ["SHOP-1"], "estimate_seconds": 60,
               "fields": {"custom_risk": 3, "custom_steps": "never"}},
              {"name": "In Gherkin", "gherkin": "Feature: x\n  Scenario: y"}]});
        let batch = crate::batch::message::decode::decode(message.to_string().as_bytes()).unwrap();
        let mapping = Mapping {
            template_id: Some(2),
            estimate: true,
            integration_id: Some(1),
            tags: vec!["ai-draft".into()],
            fixed: json!({"custom_type": 4}).as_object().unwrap().clone(),
            ..Mapping::default()
        };
        let cases = render(&batch, &mapping, &FieldKinds::default());
        let entries: Vec<Value> = cases.iter().map(|c| serde_json::from_str(&c.entry).unwrap()).collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&entries).unwrap());
    }
}
