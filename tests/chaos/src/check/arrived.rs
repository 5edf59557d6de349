//! Compares the cases of a batch with its last outcome, by their ids.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cases::{There, row};
use crate::batches::{Batch, Row};
use crate::drain::{is_terminal, revision};

/// What is in Testmo of a batch.
pub(super) struct Arrived {
    /// What is wrong with the cases that the outcome names.
    pub(super) broken: Vec<String>,
    /// Those that are as they were sent, by id.
    pub(super) arrived: BTreeMap<u64, Row>,
    /// Those that the outcome does not name.
    pub(super) surplus: BTreeMap<u64, Row>,
}

impl Arrived {
    /// Returns everything that is wrong where nothing may be there that the outcome does not name.
    pub(super) fn all_broken(self) -> Vec<String> {
        let surplus = self.surplus.keys().map(|id| format!("{id} is there, and its outcome does not name it"));
        self.broken.into_iter().chain(surplus).collect()
    }
}

/// Compares the cases that are there with those that the last outcome names.
pub(super) fn arrived(batch: &Batch, there: &There, about: &[Value]) -> anyhow::Result<Arrived> {
    let mut surplus: BTreeMap<u64, Row> = there.of_batch(batch).iter().map(|case| (case.id, row(case))).collect();
    let (mut broken, mut arrived) = (Vec::new(), BTreeMap::new());
    let Some(last) = about.iter().filter(|event| is_terminal(event)).max_by_key(|event| revision(event)) else {
        return Ok(Arrived { broken: vec!["no event tells how it ended".into()], arrived, surplus });
    };
    let told = last["data"]["cases"].as_array().map_or(&[][..], Vec::as_slice);
    for (at, wanted) in batch.arriving().zip(batch.rows()?) {
        let id = told.get(at).and_then(|case| case["testmo_id"].as_u64());
        match id.and_then(|id| Some((id, surplus.remove(&id)?))) {
            Some((id, found)) if found == wanted => drop(arrived.insert(id, wanted)),
            other => broken.push(format!("case {at} was told as {id:?}, where there is {other:?}")),
        }
    }
    Ok(Arrived { broken, arrived, surplus })
}
