//! Decides who has to act on the fields that Testmo refused: the generator, for its case, or the tenant, for the
//! connection.
//!
//! Only the record of who supplied a field decides, and what the same batch supplies. What else was in the request does
//! not count, so a batch has the same outcome whatever it was sent with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::batch::message::key_by_position;
use crate::batch::message::text::excerpt;
use crate::batch::render::RenderedCase;
use crate::batch::render::provenance::Supplier;
use crate::batch::verdict::answer::{FieldRefusal, Refusals};

/// How the columns of custom fields begin.
const CUSTOM: &str = "custom_";
/// What is said of a field that the project has lost.
const LOST: &str =
    "the project had this field before and no longer lists it; add it to the project again, or stop sending it";
/// The most characters of a label that is shown.
const LONGEST_LABEL: usize = 64;
/// The most characters of a list of refused fields.
const LONGEST_LIST: usize = 1_500;
/// The most characters of one refused field in such a list.
const LONGEST_FIELD: usize = 300;

/// The refused fields of a request, by who has to act and by the position of the case in the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blame {
    /// Cases that are refused for nothing but what they supply, with all of it.
    pub cases: BTreeMap<usize, Vec<FieldRefusal>>,
    /// Cases that cannot be created before the connection is corrected, with what it has to supply.
    pub connection: BTreeMap<usize, Vec<FieldRefusal>>,
    /// Columns for which the connection is at fault because its project has lost them.
    pub lost: BTreeSet<String>,
}

/// What is known of a connection whose request was refused.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of fields that Testmo has accepted over the connection before; see
    /// [`Provenance::name_of`](crate::batch::render::provenance::Provenance::name_of).
    pub accepted: Arc<BTreeSet<String>>,
    /// Columns that its project had before and does not list any more.
    pub lost: BTreeSet<String>,
}

/// Who has to act on a refused field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The generator: the case is refused.
    Case,
    /// The tenant: the connection has to be corrected.
    Connection,
}

impl Refusals {
    /// Attributes the refused fields of the cases that were sent; `None` if no such case is named.
    pub fn blame(&self, sent: &[&RenderedCase], known: &Known) -> Option<Blame> {
        let mut blame = Blame::default();
        for (index, said) in self.entries.range(..sent.len()) {
            let of_connection =
                |refused: &&FieldRefusal| party(sent[*index], &refused.field, known) == Party::Connection;
            let faults: Vec<FieldRefusal> =
                said.iter().filter(of_connection).map(|one| explained(one, known)).collect();
            blame.lost.extend(faults.iter().map(|one| &one.field).filter(|field| known.lost.contains(*field)).cloned());
            if faults.is_empty() {
                blame.cases.insert(*index, said.iter().map(|one| with_meant(one, sent[*index])).collect());
            } else {
                blame.connection.insert(*index, faults);
            }
        }
        (blame != Blame::default()).then_some(blame)
    }

    /// Returns the columns that are refused as a whole in cases that supply the value, if `is_known` says that the project
    /// had them before.
    pub fn refused_columns(
        &self,
        sent: &[&RenderedCase],
        is_known: impl Fn(&RenderedCase, &str) -> bool,
    ) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for (index, said) in self.entries.range(..sent.len()) {
            let case = sent[*index];
            let is_own = |column: &str| case.provenance.origin(column).is_some_and(|of| of.value == Supplier::Case);
            let fields = said.iter().map(|refused| &refused.field);
            let doubtful = fields.filter(|field| field.starts_with(CUSTOM) && is_own(field) && is_known(case, field));
            columns.extend(doubtful.cloned());
        }
        columns
    }
}

/// Returns a refused field with what the tenant has to know of it.
fn explained(refused: &FieldRefusal, known: &Known) -> FieldRefusal {
    let FieldRefusal { field, message } = refused;
    if !known.lost.contains(field) {
        return refused.clone();
    }
    FieldRefusal { field: field.clone(), message: format!("{LOST}: {message}") }
}

/// Returns a refused field of a case with the label that the case probably misspelt.
fn with_meant(refused: &FieldRefusal, case: &RenderedCase) -> FieldRefusal {
    let FieldRefusal { field, message } = refused;
    let Some((written, label)) = case.provenance.misspelt(field) else { return refused.clone() };
    let [written, label] = [written, label].map(|text| excerpt(text, LONGEST_LABEL));
    let meant = format!("the case names `{written}`, which is no field of the project; did you mean \"{label}\"?");
    FieldRefusal { field: field.clone(), message: format!("{meant} {message}") }
}

