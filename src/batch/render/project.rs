//! Holds what a project was seen to have, by which names are resolved and cases checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Field, Item};
use super::mapping::Mapping;
use crate::batch::message::decode::is_custom_column;

/// The most fields, templates and states that are kept of a project.
pub(super) const MOST_KEPT: usize = 500;
/// The most characters of a column that is kept.
pub(super) const LONGEST_COLUMN: usize = 100;
/// The most characters of a name that is kept.
const LONGEST_NAME: usize = 200;
/// The most bytes of names that are kept of a project.
const MOST_BYTES: usize = 100_000;
/// The name of Testmo's built-in template for Gherkin, in lower case.
const BDD_TEMPLATE: &str = "case (bdd)";
/// The columns that were seen to hold Gherkin.
const BDD_COLUMNS: [&str; 2] = ["custom_feature", "custom_bdddescription"];

/// The labels, options, templates and states of a project, as a verification read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) fields: BTreeMap<String, KnownField>,
    /// The templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<KnownTemplate>,
    /// The states of cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<Item>,
    /// When they were read, in milliseconds on the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<i64>,
}

/// What is kept of a field beside its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownField {
    /// The label; empty if it is too long to be kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Whether every case has to fill it, if Testmo reports this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The options; empty if there are none, or too many to be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Item>,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTemplate {
    /// The id.
    pub id: u64,
    /// The name that people see.
    pub name: String,
    /// The columns of its fields; empty if they are not known.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub columns: BTreeSet<String>,
}

/// The template and the column of cases in Gherkin where the mapping names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GherkinPlace<'a> {
    /// The template.
    pub template: &'a KnownTemplate,
    /// The column.
    pub column: &'a str,
}

/// The columns of a project by label, by label in lower case, and by themselves; none where several fields have a label.
#[derive(Debug, Default)]
pub struct FieldNames<'a> {
    labels: HashMap<String, Option<&'a str>>,
    folded: HashMap<String, Option<&'a str>>,
    columns: HashMap<String, Option<&'a str>>,
}

impl<'a> FieldNames<'a> {
    /// Returns the column that a key of a case's fields stands for: a label that only one field has, at least apart from upper
    /// and lower case, or a column in other letters.
    pub fn column_of(&self, key: &str) -> Option<&'a str> {
        let (key, folded) = (key.trim(), key.trim().to_lowercase());
        let of = |names: &HashMap<String, Option<&'a str>>, name: &str| names.get(name).copied().flatten();
        of(&self.labels, key).or_else(|| of(&self.folded, &folded)).or_else(|| of(&self.columns, &folded))
    }
}

fn add<'a>(names: &mut HashMap<String, Option<&'a str>>, name: String, column: &'a str) {
    names.entry(name).and_modify(|known| *known = None).or_insert(Some(column));
}

/// Counts the bytes of names that may still be kept.
struct Room(usize);

impl Room {
    /// Takes room for names; returns whether there was enough.
    fn takes<'a>(&mut self, mut names: impl Iterator<Item = &'a str>) -> bool {
        let left = names.try_fold(self.0, |left, name| {
            (name.chars().count() <= LONGEST_NAME).then(|| left.checked_sub(name.len()))?
        });
        left.map(|left| self.0 = left).is_some()
    }
}

impl Project {
    /// Returns what is kept of a project's lists.
    pub fn of(there: &Catalogue) -> Self {
        let mut room = Room(MOST_BYTES);
        let listed = there.fields.as_deref().unwrap_or_default();
        let kept: Vec<&Field> = listed.iter().filter(|field| is_kept(&field.column)).take(MOST_KEPT).collect();
        let labels = kept.iter().map(|field| {
            let label =
                if room.takes([field.label.as_str()].into_iter()) { field.label.clone() } else { String::new() };
            (field.column.clone(), KnownField { label, required: field.required, options: Vec::new() })
        });
        let mut fields: BTreeMap<String, KnownField> = labels.collect();
        let templates = there.templates.iter().flatten().take(MOST_KEPT);
        let templates = templates.filter(|template| room.takes([template.name.as_str()].into_iter()));
        let template = |item: &Item| {
            let columns = there.template_fields.get(&item.id).map(|own| columns(own, &kept)).unwrap_or_default();
            KnownTemplate { id: item.id, name: item.name.clone(), columns }
        };
        let templates = templates.map(template).collect();
        let states = there.states.iter().flatten().take(MOST_KEPT);
        let states = states.filter(|state| room.takes([state.name.as_str()].into_iter())).cloned().collect();
        // Of a list that does not fit, nothing is kept, as a part of it would not show what is missing.
        for field in kept {
            if let Some(known) = fields.get_mut(&field.column)
                && room.takes(field.options.iter().map(|option| option.name.as_str()))
            {
                known.options.clone_from(&field.options);
            }
        }
        Self { fields, templates, states, read_at: None }
    }

