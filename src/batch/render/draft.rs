//! Drafts a mapping with comments from what a project was seen to have.

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::{FieldKind, Item};
use super::kinds::{FieldKinds, ListedField};
use super::mapping::{Mapping, PriorityColumn};
use crate::batch::message::Priority;
use crate::batch::message::text::excerpt;

/// The most names that a comment lists.
const MOST_LISTED: usize = 40;
/// The most characters of a name in a comment.
const LONGEST_NAME: usize = 80;
/// The most characters of a line of the heading.
const LONGEST_LINE: usize = 300;

/// Words in the names of options for each priority, the likeliest first.
const PRIORITY_WORDS: [(Priority, &[&str]); 4] = [
    (Priority::Critical, &["critical", "highest", "urgent", "blocker", "high"]),
    (Priority::High, &["high", "major", "important"]),
    (Priority::Normal, &["normal", "medium", "default"]),
    (Priority::Low, &["low", "minor", "lowest"]),
];

/// Returns a mapping with comments, as a text that a person can edit and enter; `None` if the project's fields are not known.
/// The heading becomes comments, too.
pub fn draft(heading: &[String], kinds: &FieldKinds) -> Option<String> {
    if !kinds.is_detailed() {
        return None;
    }
    let mapping = fitting(kinds);
    let mut draft = Draft::default();
    heading.iter().for_each(|line| draft.line(&format!("// {}", excerpt(line, LONGEST_LINE))));
    draft.line("{");
    templates(&mut draft, kinds, &mapping);
    texts(&mut draft, &mapping);
    priority(&mut draft, kinds, &mapping);
    fixed(&mut draft, kinds, &mapping);
    draft.comment("Tags for every case, each of 1 to 32 characters a-z 0-9 _ -");
    draft.comment("\"tags\": [\"ai-draft\"],");
    draft.line("}");
    Some(draft.text)
}

#[derive(Default)]
struct Draft {
    text: String,
}

impl Draft {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Writes a comment on one line.
    fn comment(&mut self, text: &str) {
        self.indented("  ", text);
    }

    fn indented(&mut self, indent: &str, text: &str) {
        self.line(&format!("{indent}// {}", text.replace(char::is_control, " ")));
    }

    fn member(&mut self, key: &str, value: &Value) {
        self.line(&format!("  \"{key}\": {value},"));
    }
}

/// Returns the default mapping without the columns that the project does not have.
fn fitting(kinds: &FieldKinds) -> Mapping {
    let default = Mapping::default();
    let listed = |column: Option<String>| column.filter(|column| kinds.field(column).is_some());
    let mut lists = kinds.fields().filter(|field| field.kind == FieldKind::Steps);
    let only_list = lists.next().filter(|_| lists.next().is_none()).map(|field| field.column.to_owned());
    let column = default.priority.as_ref().map(|priority| priority.column.clone());
    let priority = listed(column).map(|column| {
        let options = kinds.options(&column);
        let of = |(priority, words): (Priority, &[&str])| Some((priority, likeliest(words, options)?.id));
        PriorityColumn { values: PRIORITY_WORDS.into_iter().filter_map(of).collect(), column, words: BTreeMap::new() }
    });
    Mapping {
        steps: listed(default.steps).or(only_list),
        preconditions: listed(default.preconditions),
        description: listed(default.description),
        priority: priority.filter(|priority| !priority.values.is_empty()),
        ..Mapping::default()
    }
}

/// Returns the option whose name is the likeliest word, or has it in it.
fn likeliest<'a>(words: &[&str], options: &'a [Item]) -> Option<&'a Item> {
    let named = |is_meant: fn(&str, &str) -> bool| {
        words.iter().find_map(|word| options.iter().find(|option| is_meant(&option.name.trim().to_lowercase(), word)))
    };
    named(|name, word| name == word)
        .or_else(|| named(|name, word| name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)))
}

