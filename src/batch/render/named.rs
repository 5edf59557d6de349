//! Resolves what the cases of a batch name in a project: fields by their labels, options by their names, and the template for
//! Gherkin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::FieldKind;
use super::kinds::{FieldKinds, ListedField};
use super::mapping::Mapping;
use super::nearest::nearest;
use super::own_fields;
use super::project::GherkinPlace;
use super::text;
use super::typed::typed;
use crate::batch::message::decode::is_custom_column;
use crate::batch::message::{Batch, Case, Script, TextFormat};

/// The most labels of a batch for which the field is sought that was probably meant.
const MOST_SOUGHT: usize = 32;

/// The labels by which the cases of a batch name fields.
#[derive(Default)]
pub(super) struct Labels<'a> {
    /// Each label with its column if that is known.
    columns: BTreeMap<&'a str, Option<&'a str>>,
    /// Labels that no field has, each with the field that was probably meant.
    meant: BTreeMap<&'a str, ListedField<'a>>,
}

impl<'a> Labels<'a> {
    /// Returns the field that was probably meant by a label that no field has.
    pub(super) fn meant_by(&self, label: &str) -> Option<ListedField<'a>> {
        self.meant.get(label).copied()
    }
}

/// Returns the labels by which the cases of a batch name fields.
pub(super) fn labels<'a>(batch: &'a Batch, kinds: &'a FieldKinds) -> Labels<'a> {
    let keys = batch.cases.iter().flat_map(|case| case.fields.keys());
    let mut keys = keys.filter(|key| !is_custom_column(key)).peekable();
    if keys.peek().is_none() {
        return Labels::default();
    }
    let (names, mut labels, mut sought) = (kinds.project().names(), Labels::default(), 0);
    for key in keys.map(String::as_str) {
        if labels.columns.contains_key(key) {
            continue;
        }
        let column = names.column_of(key);
        labels.columns.insert(key, column);
        if column.is_none() && sought < MOST_SOUGHT {
            sought += 1;
            let label = nearest(key, kinds.fields().map(|field| field.known.label.as_str()));
            let meant = label.and_then(|label| kinds.fields().find(|field| field.known.label == label));
            labels.meant.extend(meant.map(|field| (key, field)));
        }
    }
    labels
}

/// Returns the column that a key of a case's fields stands for: itself, or the one of a label, if that is known.
pub(super) fn column<'a>(key: &'a str, labels: &Labels<'a>) -> Option<&'a str> {
    if is_custom_column(key) { Some(key) } else { labels.columns.get(key).copied().flatten() }
}

/// Returns a value of a case as the field for Gherkin takes it.
pub(super) fn rendered_gherkin(value: &Value) -> Cow<'_, Value> {
    let gherkin = value.as_str().map(text::gherkin).filter(|gherkin| !gherkin.is_empty());
    gherkin.map_or(Cow::Borrowed(value), |gherkin| Cow::Owned(gherkin.into()))
}

/// Returns a value of a case as its field takes it.
pub(super) fn rendered<'a>(
    value: &'a Value,
    column: &str,
    mapping: &Mapping,
    kinds: &FieldKinds,
    format: TextFormat,
) -> Cow<'a, Value> {
    match kinds.kind(column, mapping) {
        kind @ (FieldKind::RichText | FieldKind::Steps | FieldKind::Plain | FieldKind::Unknown) => {
            own_fields::rendered(value, kind, format)
        }
        kind @ (FieldKind::Dropdown
        | FieldKind::MultiSelect
        | FieldKind::Checkbox
        | FieldKind::Date
        | FieldKind::Number
        | FieldKind::Link) => typed(value, kind, kinds.options(column)),
    }
}

/// The mapping of cases in Gherkin, with the template and the column that the worker chooses where the mapping names none.
pub(super) struct Automatic<'a> {
    /// The mapping with this choice.
    pub(super) mapping: Mapping,
    /// The default with this choice, so that the choice counts as the worker's own.
    pub(super) default: Mapping,
    place: GherkinPlace<'a>,
}

