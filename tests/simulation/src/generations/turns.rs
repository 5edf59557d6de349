//! Lets tenants move, accounts start again and people take batches back, and says what may be left to a person then.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use testmo_courier::batch::undo::UndoKind;
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::store::shelf::ShelfIdentity;
use testmo_sim::Method;
use tokio::time::{Instant, sleep_until};

use super::draw::{GenerationPlan, Turn};
use super::take_back::TakeBack;
use crate::stage::Stage;
use crate::store::tables::{ShelfRow, Tables};

/// How many cases somebody else creates in an account whose ids start again.
pub(super) const FOREIGN: u64 = 12;

/// Carries the turns out at their times, until each has come to its end; returns when the ids of accounts started again, in
/// milliseconds since 1970.
pub(super) async fn turn(stage: &Arc<Stage>, drawn: &GenerationPlan, began: Instant) -> BTreeMap<&'static str, i64> {
    let turning = drawn.turns.iter().enumerate().map(async |(person, (at, turn))| {
        sleep_until(began + *at).await;
        stage.diary.note(|| format!("{turn:?}"));
        match *turn {
            Turn::Moves { tenant, account } => stage.move_to(tenant, account),
            Turn::StartsAgain { account } => {
                start_again(stage, account);
                return Some((account, stage.diary.true_time()));
            }
            Turn::TakesBack { which, kind, deletes, crossings } => {
                let keys: Vec<BatchKey> = stage.store.at_once(|tables, _| tables.batches.keys().cloned().collect());
                let key = which.checked_rem(keys.len()).map(|at| keys[at].clone())?;
                take_back(stage, TakeBack { key, kind, deletes, crossings }, person).await;
            }
        }
        None
    });
    join_all(turning).await.into_iter().flatten().collect()
}

async fn take_back(stage: &Arc<Stage>, wanted: TakeBack, person: usize) {
    if !wanted.carry_out(stage, person as u64).await {
        stage.complain(format!("{wanted:?} does not come to its end"));
    }
}

/// Takes every batch back, of each source the latest first.
pub(super) async fn take_all_back(stage: &Arc<Stage>, drawn: &GenerationPlan, deletes: bool) {
    let mut generations: Vec<_> = drawn.generations.iter().collect();
    generations.sort_by_key(|generation| std::cmp::Reverse((generation.source, generation.number)));
    for (at, generation) in generations.into_iter().enumerate() {
        let key = drawn.key_of(generation);
        let wanted = TakeBack { key, kind: UndoKind::Undo, deletes, crossings: None };
        take_back(stage, wanted, drawn.turns.len() + at).await;
    }
}

/// Has an account lose its cases; somebody else creates some whose ids are those of lost ones.
fn start_again(stage: &Stage, account: &'static str) {
    stage.testmo.world(|world| world.station_mut(account).map(|station| station.account.forget_cases()));
    let cases: Vec<_> = (0..FOREIGN).map(|number| json!({"name": foreign(number), "folder_id": 1})).collect();
    stage.testmo.by_person(account, Method::Post, &json!({"cases": cases}));
}

/// Returns the name of a case of somebody else.
pub(super) fn foreign(number: u64) -> String {
    format!("somebody else's {number}")
}

/// Returns whether an entry waits for a person: it is unclear what is in Testmo, or it waits for such an entry.
pub(super) fn waits(tables: &Tables, row: &ShelfRow) -> bool {
    let is_unclear = |row: &ShelfRow| Reason::UNCLEAR.contains(&row.content.reason);
    let waits_behind = |other: &ShelfRow| is_unclear(other) && tenant_of(other) == tenant_of(row);
    is_unclear(row) || (row.content.reason == Reason::EarlierGeneration && tables.shelf.values().any(waits_behind))
}

fn tenant_of(row: &ShelfRow) -> Option<&TenantId> {
    match &row.content.identity {
        ShelfIdentity::Batch(key, _) => Some(&key.tenant),
        ShelfIdentity::Raw(_, tenant, _) => tenant.as_ref(),
    }
}
