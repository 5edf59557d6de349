//! Decides which parts of a case are not sent to Testmo, and why.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::RenderedCase;
use super::mapping::Mapping;
use super::provenance::{Origin, Supplier};
use super::tag::sent_as;
use crate::batch::message::fingerprint::is_batch_tag;
use crate::batch::message::text::excerpt;
use crate::batch::message::{Case, Script};

/// The most characters of what an event shows of a part.
const LONGEST_TEXT: usize = 60;

/// A part of a case that is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The key of the part in the message, such as `issues` or `fields.custom_risk`; longer ones are cut.
    pub what: String,
    /// Which values of the part were left out, at most 60 characters; absent if it is the whole part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The reason for leaving the part out, as a text for people.
    pub why: &'static str,
}

/// Returns what is not sent of a case, for an event about it.
pub fn left_out(case: &Case, mapping: &Mapping, sent: &RenderedCase) -> Vec<LeftOut> {
    let mut found = tags(case, mapping);
    found.extend(parts(case, mapping, sent));
    found.iter_mut().for_each(|one| one.what = excerpt(&one.what, LONGEST_TEXT));
    found
}

/// Returns the tags of a case that are not sent in any form.
fn tags(case: &Case, mapping: &Mapping) -> Vec<LeftOut> {
    let of = |is_meant: &dyn Fn(Option<String>) -> bool, why| {
        let values: Vec<&str> =
            case.tags.iter().map(String::as_str).filter(|text| is_meant(sent_as(text, mapping))).collect();
        let value = Some(excerpt(&values.join(", "), LONGEST_TEXT));
        (!values.is_empty()).then(|| LeftOut { what: "tags".into(), value, why })
    };
    let empty =
        of(&|tag| tag.is_none(), "no tag of Testmo can have the same meaning: name one in the mapping's rename_tags");
    let batch_tags = of(&|tag| tag.is_some_and(|tag| is_batch_tag(&tag)), "it has the form of a batch tag");
    empty.into_iter().chain(batch_tags).collect()
}

/// Returns the parts of a case, other than tags, that are not sent.
pub(super) fn parts(case: &Case, mapping: &Mapping, sent: &RenderedCase) -> Vec<LeftOut> {
    let no_column = "the mapping names no column for it";
    let is_placed = sent.provenance.origin("template_id") == Some(Origin::all(Supplier::Defaults));
    let nowhere = mapping.gherkin.is_none() && mapping.description.is_none() && !is_placed;
    let meant = mapping.priority.as_ref().map(|p| case.priority.as_ref().and_then(|name| name.meant_by(&p.words)));
    let option = mapping.priority.as_ref().zip(meant).map(|(p, name)| name.is_some_and(|n| p.values.contains_key(&n)));
    let parts = [
        ("description", case.description.is_some() && mapping.description.is_none(), no_column),
        ("preconditions", case.preconditions.is_some() && mapping.preconditions.is_none(), no_column),
        ("steps", matches!(case.script, Script::Steps(_)) && mapping.steps.is_none(), no_column),
        ("gherkin", matches!(case.script, Script::Gherkin(_)) && nowhere, no_column),
        ("priority", case.priority.is_some() && option.is_none(), no_column),
        ("priority", case.priority.is_some() && meant == Some(None), "it is not a known word for a priority"),
        ("priority", meant.flatten().is_some() && option == Some(false), "the mapping has no option for it"),
        ("expected", case.expected.is_some() && mapping.expected.is_none(), no_column),
        ("issues", !case.issues.is_empty() && mapping.integration_id.is_none(), "the mapping names no integration_id"),
        (
            "estimate_seconds",
            case.estimate_seconds.is_some() && !mapping.estimate,
            "the mapping does not set estimate to true",
        ),
    ];
    let parts = parts.into_iter().filter(|(_, is_left_out, _)| *is_left_out);
    let parts = parts.map(|(what, _, why)| LeftOut { what: what.into(), value: None, why });
    let fields = own_fields(case, sent).into_iter();
    parts.chain(fields.map(|(key, why)| LeftOut { what: format!("fields.{key}"), value: None, why })).collect()
}