/// Returns whether a refused field is one tag that the case has from the mapping or the worker, even if the case supplies it
/// as well.
fn is_added_tag(case: &RenderedCase, field: &str) -> bool {
    let index = field.strip_prefix("tags.").and_then(|index| index.parse::<usize>().ok());
    let entry = || serde_json::from_str::<Value>(&case.entry).ok();
    let tag = index.and_then(|index| Some(entry()?["tags"].get(index)?.as_str()?.to_owned()));
    tag.is_some_and(|tag| case.provenance.is_added_tag(&tag))
}

/// Returns who has to act on one refused field of a case, named as in Testmo's errors; empty if only the case is named.
pub fn party(case: &RenderedCase, field: &str, known: &Known) -> Party {
    let (column, part) = field.split_once('.').unwrap_or((field, ""));
    let provenance = &case.provenance;
    match provenance.origin(column) {
        Some(_) if is_added_tag(case, field) => Party::Connection,
        Some(origin) if origin.value != Supplier::Case => Party::Connection,
        // The tenant's project has changed: the case would have been accepted before.
        Some(_) if part.is_empty() && known.lost.contains(column) => Party::Connection,
        Some(origin) if origin.field == Supplier::Case => Party::Case,
        // Somebody else chose the field for a text of the case.
        Some(_) => match part.rsplit('.').next() {
            Some("integration_id" | "connection_project_id") => Party::Connection,
            Some("") | None if !known.accepted.contains(&provenance.name_of(column)) => Party::Connection,
            Some(_) | None => Party::Case,
        },
        // The case lacks the field. Where others of its batch have it, the generator knows it.
        None if provenance.is_supplied_in_batch(column) => Party::Case,
        None if provenance.misspelt(column).is_some() => Party::Case,
        None if can_be_mapped(column) => Party::Connection,
        None => Party::Case,
    }
}

/// Returns whether a connection can be set up to fill a field that a case lacks.
fn can_be_mapped(column: &str) -> bool {
    column.starts_with(CUSTOM) || matches!(column, "template_id" | "state_id" | "tags")
}

fn of_batch(position: usize) -> String {
    format!(" (number {} of the batch)", position + 1)
}