impl<'a> Automatic<'a> {
    /// Returns the mapping of cases in Gherkin, if the worker chooses their template.
    pub(super) fn of(mapping: &Mapping, kinds: &'a FieldKinds) -> Option<Self> {
        let place = kinds.project().gherkin_place(mapping)?;
        let chosen = |mapping: Mapping| Mapping {
            gherkin_template_id: Some(place.template.id),
            gherkin: Some(place.column.to_owned()),
            ..mapping
        };
        Some(Self { mapping: chosen(mapping.clone()), default: chosen(Mapping::default()), place })
    }

    /// Returns whether the chosen template takes a case: one in Gherkin, whose own fields the template has.
    pub(super) fn takes(&self, case: &Case, labels: &Labels<'_>) -> bool {
        let is_there =
            |key: &String| column(key, labels).is_none_or(|column| self.place.template.columns.contains(column));
        matches!(case.script, Script::Gherkin(_)) && case.fields.keys().all(is_there)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::batch::render::catalogue::{Catalogue, Field, Item};
    use crate::batch::render::preview::{CasePreview, preview};
    use crate::batch::render::provenance::{Origin, Supplier};

    fn kinds() -> FieldKinds {
        let item = |id, name: &str| Item { id, name: name.into() };
        let field = |(id, column, label, kind): (u64, &str, &str, FieldKind)| {
            let options =
                if kind == FieldKind::MultiSelect { vec![item(11, "Payments"), item(12, "Login")] } else { vec![] };
            Field { id: Some(id), column: column.into(), label: label.into(), options, required: false, kind }
        };
        let fields: Vec<Field> = [
            (1, "custom_priority", "Priority", FieldKind::Dropdown),
            (2, "custom_description", "Description", FieldKind::RichText),
            (3, "custom_preconditions", "Preconditions", FieldKind::RichText),
            (4, "custom_feature", "Feature", FieldKind::RichText),
            (5, "custom_team", "Team", FieldKind::MultiSelect),
            (6, "custom_extra", "Extra", FieldKind::Checkbox),
        ]
        .map(field)
        .into();
        let bdd = fields[..5].iter().map(|field| item(field.id.unwrap(), &field.label)).collect();
        FieldKinds::of(&Catalogue {
            templates: Some(vec![item(2, "Case (steps)"), item(4, "Case (BDD)")]),
            template_fields: [(4, bdd)].into(),
            states: None,
            fields: Some(fields),
        })
    }

    fn seen(mut case: Value, mapping: &Mapping) -> CasePreview {
        case["name"] = json!("a");
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "K"}, "cases": [case]});
        preview(&decode(message.to_string().as_bytes()).unwrap(), mapping, &kinds()).remove(0)
    }

    #[test]
    fn a_field_is_filled_by_its_label_and_what_cannot_be_placed_is_reported() {
        for (fields, custom, left_out) in [
            (
                json!({"Team": ["Payments"], "extra": "yes"}),
                json!({"custom_team": [11], "custom_extra": true}),
                json!([]),
            ),
            (json!({"custom_team": "login"}), json!({"custom_team": [12]}), json!([])),
            (json!({"Team": 11, "custom_team": [12]}), json!({"custom_team": [12]}), json!(["fields.Team"])),
            (json!({"TEAM": 11, "team": 12}), json!({"custom_team": [11]}), json!(["fields.team"])),
            (json!({"Taem": 11, "folder_id": 7}), json!({}), json!(["fields.Taem", "fields.folder_id"])),
        ] {
            let mapping = Mapping { origin_note: false, ..Mapping::default() };
            let seen = seen(json!({ "fields": fields }), &mapping);
            let own = seen.entry.iter().filter(|(key, _)| key.starts_with("custom_") || *key == "folder_id");
            let own: serde_json::Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
            assert_eq!(Value::Object(own), custom, "{fields}");
            let what: Value = seen.left_out.iter().map(|left| Value::from(left.what.clone())).collect();
            assert_eq!(what, left_out, "{fields}");
            for (column, _) in custom.as_object().unwrap() {
                assert_eq!(seen.sent.provenance.origin(column), Some(Origin::all(Supplier::Case)), "{fields}");
            }
        }
        let fixed = json!({"custom_team": [12]}).as_object().unwrap().clone();
        let seen = seen(json!({"fields": {"Team": "Payments"}}), &Mapping { fixed, ..Mapping::default() });
        assert_eq!(seen.entry["custom_team"], json!([12]));
        assert_eq!(seen.left_out[0].why, "the mapping sets this column and takes precedence");
    }

    #[test]
    fn gherkin_in_a_field_for_gherkin_is_written_as_the_editor_does() {
        let usual = seen(json!({"gherkin": "Feature: a < b\n  Scenario: y"}), &Mapping::default());
        let mapped = Mapping { gherkin: Some("custom_feature".into()), ..Mapping::default() };
        for (key, mapping) in [
            ("Feature", Mapping::default()),
            ("custom_feature", Mapping::default()),
            ("custom_feature", mapped),
            ("FEATURE", Mapping { template_id: Some(4), ..Mapping::default() }),
        ] {
            let own = seen(json!({"fields": {key: "Feature: a < b\n  Scenario: y"}}), &mapping);
            assert_eq!(own.entry["custom_feature"], usual.entry["custom_feature"], "{key}");
        }
        let other = Mapping { gherkin: Some("custom_extra_text".into()), ..Mapping::default() };
        let elsewhere = seen(json!({"fields": {"Feature": "Feature: a < b"}}), &other);
        assert_eq!(elsewhere.entry["custom_feature"], "<p>Feature: a &lt; b</p>");
        let blank = seen(json!({"fields": {"Feature": "  ", "Team": "Payments"}}), &Mapping::default());
        assert_eq!(blank.entry["custom_team"], json!([11]));
    }

    #[test]
    fn a_case_in_gherkin_uses_the_template_for_it_where_the_mapping_names_none() {
        let (gherkin, default) = (json!({"gherkin": "Feature: x"}), Mapping::default());
        let chosen = seen(gherkin.clone(), &default);
        assert_eq!((&chosen.entry["template_id"], chosen.left_out.as_slice()), (&json!(4), &[][..]));
        assert!(chosen.entry["custom_feature"].as_str().unwrap().contains("Feature: x"), "{:?}", chosen.entry);
        assert!(!chosen.entry["custom_description"].as_str().unwrap().contains("Feature: x"), "{:?}", chosen.entry);
        let provenance = &chosen.sent.provenance;
        assert_eq!(provenance.origin("template_id"), Some(Origin::all(Supplier::Defaults)));
        assert_eq!(provenance.origin("custom_feature"), Some(Origin::text_in(Supplier::Defaults)));
        let without = Mapping { description: None, ..Mapping::default() };
        assert_eq!(seen(gherkin.clone(), &without).left_out, []);

        let is_chosen =
            |case: &Value, mapping: &Mapping| seen(case.clone(), mapping).entry.contains_key("custom_feature");
        assert!(!is_chosen(&json!({"steps": [{"action": "a"}]}), &default));
        assert!(!is_chosen(&gherkin, &Mapping { template_id: Some(2), ..Mapping::default() }));
        assert!(is_chosen(&json!({"gherkin": "x", "fields": {"Team": 11}}), &default));
        for fields in [json!({"Extra": 1}), json!({"custom_extra": 1}), json!({"custom_unknown": 1})] {
            assert!(!is_chosen(&json!({"gherkin": "x", "fields": fields}), &default), "the template lacks {fields}");
        }
    }
}
