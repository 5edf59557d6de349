//! Checks who is blamed for what a Testmo refuses, for any mapping, connection, batches and requests: no batch waits for a
//! connection that has no fault, no case is refused for what somebody else supplied, and a batch has the same outcome
//! whatever it was packed with.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::answer::{ApiError, FieldRefusal, Refusals};
use super::blame::Known;
use super::{Verdict, after_push};
use crate::batch::message::decode::decode;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::{RenderedCase, render};

/// What a case has in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Absent,
    Right,
    Wrong,
}

/// A case as a generator makes it.
#[derive(Clone, Debug)]
struct Drawn {
    name: bool,
    tags: Part,
    description: Part,
    steps: Part,
    own: Part,
    priority: bool,
    mistyped: bool,
    removed: bool,
    required: bool,
}

/// What is wrong with the tenant's project or mapping.
#[derive(Clone, Debug, Default)]
struct Faults {
    template: bool,
    state: bool,
    fixed: bool,
    priority: bool,
    steps: bool,
    /// The field of the description is gone, in which texts were accepted before.
    description: bool,
    /// A field is gone that cases chose themselves.
    removed: bool,
    /// A field is required, which only some cases supply.
    required: bool,
}

/// How much a Testmo says of what it refuses.
#[derive(Clone, Copy, Debug)]
enum Says {
    Everything,
    FirstFieldOfEach,
    FirstCase,
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![4 => Just(Part::Absent), 4 => Just(Part::Right), 1 => Just(Part::Wrong)]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.15)
}

fn case() -> impl Strategy<Value = Drawn> {
    let flags = (rarely(), any::<bool>(), rarely(), rarely(), any::<bool>());
    (part(), part(), part(), part(), flags).prop_map(|(tags, description, steps, own, flags)| {
        let (name, priority, mistyped, removed, required) = flags;
        Drawn { name: !name, tags, description, steps, own, priority, mistyped, removed, required }
    })
}

fn faults() -> impl Strategy<Value = Faults> {
    let four = || (rarely(), rarely(), rarely(), rarely());
    (four(), four()).prop_map(|((template, state, fixed, priority), (steps, description, removed, required))| Faults {
        template,
        state,
        fixed,
        priority,
        steps,
        description,
        removed,
        required,
    })
}

fn mapping() -> impl Strategy<Value = Mapping> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(ids, fixed, own, tags)| {
        let mut mapping = Mapping { batch_tag: tags, ..Mapping::default() };
        if ids {
            (mapping.template_id, mapping.state_id) = (Some(2), Some(4));
        }
        if fixed {
            mapping.fixed = json!({"custom_fixed": 1}).as_object().cloned().unwrap_or_default();
        }
        if own {
            mapping.steps = Some("custom_own_steps".into());
        }
        mapping
    })
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![Just(Says::Everything), Just(Says::FirstFieldOfEach), Just(Says::FirstCase)]
}

impl Drawn {
    /// Returns the case of a message.
    fn message(&self, number: usize) -> Value {
        let text = |part: Part| if part == Part::Wrong { "BAD" } else { "fine" };
        let name = if self.name { "fine" } else { "BAD" };
        let mut case = json!({"name": format!("{name} {number}"), "fields": {}});
        if self.tags != Part::Absent {
            case["tags"] = json!(["smoke", if self.tags == Part::Wrong { "bad" } else { "ok" }]);
        }
        if self.description != Part::Absent {
            case["description"] = json!(text(self.description));
        }
        if self.steps != Part::Absent {
            case["steps"] = json!([{"action": text(self.steps)}]);
        }
        if self.own != Part::Absent {
            case["fields"]["custom_own"] = json!(text(self.own));
        }
        if self.priority {
            case["priority"] = json!("high");
        }
        for (is_there, column) in
            [(self.mistyped, "custom_rsik"), (self.removed, "custom_removed"), (self.required, "custom_required")]
        {
            if is_there {
                case["fields"][column] = json!(1);
            }
        }
        case
    }

