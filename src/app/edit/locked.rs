//! Decides which parts of a message cannot be edited.

use serde_json::Value;

use super::difference::difference;
use crate::app::plural::counted;
use crate::batch::ledger::BatchRecord;
use crate::batch::message::Places;
use crate::batch::{Batch, BatchId, TenantId};

/// A part of a message that was edited and cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} cannot be edited: {why}")]
pub struct Locked {
    /// The place, as a JSON pointer.
    pub pointer: String,
    /// Why, and what to do instead.
    pub why: String,
}

/// What is fixed of the identity of an edited message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The tenant, as far as the message named one.
    pub(super) tenant: Option<TenantId>,
    /// The batch id, as far as the message named one.
    pub(super) batch: Option<BatchId>,
    /// Whether another batch with this id is known, so that the message needs an id of its own.
    pub(super) is_taken: bool,
}

impl Identity {
    /// Checks the identity of an edited message.
    pub(super) fn check(&self, after: &Batch) -> Result<(), Locked> {
        if let Some(tenant) = self.tenant.as_ref().filter(|tenant| **tenant != after.key.tenant) {
            let why =
                format!("the message belongs to the tenant {tenant}; publish a message of its own for another one");
            return Err(locked("/tenant_id", why));
        }
        match &self.batch {
            Some(batch) if self.is_taken && *batch == after.key.batch => {
                let why = format!(
                    "another batch with the batch_id {} was received before; write another batch_id",
                    batch.as_str()
                );
                Err(locked("/batch_id", why))
            }
            Some(batch) if !self.is_taken && *batch != after.key.batch => {
                let why = format!(
                    "the generator knows this batch as {}; publish a message of its own for another one",
                    batch.as_str()
                );
                Err(locked("/batch_id", why))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Checks that nothing of a batch was edited that is, or may be, in Testmo, or by which the generator knows it.
pub(super) fn check(
    (before, before_json): (&Batch, &Value),
    (after, after_json): (&Batch, &Value),
    record: Option<&BatchRecord>,
) -> Result<(), Locked> {
    if before.cases.len() != after.cases.len() {
        let why = format!(
            "the batch has {}, and the generator awaits an outcome for each; publish further cases in a message of their own, \
             and leave a case as it is that is not to be delivered",
            counted(before.cases.len(), "case", "cases")
        );
        return Err(locked("/cases", why));
    }
    let first_change = |pointer: &str| {
        let part = |json: &Value| json.pointer(pointer).cloned().unwrap_or_default();
        let changes = difference(&part(before_json), &part(after_json));
        changes.first().map(|change| format!("{pointer}{}", change.pointer))
    };
    for (at, (was, is)) in before.cases.iter().zip(&after.cases).enumerate() {
        let pointer = format!("/cases/{at}");
        if let Some(lock) = record.and_then(|record| record.lock_of(at)).filter(|_| was != is) {
            let place = first_change(&pointer).unwrap_or_else(|| "/format".into());
            return Err(locked(&place, format!("case #{} {}", at + 1, lock.words())));
        }
        if was.faulty.is_none() && was.key(at) != is.key(at) {
            let why = format!("case #{} is known as {}; the ids of cases and their order stay", at + 1, was.key(at));
            return Err(locked(&format!("{pointer}/external_id"), why));
        }
        if record.is_some_and(BatchRecord::awaits_late_rows) && was.name != is.name {
            let why = format!(
                "an earlier request may still create case #{} late, which is then recognized by the name",
                at + 1
            );
            return Err(locked(&format!("{pointer}/name"), why));
        }
    }
    let Some(record) = record.filter(|record| record.has_locks() || record.awaits_late_rows()) else { return Ok(()) };
    let why = |part: &str| format!("{part} while cases of the batch are, or may be, in Testmo");
    if record.has_locks() && before.source != after.source {
        let place = first_change("/source").unwrap_or_else(|| "/source".into());
        return Err(locked(&place, why("the source stays as it is")));
    }
    if record.has_locks() && before.replaces != after.replaces {
        return Err(locked("/replaces", why("the batch that is replaced stays the same one")));
    }
    if before.folder != after.folder {
        let is_path = before_json.get("folder_path") != after_json.get("folder_path");
        return Err(locked(if is_path { "/folder_path" } else { "/folder_id" }, why("the folder stays as it is")));
    }
    if Places::of(before).requested() != Places::of(after).requested() {
        let other = before.cases.iter().zip(&after.cases).position(|(was, is)| was.folder != is.folder);
        let place = format!("/cases/{}/folder_path", other.unwrap_or_default());
        return Err(locked(&place, why("the folders that the cases go to stay the same ones")));
    }
    Ok(())
}

fn locked(pointer: &str, why: String) -> Locked {
    Locked { pointer: pointer.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::batch::fingerprint;
    use crate::batch::ledger::CaseState;
    use crate::batch::message::decode::decode;

    fn message() -> Value {
        json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "generated_at": "2026-11-23T09:30:00Z",
               "source": {"key": "K"}, "folder_path": ["A"],
               "cases": [{"name": "a"}, {"name": "b", "external_id": "X"}, {"name": "c", "bad": 1}]})
    }

    fn read(json: &Value) -> Batch {
        decode(json.to_string().as_bytes()).unwrap()
    }

    fn record(states: [CaseState; 3]) -> BatchRecord {
        let batch = read(&message());
        let mut record = BatchRecord::of_batch(&batch, fingerprint(&batch));
        for (case, state) in record.cases.iter_mut().zip(states) {
            case.state = state;
        }
        record
    }

    fn refused(record: Option<&BatchRecord>, edit: impl FnOnce(&mut Value)) -> Option<String> {
        let (before, mut after) = (message(), message());
        edit(&mut after);
        check((&read(&before), &before), (&read(&after), &after), record).err().map(|locked| locked.pointer)
    }

    type Edit = fn(&mut Value);

    #[test]
    fn what_is_locked_depends_on_what_may_be_in_testmo() {
        use CaseState::{Created, Waiting};
        let edits: [(Edit, Option<&str>, Option<&str>); 15] = [
            (|m| m["generated_at"] = json!("2027-01-01T00:00:00Z"), None, None),
            (|m| m["cases"][0]["tags"] = json!(["x"]), None, Some("/cases/0/tags")),
            (|m| m["cases"][1]["tags"] = json!(["x"]), None, None),
            (|m| m["cases"][1]["name"] = json!("z"), None, None),
            (|m| m["cases"][2] = json!({"name": "c", "external_id": "Z"}), None, None),
            (|m| m["cases"][2] = json!({"name": "c", "folder_path": ["B"]}), None, Some("/cases/2/folder_path")),
            (|m| m["cases"][1]["external_id"] = json!("Y"), Some("/cases/1/external_id"), Some("/cases/1/external_id")),
            (|m| m["cases"][0]["external_id"] = json!("Y"), Some("/cases/0/external_id"), Some("/cases/0/external_id")),
            (|m| drop(m["cases"].as_array_mut().unwrap().pop()), Some("/cases"), Some("/cases")),
            (|m| m["cases"].as_array_mut().unwrap().push(json!({"name": "d"})), Some("/cases"), Some("/cases")),
            (|m| m["cases"].as_array_mut().unwrap().swap(0, 1), Some("/cases/0/external_id"), Some("/cases/0/name")),
            (|m| m["format"] = json!("markdown"), None, Some("/format")),
            (|m| m["source"]["key"] = json!("L"), None, Some("/source/key")),
            (|m| m["folder_path"] = json!(["B"]), None, Some("/folder_path")),
            (|m| m["cases"][1]["folder_path"] = json!(["B"]), None, Some("/cases/1/folder_path")),
        ];
        let open = record([Waiting, Waiting, Waiting]);
        let in_part = record([Created(5), Waiting, Waiting]);
        for (edit, if_open, if_in_part) in edits {
            let said = || {
                let mut after = message();
                edit(&mut after);
                after.to_string()
            };
            assert_eq!(refused(None, edit).as_deref(), if_open, "not recorded: {}", said());
            assert_eq!(refused(Some(&open), edit).as_deref(), if_open, "open: {}", said());
            assert_eq!(refused(Some(&in_part), edit).as_deref(), if_in_part, "in part: {}", said());
        }
    }

    #[test]
    fn a_name_stays_while_rows_may_appear_late() {
        let late = BatchRecord { late_since: Some(7), ..record([const { CaseState::Waiting }; 3]) };
        assert_eq!(refused(Some(&late), |m| m["cases"][0]["name"] = json!("z")).as_deref(), Some("/cases/0/name"));
        assert_eq!(refused(Some(&late), |m| m["cases"][0]["tags"] = json!(["x"])), None);
        assert_eq!(refused(Some(&late), |m| m["folder_path"] = json!(["B"])).as_deref(), Some("/folder_path"));
    }

    #[test]
    fn the_identity_stays_unless_another_batch_has_the_id() {
        let batch = read(&message());
        let identity = |tenant: &str, batch: &str, is_taken| Identity {
            tenant: tenant.parse().ok(),
            batch: BatchId::new(batch).ok(),
            is_taken,
        };
        for (identity, pointer) in [
            (Identity::default(), None),
            (identity("acme", "b-1", false), None),
            (identity("acme", "b-2", false), Some("/batch_id")),
            (identity("birch", "b-1", false), Some("/tenant_id")),
            (identity("acme", "b-1", true), Some("/batch_id")),
            (identity("acme", "b-2", true), None),
        ] {
            assert_eq!(identity.check(&batch).err().map(|locked| locked.pointer).as_deref(), pointer, "{identity:?}");
        }
    }

    proptest! {
        /// Whatever is edited of cases, what is locked stays as it was.
        #[test]
        fn a_locked_case_is_the_same_after_every_edit_that_is_accepted(
            states in prop::array::uniform3(0..5_usize),
            edits in prop::collection::vec((0..3_usize, 0..4_usize), 0..4),
        ) {
            let all = [CaseState::Waiting, CaseState::Claimed, CaseState::Created(1), CaseState::Adopted(2), CaseState::Lost];
            let record = record(states.map(|at| all[at].clone()));
            let (before, mut after) = (message(), message());
            for (case, what) in edits {
                let case = &mut after["cases"][case];
                match what {
                    0 => case["name"] = json!("z"),
                    1 => case["tags"] = json!(["t"]),
                    2 => case["folder_path"] = json!(["Own"]),
                    _ => drop(case.as_object_mut().unwrap().shift_remove("bad")),
                }
            }
            let (was, is) = (read(&before), read(&after));
            if check((&was, &before), (&is, &after), Some(&record)).is_ok() {
                for at in (0..3).filter(|at| record.lock_of(*at).is_some()) {
                    prop_assert_eq!(&was.cases[at], &is.cases[at]);
                }
                if record.has_locks() {
                    let (was, is) = (Places::of(&was), Places::of(&is));
                    prop_assert_eq!(was.requested(), is.requested());
                }
                prop_assert_eq!(was.key, is.key);
            }
        }
    }
}
