//! Decides what a batch does with cases that earlier batches wrote, by its message and by the mapping of its tenant.

use super::removal::Removal;
use crate::batch::message::{Batch, Case, OnRepeat, key_by_position};
use crate::batch::render::mapping::Mapping;

/// Returns what a batch does with cases that exist. A batch that replaces another one updates them unless it says otherwise.
pub fn mode_of(batch: &Batch, mapping: &Mapping) -> OnRepeat {
    let replacing = batch.replaces.as_ref().map(|_| OnRepeat::Update);
    batch.on_repeat.or(replacing).or(mapping.on_repeat).unwrap_or_default()
}

/// Returns what a batch does with cases of its source that it does not have; `None` if nothing is to be found out about them.
pub fn removal_of(batch: &Batch, mapping: &Mapping) -> Option<Removal> {
    (mode_of(batch, mapping) == OnRepeat::Update && names_every_case(batch)).then(|| mapping.removal())
}

/// Returns whether each case of a batch can be recognized: otherwise a case of its source that it seems to lack may be one that
/// it names in another way, or one that could not be read.
fn names_every_case(batch: &Batch) -> bool {
    let is_named = |(at, case): (usize, &Case)| {
        case.faulty.is_none() && case.external_id.as_deref().is_some_and(|id| id != key_by_position(at))
    };
    batch.cases.iter().enumerate().all(is_named)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::generation::Dropped;
    use crate::batch::message::decode::decode;

    fn batch(differs: impl FnOnce(&mut Value)) -> Batch {
        let mut message = json!({"schema_version": 1, "batch_id": "b-2", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z",
            "cases": [{"external_id": "TC-1", "name": "a"}, {"external_id": "TC-2", "name": "b"}]});
        differs(&mut message);
        decode(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_batch_says_it_then_what_it_replaces_and_then_the_mapping() {
        let mapping = |on_repeat| Mapping { on_repeat, ..Mapping::default() };
        for (on_repeat, replaces, mapped, expected) in [
            (None, None, None, OnRepeat::Create),
            (None, None, Some(OnRepeat::Wait), OnRepeat::Wait),
            (None, Some("b-1"), Some(OnRepeat::Create), OnRepeat::Update),
            (None, Some("b-1"), None, OnRepeat::Update),
            (Some("skip"), Some("b-1"), Some(OnRepeat::Wait), OnRepeat::Skip),
            (Some("create"), None, Some(OnRepeat::Update), OnRepeat::Create),
        ] {
            let batch = batch(|message| {
                message["on_repeat"] = json!(on_repeat);
                message["replaces"] = json!(replaces);
            });
            assert_eq!(mode_of(&batch, &mapping(mapped)), expected, "{on_repeat:?} {replaces:?} {mapped:?}");
        }
    }

    #[test]
    fn cases_are_dropped_only_by_a_batch_that_updates_and_names_every_case() {
        let mapping = Mapping { dropped: Dropped::Delete, ..Mapping::default() };
        let removal = |differs: fn(&mut Value)| {
            let update = |message: &mut Value| {
                message["on_repeat"] = json!("update");
                differs(message);
            };
            removal_of(&batch(update), &mapping)
        };
        assert_eq!(removal(|_| ()), Some(Removal::Delete));
        let others: [fn(&mut Value); 4] = [
            |message| message["on_repeat"] = json!("skip"),
            |message| drop(message["cases"][1].as_object_mut().unwrap().remove("external_id")),
            |message| message["cases"][1]["external_id"] = json!("#2"),
            |message| message["cases"][1]["tags"] = json!(7),
        ];
        for differs in others {
            assert_eq!(removal(differs), None);
        }
        assert_eq!(removal_of(&batch(|_| ()), &mapping), None, "it creates");
    }
}