    /// Returns what is refused of the case for which only its generator can act, by how the case was drawn.
    fn own_faults(&self, faults: &Faults, batch: &[Self], mapping: &Mapping) -> BTreeSet<String> {
        let steps = format!("{}.0.text1", mapping.steps.as_deref().unwrap_or_default());
        let lacks = faults.required && !self.required && batch.iter().any(|case| case.required);
        let all = [
            (!self.name, "name"),
            (self.tags == Part::Wrong, "tags"),
            (self.description == Part::Wrong && !faults.description, "custom_description"),
            (self.steps == Part::Wrong && !faults.steps, steps.as_str()),
            (self.own == Part::Wrong, "custom_own"),
            (self.mistyped, "custom_rsik"),
            (lacks, "custom_required"),
        ];
        all.into_iter().filter(|(is_fault, _)| *is_fault).map(|(_, field)| field.to_owned()).collect()
    }

    /// Returns whether something of the case is refused for which only the tenant can act.
    fn meets(&self, faults: &Faults, batch: &[Self], mapping: &Mapping) -> bool {
        let nobody_supplies = !batch.iter().any(|case| case.required);
        (faults.template && mapping.template_id.is_some())
            || (faults.state && mapping.state_id.is_some())
            || (faults.fixed && !mapping.fixed.is_empty())
            || (faults.priority && self.priority)
            || (faults.steps && self.steps != Part::Absent)
            || (faults.description && self.description != Part::Absent)
            || (faults.removed && self.removed)
            || (faults.required && nobody_supplies)
    }
}

/// Returns the fields of one entry that a Testmo with these faults refuses. It knows nothing but the entry.
fn refused(entry: &Map<String, Value>, faults: &Faults) -> Vec<String> {
    let says_bad = |value: &Value| value.to_string().to_lowercase().contains("bad");
    let mut fields = Vec::new();
    for (column, value) in entry {
        let is_unknown = match column.as_str() {
            "template_id" => faults.template,
            "state_id" => faults.state,
            "custom_fixed" => faults.fixed,
            "custom_priority" => faults.priority,
            "custom_steps" | "custom_own_steps" => faults.steps,
            "custom_description" => faults.description,
            "custom_removed" => faults.removed,
            "custom_rsik" => true,
            _ => false,
        };
        match (is_unknown, says_bad(value)) {
            (true, _) => fields.push(column.clone()),
            (false, true) if value[0].is_object() => fields.push(format!("{column}.0.text1")),
            (false, true) => fields.push(column.clone()),
            (false, false) => {}
        }
    }
    if faults.required && !entry.contains_key("custom_required") {
        fields.push("custom_required".into());
    }
    fields
}

/// Returns how a request ends.
fn answer(sent: &[&RenderedCase], faults: &Faults, says: Says) -> Result<Vec<Option<u64>>, ApiError> {
    let mut entries = BTreeMap::new();
    for (index, case) in sent.iter().enumerate() {
        let entry: Map<String, Value> = serde_json::from_str(&case.entry).unwrap();
        let mut fields = refused(&entry, faults);
        if matches!(says, Says::FirstFieldOfEach) {
            fields.truncate(1);
        }
        let is_said = !fields.is_empty() && (entries.is_empty() || !matches!(says, Says::FirstCase));
        let said = fields.into_iter().map(|field| FieldRefusal { field, message: "no".into() });
        if is_said {
            entries.insert(index, said.collect());
        }
    }
    if entries.is_empty() {
        return Ok(sent.iter().map(|_| Some(1)).collect());
    }
    Err(ApiError::Invalid(Refusals { entries, whole: vec![] }))
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Whether it waited for its connection.
    waited: bool,
    /// The refused cases, with the fields that they are refused for.
    refused: BTreeMap<usize, BTreeSet<String>>,
    created: BTreeSet<usize>,
}

/// One tenant, and what its Testmo says.
struct Scene {
    mapping: Mapping,
    faults: Faults,
    says: Says,
    batches: Vec<Vec<Drawn>>,
}

impl Scene {
    /// Returns what is wrong once the tenant has corrected what only the tenant can correct: some cases still lack a field.
    fn corrected(&self) -> Faults {
        Faults { required: self.faults.required, ..Faults::default() }
    }

    /// Returns the batches as they are sent. A corrected mapping fills a required field for batches of which no case does.
    fn rendered(&self, is_corrected: bool) -> Vec<Vec<RenderedCase>> {
        let one = |batch: &Vec<Drawn>| {
            let mut mapping = self.mapping.clone();
            if is_corrected && self.faults.required && !batch.iter().any(|case| case.required) {
                mapping.fixed.insert("custom_required".into(), json!(1));
            }
            let cases: Vec<Value> = batch.iter().enumerate().map(|(number, case)| case.message(number)).collect();
            let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
            render(&decode(message.to_string().as_bytes()).unwrap(), &mapping, &FieldKinds::default())
        };
        self.batches.iter().map(one).collect()
    }

