//! Finds what a tenant's Testmo will refuse of a batch, by what the tenant's project was seen to have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::catalogue::{FieldKind, Item};
use super::kinds::{FieldKinds, ListedField};
use super::mapping::Mapping;
use super::nearest::did_you_mean;
use super::typed::fits;
use super::{RenderedCase, render};
use crate::batch::message::fault::Fault;
use crate::batch::message::lint::{Finding, LONG_NAME};
use crate::batch::message::text::excerpt;
use crate::batch::message::{Batch, Case};

/// The most characters of the name of a case that are assumed to be taken; 496 were seen to be.
const LONGEST_NAME: usize = 512;
/// The most findings about single fields that are listed: comparing each with every name takes time.
const MOST_FINDINGS: usize = 1_000;
/// The most options that a remedy lists.
const MOST_LISTED: usize = 20;
/// The most characters of a quoted text.
const LONGEST_QUOTE: usize = 60;

const UNKNOWN_FIELD: &str = "unknown-field";
const FIELD_NOT_IN_TEMPLATE: &str = "field-not-in-template";
const MISSING_REQUIRED_FIELD: &str = "missing-required-field";
const UNKNOWN_OPTION: &str = "unknown-option";
const WRONG_FIELD_VALUE: &str = "wrong-field-value";

/// Returns what a tenant's Testmo will probably refuse of a batch. Where the project's fields are not known, only names
/// are checked.
pub fn check(batch: &Batch, mapping: &Mapping, kinds: &FieldKinds) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut missing: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (index, (case, sent)) in batch.cases.iter().zip(render(batch, mapping, kinds)).enumerate() {
        // Its faults are reported anyway, and it is not sent.
        if case.faulty.is_some() {
            continue;
        }
        let entry: Map<String, Value> = serde_json::from_str(&sent.entry).unwrap_or_default();
        let checked = Checked { index, case, sent: &sent, entry: &entry, kinds };
        found.extend(checked.name());
        if kinds.is_detailed() {
            let room = MOST_FINDINGS.saturating_sub(found.len());
            found.extend(case.fields.iter().filter_map(|(key, value)| checked.field(key, value)).take(room));
            for field in checked.missing() {
                missing.entry(field.column.to_owned()).or_insert((index, 0)).1 += 1;
            }
        }
    }
    if found.len() >= MOST_FINDINGS {
        let what = format!("has more than {MOST_FINDINGS} findings about fields");
        let remedy = "fix the listed ones, then check the message again".into();
        found.push(finding(UNKNOWN_FIELD, String::new(), what, remedy));
    }
    let all = batch.cases.len();
    found.extend(missing.into_iter().filter_map(|(column, (first, count))| {
        let field = kinds.field(&column)?;
        let what = format!(
            "lacks the required field \"{}\" (`{column}`; {count} of {all} cases)",
            excerpt(&field.known.label, LONGEST_QUOTE)
        );
        let remedy = format!(
            "set it in `fields` of each case, or for all in `fixed` of the mapping{}",
            listed(&field.known.options)
        );
        Some(finding(MISSING_REQUIRED_FIELD, format!("/cases/{first}"), what, remedy))
    }));
    found
}

/// A case as it is sent, to be checked.
struct Checked<'a> {
    index: usize,
    case: &'a Case,
    sent: &'a RenderedCase,
    entry: &'a Map<String, Value>,
    kinds: &'a FieldKinds,
}

impl<'a> Checked<'a> {
    fn name(&self) -> Option<Finding> {
        let length = self.case.name.chars().count();
        let what = format!("has {length} characters; Testmo is assumed to take {LONGEST_NAME}");
        let remedy = "shorten the name, and move the rest into the description".into();
        let pointer = format!("/cases/{}/name", self.index);
        (length > LONGEST_NAME).then(|| finding(LONG_NAME, pointer, what, remedy))
    }