/// Lists refused fields for people: each case by its key and its position in its batch, from 1.
pub fn listed<'a>(cases: impl IntoIterator<Item = (usize, &'a str, &'a [FieldRefusal])>) -> String {
    let mut list = String::new();
    let mut left_out = 0_usize;
    for (position, key, said) in cases {
        let fields: Vec<String> = said.iter().map(|one| excerpt(&one.to_string(), LONGEST_FIELD)).collect();
        let separator = if list.is_empty() { "" } else { "; " };
        let fields = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
        // A case without an id of its own is called by its position.
        let place = if key == key_by_position(position) { String::new() } else { of_batch(position) };
        let one = format!("{separator}case {key}{place}{fields}");
        if list.is_empty() || list.chars().count() + one.chars().count() <= LONGEST_LIST {
            list.push_str(&excerpt(&one, LONGEST_LIST));
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        list.push_str(&format!("; and {left_out} more {}", if left_out == 1 { "case" } else { "cases" }));
    }
    list
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::batch::render::catalogue::{Catalogue, Field, FieldKind};
    use crate::batch::render::kinds::FieldKinds;
    use crate::batch::render::mapping::Mapping;
    use crate::batch::render::render;

    fn rendered(cases: &Value, mapping: &Value) -> Vec<RenderedCase> {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        let mapping: Mapping = serde_json::from_value(mapping.clone()).unwrap();
        render(&decode(message.to_string().as_bytes()).unwrap(), &mapping, &FieldKinds::default())
    }

    fn refusals(entries: &[(usize, &[&str])]) -> Refusals {
        let one = |field: &&str| FieldRefusal { field: (*field).into(), message: "m".into() };
        let entries = entries.iter().map(|(index, fields)| (*index, fields.iter().map(one).collect()));
        Refusals { entries: entries.collect(), whole: vec![] }
    }

    #[test]
    fn who_supplied_a_field_has_to_act_on_it() {
        let full = json!({"name": "n", "description": "d", "preconditions": "p", "priority": "high", "tags": ["a"],
            "issues": ["S-1"], "estimate_seconds": 60, "steps": [{"action": "a"}],
            "fields": {"custom_own": 1, "custom_set": 1}});
        let mapping = json!({"template_id": 2, "state_id": 4, "integration_id": 1, "estimate": true,
            "fixed": {"custom_set": 2, "custom_fixed": 3}});
        let (case, connection) = (Party::Case, Party::Connection);
        for (field, expected) in [
            ("", case),
            ("name", case),
            ("tags", case),
            ("tags.0", case),
            ("estimate", case),
            ("custom_own", case),
            ("custom_own.0", case),
            ("custom_steps.0.text1", case),
            ("issues.0.display_id", case),
            ("odd", case),
            ("folder_id", connection),
            ("template_id", connection),
            ("state_id", connection),
            ("custom_set", connection),
            ("custom_fixed", connection),
            ("custom_fixed.0", connection),
            ("custom_priority", connection),
            ("custom_steps", connection),
            ("custom_description", connection),
            ("custom_preconditions", connection),
            ("issues", connection),
            ("issues.0.integration_id", connection),
            ("issues.0.connection_project_id", connection),
            ("custom_required", connection),
        ] {
            let cases = rendered(&json!([full]), &mapping);
            assert_eq!(party(&cases[0], field, &Known::default()), expected, "{field}");
        }
    }

    #[test]
    fn a_field_that_testmo_has_accepted_before_is_refused_for_the_text_in_it() {
        let case = json!({"name": "n", "description": "d", "priority": "high", "issues": ["S-1"]});
        let cases = rendered(&json!([case]), &json!({"template_id": 2, "integration_id": 1}));
        let accepted: BTreeSet<String> = cases[0].provenance.chosen_fields().collect();
        let known = Known { accepted: accepted.clone().into(), ..Known::default() };
        assert_eq!(accepted, ["custom_description@2", "issues@2"].map(str::to_owned).into());
        for (field, expected) in [
            ("custom_description", Party::Case),
            ("issues", Party::Case),
            ("custom_priority", Party::Connection),
            ("template_id", Party::Connection),
        ] {
            assert_eq!(party(&cases[0], field, &known), expected, "{field}");
        }
        let other = rendered(&json!([case]), &json!({"template_id": 3}));
        assert_eq!(party(&other[0], "custom_description", &known), Party::Connection, "in another template");
    }

    #[test]
    fn a_field_that_the_project_has_lost_is_the_connections_and_a_value_in_it_is_not() {
        let case = json!({"name": "n", "description": "d", "fields": {"custom_risk": 1, "custom_rsik": 1}});
        let cases = rendered(&json!([case]), &json!({"template_id": 2}));
        let sent: Vec<&RenderedCase> = cases.iter().collect();
        let all = ["custom_risk", "custom_risk.0", "custom_rsik", "custom_description", "custom_description.x", "tags"];
        let refused = refusals(&[(0, &all[..])]);
        let had = |case: &RenderedCase, column: &str| case.key == "#1" && column != "custom_rsik";
        let doubtful = refused.refused_columns(&sent, had);
        assert_eq!(doubtful, ["custom_description", "custom_risk"].map(str::to_owned).into());
        let accepted = cases[0].provenance.chosen_fields().collect::<BTreeSet<_>>();
        let known = Known { accepted: accepted.into(), lost: doubtful };
        for (field, expected) in [
            ("custom_risk", Party::Connection),
            ("custom_description", Party::Connection),
            ("custom_risk.0", Party::Case),
            ("custom_description.x", Party::Case),
            ("custom_rsik", Party::Case),
        ] {
            assert_eq!(party(&cases[0], field, &known), expected, "{field}");
        }
        let blame = refusals(&[(0, &["custom_risk", "custom_rsik"])]).blame(&sent, &known).unwrap();
        assert_eq!((blame.cases.len(), blame.lost), (0, ["custom_risk".to_owned()].into()));
        let said = &blame.connection[&0];
        assert_eq!(said.len(), 1);
        assert!(said[0].message.starts_with("the project had this field before") && said[0].message.ends_with(": m"));
    }

    #[test]
    fn a_field_that_a_case_lacks_is_the_generators_only_if_its_batch_has_the_field() {
        let with = json!({"name": "n", "priority": "critical", "tags": ["a"], "fields": {"custom_own": 1}});
        let mapping = json!({"priority": {"column": "custom_p", "values": {"low": 3}}, "batch_tag": false});
        let party_of = |cases: &Value, field: &str| party(&rendered(cases, &mapping)[0], field, &Known::default());
        let without = json!({"name": "n"});
        for field in ["custom_own", "tags"] {
            assert_eq!(party_of(&json!([without, with]), field), Party::Case, "{field}");
            assert_eq!(party_of(&json!([without]), field), Party::Connection, "{field}");
        }
        for first in [&with, &without] {
            // No case of the batch can supply what the mapping leaves out.
            assert_eq!(party_of(&json!([first, with]), "custom_p"), Party::Connection);
        }
        let alone = json!([{"name": "n", "estimate_seconds": 5, "issues": ["S-1"]}]);
        for (cases, expected) in [(&alone, Party::Connection), (&json!([without]), Party::Case)] {
            assert_eq!(party_of(cases, "estimate"), expected);
            assert_eq!(party_of(cases, "issues"), expected);
        }
    }

    #[test]
    fn a_required_field_whose_label_the_case_misspells_is_the_cases() {
        let field = Field {
            id: Some(1),
            column: "custom_severity".into(),
            label: "Severity".into(),
            options: vec![],
            required: true,
            kind: FieldKind::Plain,
        };
        let kinds = FieldKinds::of(&Catalogue { fields: Some(vec![field]), ..Catalogue::default() });
        for (key, expected) in [("Seveirty", Party::Case), ("Owner", Party::Connection)] {
            let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "n", "fields": {key: "High"}}]});
            let batch = decode(message.to_string().as_bytes()).unwrap();
            let cases = render(&batch, &Mapping::default(), &kinds);
            assert_eq!(party(&cases[0], "custom_severity", &Known::default()), expected, "{key}");
            assert_eq!(party(&cases[0], "custom_other", &Known::default()), Party::Connection);
            let blame = refusals(&[(0, &["custom_severity"])]).blame(&[&cases[0]], &Known::default()).unwrap();
            let said = blame.cases.get(&0).map(|said| said[0].message.as_str());
            let meant = "the case names `Seveirty`, which is no field of the project; did you mean \"Severity\"? m";
            assert_eq!(said, Some(meant).filter(|_| expected == Party::Case));
        }
    }

    #[test]
    fn each_tag_is_blamed_on_its_supplier() {
        let mapping = json!({"tags": ["ai-draft", "shared"]});
        let cases = rendered(&json!([{"name": "n", "tags": ["own", "shared"]}]), &mapping);
        assert!(cases[0].entry.contains(r#""tags":["own","shared","ai-draft","sqai-"#), "{}", cases[0].entry);
        for (field, expected) in [
            ("tags", Party::Case),
            ("tags.0", Party::Case),
            ("tags.1", Party::Connection),
            ("tags.2", Party::Connection),
            ("tags.3", Party::Connection),
            ("tags.9", Party::Case),
            ("tags.x", Party::Case),
        ] {
            assert_eq!(party(&cases[0], field, &Known::default()), expected, "{field}");
        }
    }

    #[test]
    fn tags_are_the_connections_where_the_case_has_none() {
        for (tags, expected) in [(json!(["smoke"]), Party::Case), (json!(["→"]), Party::Connection)] {
            let cases = rendered(&json!([{"name": "n", "tags": tags}]), &json!({}));
            assert_eq!(party(&cases[0], "tags", &Known::default()), expected);
        }
    }

    #[test]
    fn each_case_is_attributed_by_its_own_fields_whatever_else_was_sent() {
        let mistyped = json!({"name": "n", "fields": {"custom_rsik": 1}});
        let cases = rendered(&json!([mistyped, mistyped, mistyped]), &json!({"template_id": 2}));
        let sent: Vec<&RenderedCase> = cases.iter().collect();
        let all = [&["custom_rsik"][..], &["custom_rsik", "template_id"], &["tags"]];
        let refused: Vec<(usize, &[&str])> = all.into_iter().enumerate().collect();
        let blame = refusals(&refused).blame(&sent, &Known::default()).unwrap();
        assert_eq!(blame.cases, refusals(&refused[..1]).entries);
        let of_connection = refusals(&[(1, &["template_id"]), (2, &["tags"])]);
        assert_eq!(blame.connection, of_connection.entries, "all that the connection has to supply");
        assert_eq!(refusals(&[(3, &["tags"])]).blame(&sent, &Known::default()), None, "no case that was sent");
        assert_eq!(Refusals::default().blame(&sent, &Known::default()), None);
    }

    #[test]
    fn a_list_names_cases_by_key_and_number_with_all_their_fields() {
        let said = |fields: &[&str]| -> Vec<FieldRefusal> {
            fields.iter().map(|field| FieldRefusal { field: (*field).into(), message: "m".into() }).collect()
        };
        let (two, none) = (said(&["tags", "name"]), said(&[""]));
        assert_eq!(
            listed([(2, "TC-7", &two[..]), (3, "#4", &none[..])]),
            "case TC-7 (number 3 of the batch): tags: m, name: m; case #4: m"
        );
        assert_eq!(listed([(0, "TC-1", &[][..])]), "case TC-1 (number 1 of the batch)");
        let long = vec![FieldRefusal { field: "f".into(), message: "x".repeat(500) }; 50];
        let list = listed((0..1_000).map(|n| (n, "k", &long[..])));
        assert!(list.chars().count() < LONGEST_LIST + 50 && list.ends_with("; and 999 more cases"), "{list}");
    }
}