fn templates(draft: &mut Draft, kinds: &FieldKinds, mapping: &Mapping) {
    let project = kinds.project();
    if !project.templates.is_empty() {
        draft.comment(&format!("Templates: {}", listed(project.templates.iter().map(|one| one.name.as_str()))));
        draft.comment(&format!("\"template\": {},", quoted(&project.templates[0].name)));
    }
    if let Some(place) = project.gherkin_place(mapping) {
        draft.comment("Cases in Gherkin use this template and this field, unless a template or another field is set:");
        draft.comment(&format!("\"gherkin_template\": {},", quoted(&place.template.name)));
        draft.comment(&format!("\"gherkin\": {},", quoted(place.column)));
    } else {
        draft.comment("Field for Gherkin text; without one, the text goes into the description");
        draft.comment("\"gherkin\": \"custom_feature\",");
    }
    if !project.states.is_empty() {
        draft.comment(&format!("States: {}", listed(project.states.iter().map(|one| one.name.as_str()))));
        draft.comment(&format!("\"state\": {},", quoted(&project.states[0].name)));
    }
}

fn texts(draft: &mut Draft, mapping: &Mapping) {
    let texts = [
        ("steps", &mapping.steps, "the steps"),
        ("preconditions", &mapping.preconditions, "the preconditions"),
        ("description", &mapping.description, "the description"),
    ];
    for (key, column, what) in texts {
        let without = if column.is_some() { "" } else { ", which the project seems to lack: null leaves them out" };
        draft.comment(&format!("Field for {what}{without}"));
        draft.member(key, &Value::from(column.clone()));
    }
}

fn priority(draft: &mut Draft, kinds: &FieldKinds, mapping: &Mapping) {
    let Some(PriorityColumn { column, values, .. }) = &mapping.priority else {
        draft.comment("Field for the priority, which the project seems to lack: null leaves it out");
        return draft.member("priority", &Value::Null);
    };
    let options = kinds.options(column);
    let name = |id: &u64| options.iter().find(|option| option.id == *id).map(|option| option.name.trim());
    draft.comment(&format!("Options of the priority: {}", listed(options.iter().map(|option| option.name.as_str()))));
    // Of two options with one name, only the id says which is meant.
    let is_clear =
        |name: &&str| options.iter().filter(|option| option.name.trim().eq_ignore_ascii_case(name)).count() == 1;
    let value = |id: &u64| name(id).filter(is_clear).map_or_else(|| Value::from(*id), Value::from);
    let values = values.iter().map(|(priority, id)| format!("\"{}\": {}", priority.name(), value(id)));
    let values: Vec<String> = values.collect();
    draft.line(&format!("  \"priority\": {{\"column\": {}, \"values\": {{{}}}}},", quoted(column), values.join(", ")));
}

/// Writes the other fields of the project as comments, the required ones first.
fn fixed(draft: &mut Draft, kinds: &FieldKinds, mapping: &Mapping) {
    let texts = [&mapping.steps, &mapping.preconditions, &mapping.description].into_iter().flatten();
    let texts = texts.chain(mapping.priority.as_ref().map(|priority| &priority.column)).map(String::as_str);
    let filled: Vec<&str> = texts.chain(kinds.project().gherkin_place(mapping).map(|place| place.column)).collect();
    let is_other = |field: &ListedField<'_>| !filled.contains(&field.column);
    let mut others: Vec<ListedField<'_>> = kinds.fields().filter(is_other).collect();
    others.sort_by_key(|field| (!field.known.required, kind_name(field.kind)));
    draft.comment("Values that are the same in every case; other fields can be set by each case, in its `fields`");
    draft.line("  \"fixed\": {");
    let names = kinds.project().names();
    for field in others {
        let known = field.known;
        let mut facts = vec![field.column.to_owned(), kind_name(field.kind).into()];
        if known.required {
            facts.push("REQUIRED: set it here, or in each case".into());
        }
        if !known.options.is_empty() {
            facts.push(format!("options: {}", listed(known.options.iter().map(|option| option.name.as_str()))));
        }
        draft.indented("    ", &facts.join("; "));
        let is_clear = names.column_of(&known.label) == Some(field.column);
        let key = if is_clear { known.label.trim() } else { field.column };
        draft.indented("    ", &format!("{}: {},", quoted(key), example(field)));
    }
    draft.line("  },");
}

fn kind_name(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::MultiSelect => "multi-select",
        FieldKind::Dropdown => "dropdown",
        FieldKind::Checkbox => "checkbox",
        FieldKind::Date => "date",
        FieldKind::Number => "number",
        FieldKind::Link => "link",
        FieldKind::RichText => "rich text",
        FieldKind::Steps => "steps",
        FieldKind::Plain => "text or another kind",
        FieldKind::Unknown => "unknown kind",
    }
}