/// Returns the fields of a case that are not sent, or that somebody else sets to another value.
fn own_fields<'a>(case: &'a Case, sent: &RenderedCase) -> Vec<(&'a str, &'static str)> {
    let provenance = &sent.provenance;
    let is_own = |column: &str| provenance.origin(column) == Some(Origin::all(Supplier::Case));
    let names: Vec<_> = case.fields.iter().map(|(key, value)| (key, value, provenance.column_of(key))).collect();
    // Of several keys for one field, the column counts, or else the first label.
    let first_of = |column: &str| names.iter().find(|(key, _, of)| *of == Some(column) && *key == column);
    let is_first = |key: &str, column: &str| {
        let first = first_of(column).or_else(|| names.iter().find(|(_, _, of)| *of == Some(column)));
        first.is_some_and(|(first, ..)| *first == key)
    };
    let mut entry: Option<Map<String, Value>> = None;
    let mut left_out = Vec::new();
    for (key, value, column) in &names {
        let why = match column {
            None => "no field of the project is known by this label",
            Some(column) if !is_first(key, column) => "the case names the same field by another key",
            Some(column) if is_own(column) => continue,
            Some(column) => {
                let entry = entry.get_or_insert_with(|| serde_json::from_str(&sent.entry).unwrap_or_default());
                if entry.get(*column) == Some(*value) {
                    continue;
                }
                "the mapping sets this column and takes precedence"
            }
        };
        left_out.push((key.as_str(), why));
    }
    left_out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::batch::render::kinds::FieldKinds;
    use crate::batch::render::render;

    fn parts(case: Value, mapping: &Mapping) -> Vec<String> {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "K"}, "cases": [case]});
        let batch = decode(message.to_string().as_bytes()).unwrap();
        let found = left_out(&batch.cases[0], mapping, &render(&batch, mapping, &FieldKinds::default())[0]);
        found.iter().map(|one| format!("{} {}", one.what, one.value.as_deref().unwrap_or("-"))).collect()
    }

    #[test]
    fn what_the_mapping_does_not_send_is_named_and_nothing_else() {
        let case = json!({"name": "Pay", "description": "d", "preconditions": "p", "priority": "low",
            "steps": [{"action": "a"}], "tags": ["ok", "→", "☃", "SQAI 0123456789ab"], "issues": ["SHOP-1"],
            "estimate_seconds": 60, "fields": {"custom_risk": 3, "custom_own": 1}});
        let everything = Mapping { integration_id: Some(1), estimate: true, ..Mapping::default() };
        assert_eq!(parts(case.clone(), &everything), ["tags →, ☃", "tags SQAI 0123456789ab"]);
        let fixed = json!({"custom_risk": 4, "custom_type": 1}).as_object().unwrap().clone();
        let nothing = Mapping {
            description: None,
            preconditions: None,
            steps: None,
            priority: None,
            fixed,
            ..Mapping::default()
        };
        let all = ["tags →, ☃", "tags SQAI 0123456789ab", "description -", "preconditions -", "steps -", "priority -"];
        let rest = ["issues -", "estimate_seconds -", "fields.custom_risk -"];
        assert_eq!(parts(case, &nothing), [&all[..], &rest[..]].concat());
    }

    #[test]
    fn a_field_of_its_own_is_overridden_by_whatever_fills_its_column() {
        let mapping = Mapping { description: Some("custom_text".into()), ..Mapping::default() };
        let case = |value: &str| json!({"name": "Pay", "fields": {"custom_text": value}});
        // The note of the source goes into the description.
        assert_eq!(parts(case("own"), &mapping), ["fields.custom_text -"]);
        let without_note = Mapping { origin_note: false, ..mapping };
        assert_eq!(parts(case("own"), &without_note), [""; 0]);
    }

    #[test]
    fn gherkin_that_goes_into_the_description_is_not_left_out() {
        let case = json!({"name": "Pay", "gherkin": "Feature: x"});
        assert_eq!(parts(case.clone(), &Mapping::default()), [""; 0]);
        assert_eq!(parts(case, &Mapping { description: None, ..Mapping::default() }), ["gherkin -"]);
    }
}