    /// Checks one of the case's own fields.
    fn field(&self, key: &str, written: &Value) -> Option<Finding> {
        let pointer = format!("/cases/{}/fields/{}", self.index, key.replace('~', "~0").replace('/', "~1"));
        let field = self.sent.provenance.column_of(key).and_then(|column| self.kinds.field(column));
        let Some(field) = field else {
            let names = self.kinds.fields().flat_map(|field| [field.known.label.as_str(), field.column]);
            let names: Vec<&str> = if key.starts_with("custom_") {
                self.kinds.fields().map(|field| field.column).collect()
            } else {
                names.filter(|name| !name.is_empty()).collect()
            };
            let what = format!("names no field of the project{}", did_you_mean(key, names));
            let remedy = "write the label or the column of a field as the project has it".into();
            return Some(finding(UNKNOWN_FIELD, pointer, what, remedy));
        };
        if self.template().is_some_and(|columns| !columns.contains(field.column)) {
            let what = format!("fills `{}`, which the template of the case does not have", field.column);
            let remedy = "leave it out, or add the field to the template in Testmo".into();
            return Some(finding(FIELD_NOT_IN_TEMPLATE, pointer, what, remedy));
        }
        let sent = self.entry.get(field.column)?;
        (!fits(sent, field.kind, &field.known.options)).then(|| wrong_value(pointer, field, sent, written))
    }

    /// Returns the columns of the template of the case, if they are known.
    fn template(&self) -> Option<&'a BTreeSet<String>> {
        let id = self.entry.get("template_id")?.as_u64()?;
        let template = self.kinds.project().templates.iter().find(|template| template.id == id)?;
        Some(&template.columns).filter(|columns| !columns.is_empty())
    }

    /// Returns the required fields that are not filled; those that the template lacks are not asked for.
    fn missing(&self) -> impl Iterator<Item = ListedField<'a>> {
        let template = self.template();
        let entry = self.entry;
        let is_asked = move |field: &ListedField<'_>| template.is_none_or(|columns| columns.contains(field.column));
        let fields = self.kinds.fields().filter(|field| field.known.required);
        fields.filter(is_asked).filter(move |field| is_empty(entry.get(field.column)))
    }
}

fn finding(rule: &'static str, pointer: String, what: String, remedy: String) -> Finding {
    Finding { rule, fault: Fault::at(pointer, what, remedy) }
}

fn wrong_value(pointer: String, field: ListedField<'_>, sent: &Value, written: &Value) -> Finding {
    let options = &field.known.options;
    let form = match field.kind {
        FieldKind::Dropdown | FieldKind::MultiSelect if !options.is_empty() => {
            let unknown = unknown_options(sent, options);
            let meant = match unknown.as_slice() {
                [Value::String(name)] => did_you_mean(name, options.iter().map(|option| option.name.as_str())),
                _ => String::new(),
            };
            let names: Vec<String> = unknown.iter().map(|value| excerpt(&value.to_string(), LONGEST_QUOTE)).collect();
            let what = format!("names no option of `{}`: {}{meant}", field.column, names.join(", "));
            let remedy = format!("write the name or the id of an option{}", listed(options));
            return finding(UNKNOWN_OPTION, pointer, what, remedy);
        }
        FieldKind::Dropdown => "the id of one option",
        FieldKind::MultiSelect => "a list of ids of options",
        FieldKind::Checkbox => "true or false",
        FieldKind::Date => "a day such as 2026-11-30",
        FieldKind::Number => "a number",
        FieldKind::RichText | FieldKind::Steps | FieldKind::Link | FieldKind::Plain | FieldKind::Unknown => "a text",
    };
    let what = format!("is {}, and `{}` takes {form}", excerpt(&written.to_string(), LONGEST_QUOTE), field.column);
    finding(WRONG_FIELD_VALUE, pointer, what, format!("write {form}"))
}

/// Returns the values that are not the id of an option.
fn unknown_options(sent: &Value, options: &[Item]) -> Vec<Value> {
    let values = sent.as_array().map_or(std::slice::from_ref(sent), Vec::as_slice);
    values.iter().filter(|value| !fits(value, FieldKind::Dropdown, options)).cloned().collect()
}