    /// Returns what is known once the lists were read again: a list that was not read says nothing.
    pub(super) fn renewed(&self, read: Self) -> Self {
        let (templates, states) = (self.templates.clone(), self.states.clone());
        Self {
            templates: if read.templates.is_empty() { templates } else { read.templates },
            states: if read.states.is_empty() { states } else { read.states },
            ..read
        }
    }

    /// Returns the columns by what a key of a case's fields may be.
    pub fn names(&self) -> FieldNames<'_> {
        let mut names = FieldNames::default();
        for (column, field) in &self.fields {
            let label = field.label.trim();
            // A label that is too long is not known.
            if !label.is_empty() {
                add(&mut names.labels, label.to_owned(), column);
                add(&mut names.folded, label.to_lowercase(), column);
            }
            add(&mut names.columns, column.clone(), column);
        }
        names
    }

    /// Returns the column that a key of a case's fields stands for.
    pub fn column_of(&self, key: &str) -> Option<&str> {
        self.names().column_of(key)
    }

    /// Returns the template and column for cases in Gherkin: those of the built-in template, if the mapping names neither a
    /// template nor a column for Gherkin, and the template has every field that the mapping fills.
    pub fn gherkin_place(&self, mapping: &Mapping) -> Option<GherkinPlace<'_>> {
        if mapping.template_id.is_some() || mapping.gherkin_template_id.is_some() || mapping.gherkin.is_some() {
            return None;
        }
        let template = self.bdd_template()?;
        let column = self.bdd_column(template)?;
        let texts = [&mapping.preconditions, &mapping.description].into_iter().flatten();
        let mut filled = texts.chain(mapping.priority.as_ref().map(|p| &p.column)).chain(mapping.fixed.keys());
        filled.all(|column| template.columns.contains(column)).then_some(GherkinPlace { template, column })
    }

    /// Returns the column for Gherkin: the one that the mapping names, or that of the built-in template, unless the mapping
    /// fills it with another text.
    pub fn gherkin_column<'a>(&'a self, mapping: &'a Mapping) -> Option<&'a str> {
        let others = [&mapping.steps, &mapping.description, &mapping.preconditions, &mapping.expected];
        let is_free = |column: &&str| !others.into_iter().flatten().any(|other| other == column);
        let own = || self.bdd_column(self.bdd_template()?).filter(is_free);
        mapping.gherkin.as_deref().or_else(own)
    }

    /// Returns the built-in template for Gherkin, if one template has its name.
    fn bdd_template(&self) -> Option<&KnownTemplate> {
        let mut named = self.templates.iter().filter(|template| template.name.trim().to_lowercase() == BDD_TEMPLATE);
        named.next().filter(|_| named.next().is_none())
    }

    /// Returns the column for Gherkin in a template: one that was seen to hold it, or the only one that no other template
    /// has.
    fn bdd_column<'a>(&'a self, template: &'a KnownTemplate) -> Option<&'a str> {
        if let Some(known) = BDD_COLUMNS.into_iter().find(|column| template.columns.contains(*column)) {
            return Some(known);
        }
        let others = || self.templates.iter().filter(|other| other.id != template.id);
        if others().any(|other| other.columns.is_empty()) {
            return None;
        }
        let mut own = template.columns.iter().filter(|column| !others().any(|other| other.columns.contains(*column)));
        own.next().filter(|_| own.next().is_none()).map(String::as_str)
    }
}

/// Returns whether a column may be kept: it has to be one of a custom field, so that no case fills another field by a label.
pub(super) fn is_kept(column: &str) -> bool {
    is_custom_column(column) && column.len() <= LONGEST_COLUMN
}