    /// Returns what a worker knows of a connection over which every right field of these cases was accepted, before the
    /// project lost some.
    fn known(&self, batches: &[Vec<RenderedCase>], faults: &Faults) -> Known {
        let fields = batches.iter().flatten().flat_map(|case| case.provenance.chosen_fields());
        let accepted: BTreeSet<String> = fields.filter(|field| !faults.steps || !field.contains("_steps")).collect();
        let gone = [(faults.description, "custom_description"), (faults.removed, "custom_removed")];
        let lost = gone.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, column)| column.to_owned());
        Known { accepted: accepted.into(), lost: lost.collect() }
    }

    /// Sends these batches in requests of at most so many cases, as a worker does; what waits for the connection is sent
    /// once the tenant has corrected the connection.
    fn delivered(&self, which: &[usize], most: usize) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::default(); self.batches.len()];
        for (faults, is_corrected) in [(self.faults.clone(), false), (self.corrected(), true)] {
            let rendered = self.rendered(is_corrected);
            let known = self.known(&rendered, &faults);
            let mut waits = BTreeSet::new();
            loop {
                let open = which.iter().filter(|batch| !waits.contains(*batch));
                let cases = open.flat_map(|batch| (0..rendered[*batch].len()).map(|case| (*batch, case)));
                let is_left = |(batch, case): &(usize, usize)| {
                    let outcome: &Outcome = &outcomes[*batch];
                    !outcome.created.contains(case) && !outcome.refused.contains_key(case)
                };
                let request: Vec<(usize, usize)> = cases.filter(is_left).take(most).collect();
                if request.is_empty() {
                    break;
                }
                let sent: Vec<&RenderedCase> = request.iter().map(|(batch, case)| &rendered[*batch][*case]).collect();
                let verdict = after_push(&answer(&sent, &faults, self.says), &sent, &known);
                if verdict == Verdict::Created {
                    request.into_iter().for_each(|(batch, case)| outcomes[batch].created.extend([case]));
                    continue;
                }
                let Verdict::Attribute(blame) = verdict else { panic!("{verdict:?}") };
                for (at, said) in blame.cases {
                    let (batch, case) = request[at];
                    let fields = said.into_iter().map(|refused| refused.field).collect();
                    outcomes[batch].refused.insert(case, fields);
                }
                waits.extend(blame.connection.into_keys().map(|at| request[at].0));
            }
            waits.into_iter().for_each(|batch| outcomes[batch].waited = true);
        }
        outcomes
    }
}

proptest! {
    #[test]
    fn the_right_one_is_blamed_whatever_testmo_refuses(
        mapping in mapping(),
        faults in faults(),
        says in says(),
        batches in vec(vec(case(), 1..5), 1..5),
        most in 1_usize..9,
        turned in any::<bool>(),
    ) {
        let scene = Scene { mapping, faults, says, batches };
        let mut order: Vec<usize> = (0..scene.batches.len()).collect();
        if turned {
            order.reverse();
        }
        let together = scene.delivered(&order, most);
        for (at, batch) in scene.batches.iter().enumerate() {
            let outcome = &together[at];
            let meets = |case: &Drawn| case.meets(&scene.faults, batch, &scene.mapping);
            prop_assert!(!outcome.waited || batch.iter().any(meets), "waits for a connection without a fault: {outcome:?}");
            for (position, case) in batch.iter().enumerate() {
                let own = case.own_faults(&scene.faults, batch, &scene.mapping);
                let later = case.own_faults(&scene.corrected(), batch, &scene.mapping);
                let all: BTreeSet<String> = own.union(&later).cloned().collect();
                prop_assert_eq!(outcome.created.contains(&position), !outcome.refused.contains_key(&position));
                if let Some(said) = outcome.refused.get(&position) {
                    prop_assert!(!said.is_empty() && said.is_subset(&all), "refused for what others supply: {said:?}");
                }
                if meets(case) && own.is_empty() {
                    prop_assert!(outcome.waited, "the connection is at fault for {position}");
                }
            }
            let alone = scene.delivered(&[at], scene.batches.len() * 5);
            prop_assert_eq!(outcome, &alone[at], "alone it fares differently");
        }
    }
}