fn example(field: ListedField<'_>) -> Value {
    let option = field.known.options.first().map_or(Value::Null, |option| option.name.trim().into());
    match field.kind {
        FieldKind::MultiSelect => Value::Array(vec![option]),
        FieldKind::Dropdown => option,
        FieldKind::Checkbox => Value::Bool(false),
        FieldKind::Date => "2026-12-31".into(),
        FieldKind::Number => 0.into(),
        FieldKind::Link => "https://example.com".into(),
        FieldKind::Steps => Value::Array(Vec::new()),
        FieldKind::RichText | FieldKind::Plain | FieldKind::Unknown => "text".into(),
    }
}

/// Lists names for a comment.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(|name| quoted(&excerpt(name, LONGEST_NAME))).collect();
    let more = names.len().saturating_sub(MOST_LISTED);
    names.truncate(MOST_LISTED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    names.join(", ") + &more
}

fn quoted(text: &str) -> String {
    Value::from(text.trim()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::render::catalogue::{Catalogue, Field};
    use crate::batch::render::compare::not_there;
    use crate::batch::render::mapping_spec::MappingSpec;

    fn field(id: u64, column: &str, label: &str, kind: FieldKind, options: &[&str]) -> Field {
        let options = (1..).zip(options).map(|(id, name)| Item { id, name: (*name).into() }).collect();
        let required = column == "custom_team";
        Field { id: Some(id), column: column.into(), label: label.into(), options, required, kind }
    }

    fn catalogue() -> Catalogue {
        let item = |(id, name): (u64, &str)| Item { id, name: name.into() };
        let fields = vec![
            field(1, "custom_priority", "Priority", FieldKind::Dropdown, &["1 - High", "2 - Medium", "3 - Low"]),
            field(2, "custom_description", "Description", FieldKind::RichText, &[]),
            field(3, "custom_work", "Work // \"steps\"", FieldKind::Steps, &[]),
            field(4, "custom_team", "Team", FieldKind::MultiSelect, &["Payments", "Login\n"]),
            field(5, "custom_day", "Twin", FieldKind::Date, &[]),
            field(6, "custom_risk", "Twin", FieldKind::Number, &[]),
            field(7, "custom_feature", "Feature", FieldKind::RichText, &[]),
        ];
        let own = [0, 1, 6].map(|at: usize| item((fields[at].id.unwrap(), &fields[at].label)));
        Catalogue {
            templates: Some([(2, "Case (steps)"), (4, "Case (BDD)")].map(item).into()),
            template_fields: [(4, own.into())].into(),
            states: Some([(1, "Draft")].map(item).into()),
            fields: Some(fields),
        }
    }

    #[test]
    fn a_draft_reads_like_this() {
        let heading = ["A mapping for tenant acme.".to_owned()];
        insta::assert_snapshot!(draft(&heading, &FieldKinds::of(&catalogue())).unwrap());
        assert_eq!(draft(&heading, &FieldKinds::default()), None);
    }

    #[test]
    fn a_draft_is_a_mapping_that_the_project_takes_with_all_of_its_suggestions() {
        let there = catalogue();
        let text = draft(&[], &FieldKinds::of(&there)).unwrap();
        let mapping = MappingSpec::from_json(&text).unwrap().resolve(&there).unwrap();
        assert_eq!(not_there(&mapping, &there), [""; 0]);
        assert_eq!(mapping.steps.as_deref(), Some("custom_work"));
        assert_eq!(mapping.preconditions, None);
        let values: Vec<u64> = mapping.priority.unwrap().values.into_values().collect();
        assert_eq!(values, [1, 1, 2, 3]);
        // Every line that is an entry in a comment.
        let entries = text.lines().map(|line| match line.trim_start().strip_prefix("//") {
            Some(comment) if comment.trim().starts_with('"') => comment.trim(),
            Some(_) | None => line,
        });
        let all = entries.collect::<Vec<_>>().join("\n");
        let mapping = MappingSpec::from_json(&all).unwrap().resolve(&there).unwrap();
        assert_eq!(not_there(&mapping, &there), [""; 0]);
        assert_eq!((mapping.template_id, mapping.gherkin_template_id, mapping.state_id), (Some(2), Some(4), Some(1)));
        assert_eq!(mapping.gherkin.as_deref(), Some("custom_feature"));
        assert_eq!(mapping.fixed["custom_team"], serde_json::json!([1]));
        assert_eq!(mapping.fixed["custom_day"], "2026-12-31");
    }
}