/// Returns the columns of a template's fields, which are listed by id and label only; none if one of them is not known. An
/// id counts only with its label, since it is not recorded that both lists count alike.
fn columns(own: &[Item], fields: &[&Field]) -> BTreeSet<String> {
    let column = |item: &Item| {
        let mut labelled = fields.iter().filter(|field| field.label == item.name);
        let by_id = labelled.clone().find(|field| field.id == Some(item.id));
        by_id.or_else(|| labelled.next().filter(|_| labelled.next().is_none())).map(|field| field.column.clone())
    };
    own.iter().map(column).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::catalogue::FieldKind;
    use super::*;

    fn field(id: u64, column: &str, label: &str, options: &[&str]) -> Field {
        let options = (1..).zip(options).map(|(id, name)| Item { id, name: (*name).into() }).collect();
        let (column, label) = (column.into(), label.into());
        Field { id: Some(id), column, label, options, required: false, kind: FieldKind::Unknown }
    }

    fn catalogue() -> Catalogue {
        let fields = vec![
            field(1, "custom_priority", "Priority", &["High", "Low"]),
            field(2, "custom_description", "Description", &[]),
            field(3, "custom_preconditions", "Preconditions", &[]),
            field(5, "custom_steps", "Steps", &[]),
            field(6, "custom_feature", "Feature", &[]),
            field(7, "custom_twin_1", "Twin", &[]),
            field(8, "custom_twin_2", "twin", &[]),
            field(9, "name", "Not custom", &[]),
        ];
        let item = |id, name: &str| Item { id, name: name.into() };
        let own = |ids: &[usize]| -> Vec<Item> {
            ids.iter().map(|at| item(fields[*at].id.unwrap_or(0), &fields[*at].label)).collect()
        };
        Catalogue {
            templates: Some(vec![item(2, "Case (steps)"), item(4, "Case (BDD)")]),
            template_fields: [(2, own(&[0, 1, 2, 3])), (4, own(&[0, 1, 2, 4]))].into(),
            states: Some(vec![item(1, "Draft")]),
            fields: Some(fields),
        }
    }

    #[test]
    fn a_key_stands_for_a_column_only_if_it_means_one() {
        let project = Project::of(&catalogue());
        for (key, column) in [
            ("Priority", Some("custom_priority")),
            (" priority ", Some("custom_priority")),
            ("Custom_Steps", Some("custom_steps")),
            ("Twin", Some("custom_twin_1")),
            ("TWIN", None),
            ("Not custom", None),
            ("name", None),
            ("", None),
        ] {
            assert_eq!(project.column_of(key), column, "{key}");
        }
        assert_eq!(Project::default().column_of("Priority"), None);
    }

    #[test]
    fn the_template_for_gherkin_is_chosen_only_where_it_takes_what_is_sent() {
        let place = |there: &Catalogue, mapping: &Mapping| {
            let project = Project::of(there);
            project.gherkin_place(mapping).map(|place| (place.template.id, place.column.to_owned()))
        };
        let (there, mapping) = (catalogue(), Mapping::default());
        assert_eq!(place(&there, &mapping), Some((4, "custom_feature".into())));
        for mapping in [
            Mapping { template_id: Some(2), ..Mapping::default() },
            Mapping { gherkin_template_id: Some(2), ..Mapping::default() },
            Mapping { gherkin: Some("custom_feature".into()), ..Mapping::default() },
            Mapping { description: Some("custom_twin_1".into()), ..Mapping::default() },
            Mapping { fixed: json!({"custom_twin_1": 1}).as_object().unwrap().clone(), ..Mapping::default() },
        ] {
            assert_eq!(place(&there, &mapping), None, "{mapping:?}");
        }
        let changed = |change: fn(&mut Catalogue)| {
            let mut there = catalogue();
            change(&mut there);
            place(&there, &Mapping::default()).map(|(_, column)| column)
        };
        assert_eq!(changed(|there| there.template_fields.clear()), None);
        assert_eq!(changed(|there| there.templates = None), None);
        assert_eq!(changed(|there| there.templates.as_mut().unwrap()[0].name = "case (bdd) ".into()), None);
        let other = |there: &mut Catalogue| there.fields.as_mut().unwrap()[4].column = "custom_bdddescription".into();
        assert_eq!(changed(other).as_deref(), Some("custom_bdddescription"));
        let own = |there: &mut Catalogue| there.fields.as_mut().unwrap()[4].column = "custom_scenario".into();
        assert_eq!(changed(own).as_deref(), Some("custom_scenario"));
        let unknown = |there: &mut Catalogue| {
            there.fields.as_mut().unwrap()[4].column = "custom_scenario".into();
            there.template_fields.remove(&2);
        };
        assert_eq!(changed(unknown), None, "another template may have the field, too");
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_list_is_kept_whole_or_not_at_all() {
        let many: Vec<String> = (0..2_000).map(|n| format!("option {n} {}", "x".repeat(100))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut there = catalogue();
        let long = "l".repeat(LONGEST_NAME + 1);
        let more = [field(20, "custom_many", "Many", &many), field(21, "custom_long", &long, &["a", &long])];
        let last = field(22, "custom_last", "Last", &["a", "b"]);
        there.fields.as_mut().unwrap().extend(more.into_iter().chain([last]));
        let project = Project::of(&there);
        let kept = |column: &str| project.fields[column].options.len();
        assert_eq!(
            (kept("custom_priority"), kept("custom_many"), kept("custom_long"), kept("custom_last")),
            (2, 0, 0, 2)
        );
        assert_eq!(project.fields["custom_long"].label, "");
        assert_eq!((project.column_of(""), project.column_of(&long)), (None, None));
        assert!(serde_json::to_string(&project).unwrap().len() < 2 * MOST_BYTES);
    }

    #[test]
    fn a_list_that_was_not_read_again_is_still_known() {
        let first = Project::of(&catalogue());
        let fields_only = Project::of(&Catalogue { templates: None, states: None, ..catalogue() });
        assert_eq!(first.renewed(fields_only), first);
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Project>(&text).unwrap(), first);
        assert_eq!(serde_json::from_str::<Project>("{}").unwrap(), Project::default());
    }
}