/// Lists options for people; nothing if there are none.
fn listed(options: &[Item]) -> String {
    let names: Vec<String> =
        options.iter().take(MOST_LISTED).map(|option| excerpt(option.name.trim(), LONGEST_QUOTE)).collect();
    let more = options.len().saturating_sub(MOST_LISTED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    if names.is_empty() { String::new() } else { format!("; available: {}{more}", names.join(", ")) }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::batch::render::catalogue::{Catalogue, Field};

    fn kinds() -> FieldKinds {
        let items =
            |names: &[&str]| (1..).zip(names).map(|(id, name)| Item { id, name: (*name).into() }).collect::<Vec<_>>();
        let field = |(id, column, label, kind, options): (u64, &str, &str, FieldKind, &[&str])| Field {
            id: Some(id),
            column: column.into(),
            label: label.into(),
            options: items(options),
            required: column == "custom_team",
            kind,
        };
        let fields: Vec<Field> = [
            (1, "custom_team", "Team", FieldKind::MultiSelect, &["Payments", "Login"][..]),
            (2, "custom_risk", "Risk", FieldKind::Dropdown, &["High", "Low"]),
            (3, "custom_automated", "Automated", FieldKind::Checkbox, &[]),
            (4, "custom_day", "Day", FieldKind::Date, &[]),
            (5, "custom_feature", "Feature", FieldKind::RichText, &[]),
        ]
        .map(field)
        .into();
        let own = fields[..4].iter().map(|field| Item { id: field.id.unwrap(), name: field.label.clone() }).collect();
        FieldKinds::of(&Catalogue {
            templates: Some(items(&["Case (text)", "Case (steps)"])),
            template_fields: [(2, own)].into(),
            states: None,
            fields: Some(fields),
        })
    }

    fn found(cases: Value, mapping: &Mapping, kinds: &FieldKinds) -> Vec<String> {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        let batch = decode(message.to_string().as_bytes()).unwrap();
        let line = |found: Finding| format!("{} {} {}", found.rule, found.fault.pointer, found.fault.what);
        check(&batch, mapping, kinds).into_iter().map(line).collect()
    }

    #[test]
    fn a_batch_that_the_project_takes_has_no_findings() {
        let fields = json!({"Team": "payments", "custom_risk": ["High"], "automated": "yes", "Day": "1.12.2026"});
        let cases = json!([{"name": "a", "fields": fields}]);
        assert_eq!(found(cases, &Mapping::default(), &kinds()), [""; 0]);
    }

    #[test]
    fn everything_that_the_project_does_not_take_is_found_with_what_was_meant() {
        let cases = json!([
            {"name": "a", "fields": {"Taem": ["Payments"], "custom_rsik": 1, "Risk": "Hgih"}},
            {"name": "n".repeat(513), "fields": {"custom_team": ["Payments", "Logn", 9], "Automated": "maybe",
                                                 "Day": "12/01/2026"}},
            {"name": "c", "fields": {"Team": [], "Feature": "x", "a/b": 1}},
        ]);
        let mapping = Mapping { template_id: Some(2), ..Mapping::default() };
        assert_eq!(
            found(cases, &mapping, &kinds()),
            [
                "unknown-option /cases/0/fields/Risk names no option of `custom_risk`: \"Hgih\"; did you mean \"High\"?",
                "unknown-field /cases/0/fields/Taem names no field of the project; did you mean \"Team\"?",
                "unknown-field /cases/0/fields/custom_rsik names no field of the project; did you mean \"custom_risk\"?",
                "long-name /cases/1/name has 513 characters; Testmo is assumed to take 512",
                "wrong-field-value /cases/1/fields/Automated is \"maybe\", and `custom_automated` takes true or false",
                "wrong-field-value /cases/1/fields/Day is \"12/01/2026\", and `custom_day` takes a day such as 2026-11-30",
                "unknown-option /cases/1/fields/custom_team names no option of `custom_team`: \"Logn\", 9",
                "field-not-in-template /cases/2/fields/Feature fills `custom_feature`, which the template of the case does \
                 not have",
                "unknown-field /cases/2/fields/a~1b names no field of the project",
                "missing-required-field /cases/0 lacks the required field \"Team\" (`custom_team`; 2 of 3 cases)",
            ]
        );
    }

    #[test]
    fn a_required_field_that_the_mapping_fills_is_not_missing() {
        let fixed = json!({"custom_team": [1]}).as_object().unwrap().clone();
        let cases = json!([{"name": "a"}]);
        assert_eq!(found(cases.clone(), &Mapping { fixed, ..Mapping::default() }, &kinds()), [""; 0]);
        assert_eq!(found(cases, &Mapping::default(), &kinds()).len(), 1);
    }

    #[test]
    fn without_lists_only_names_are_checked() {
        let cases = json!([{"name": "n".repeat(600), "fields": {"Taem": 1, "custom_x": 1}}]);
        let found = found(cases, &Mapping::default(), &FieldKinds::default());
        assert!(matches!(&found[..], [one] if one.starts_with("long-name ")), "{found:?}");
    }
}
