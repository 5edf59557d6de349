//! Checks what replays did: nothing outside their frozen set, nothing twice, nothing while they were stopped, and each entry
//! accounted for once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::batch::replay::ItemOutcome;
use testmo_courier::store::replays::{ItemStart, ReplayId, ReplayState};
use testmo_courier::store::shelf::ShelfId;

use super::audit;
use crate::broker::Heard;
use crate::store::replays::{Item, ItemState, Note, Replay};
use crate::store::tables::Tables;

/// For how long a worker may go on with what it read before a person changed an entry, in milliseconds.
const IN_FLIGHT_MS: i64 = 20_000;

/// Returns every violation, once nothing is left to do.
pub(crate) fn check(tables: &Tables, heard: &[Heard]) -> Vec<String> {
    let mut broken = Vec::new();
    let starts = starts(tables, &mut broken);
    for (id, replay) in &tables.replays {
        let started = |place: u64| starts.contains(&(*id, place));
        let all = states(*id, replay)
            .into_iter()
            .chain(replay.items.values().filter_map(|item| fault_of(tables, replay, item, started(item.planned.place))))
            .chain(counts(replay, started));
        broken.extend(all.map(|what| format!("replay {id}: {what}")));
    }
    broken.extend(changed(tables));
    broken.extend(audit::check(tables));
    broken.extend(events(tables, &starts, heard));
    broken
}

/// Follows the journal; returns what was started, and adds what should not have been.
fn starts(tables: &Tables, broken: &mut Vec<String>) -> BTreeSet<(ReplayId, u64)> {
    let mut states: BTreeMap<ReplayId, ReplayState> = BTreeMap::new();
    let mut starts = BTreeSet::new();
    for note in &tables.journal {
        match note {
            Note::Became(id, state) => drop(states.insert(*id, *state)),
            Note::Started { start, entry, person_epoch, room } => {
                let ItemStart { replay, place, .. } = *start;
                let mut wrong = |what: &str| broken.push(format!("replay {replay} started {what}: {entry}"));
                if states.get(&replay) != Some(&ReplayState::Running) {
                    wrong("an entry although it did not run");
                }
                if !starts.insert((replay, place)) {
                    wrong("an entry twice");
                }
                if *room == 0 {
                    wrong("an entry although its part had stopped, or had as many under way as it may");
                }
                match tables.replays.get(&replay).and_then(|replay| replay.items.get(&place)) {
                    Some(item) if item.planned.entry != *entry => wrong("an entry that was not planned"),
                    Some(item) if item.planned.outcome.is_some() => wrong("an entry that was not to be tried"),
                    Some(item) if item.planned.person_epoch != *person_epoch => {
                        wrong("an entry that a person had changed since the plan");
                    }
                    Some(_) => {}
                    None => wrong("an entry that was not planned"),
                }
            }
            Note::Passed { .. } | Note::Acted { .. } | Note::Edited { .. } => {}
        }
    }
    starts
}

/// Checks the state of a replay.
fn states(id: ReplayId, replay: &Replay) -> Vec<String> {
    let says_why = replay.why.as_ref().is_some_and(|why| !why.is_empty());
    match replay.state {
        ReplayState::Running => vec!["runs still".into()],
        ReplayState::Paused | ReplayState::Cancelled if !says_why => vec![format!("{id} stopped without a reason")],
        ReplayState::Planning
        | ReplayState::Planned
        | ReplayState::Paused
        | ReplayState::Done
        | ReplayState::Cancelled => Vec::new(),
    }
}

/// Returns what is wrong with an entry of a replay.
fn fault_of(tables: &Tables, replay: &Replay, item: &Item, started: bool) -> Option<String> {
    let place = item.planned.place;
    let is_tried = item.planned.outcome.is_none();
    let is_right = match item.state {
        ItemState::Waiting => !started && is_tried && item.outcome.is_none() && replay.state != ReplayState::Done,
        // All that was started has ended by now.
        ItemState::Started => false,
        ItemState::Ended => started && item.outcome.is_some() && replay.state != ReplayState::Done,
        ItemState::Counted => item.outcome.is_some(),
    };
    if !is_right {
        return Some(format!(
            "its entry {place} is {:?} with the outcome {:?}, started: {started}",
            item.state, item.outcome
        ));
    }
    let is_untried =
        matches!(item.outcome, Some(ItemOutcome::Changed | ItemOutcome::Skipped | ItemOutcome::AlreadyInTestmo) | None);
    if !started && !is_untried {
        return Some(format!("its entry {place} was not started, and ended as {:?}", item.outcome));
    }
    let key = BatchKey { tenant: item.planned.tenant.clone()?, batch: item.planned.batch.clone()? };
    let record = tables.batch(&key).map(|stored| stored.record.state);
    let is_delivered = matches!(item.outcome, Some(ItemOutcome::Delivered | ItemOutcome::AlreadyInTestmo));
    (is_delivered && record != Some(BatchState::Delivered))
        .then(|| format!("its entry {place} counts as {:?}, and {key} is {record:?}", item.outcome))
}

/// Checks that each part has counted each of its entries once.
fn counts(replay: &Replay, started: impl Fn(u64) -> bool) -> Vec<String> {
    let of_part = |part: u32| {
        let items = replay.items.values().filter(|item| item.planned.part == part && item.planned.outcome.is_none());
        items.collect::<Vec<_>>()
    };
    let wrong = replay.parts.values().filter_map(|part| {
        let items = of_part(part.part);
        let count = |is: &dyn Fn(&Item) -> bool| items.iter().filter(|item| is(item)).count() as u64;
        let is_counted = |item: &Item| item.state == ItemState::Counted;
        let right = [
            items.len() as u64,
            count(&|item| started(item.planned.place)),
            count(&|item| started(item.planned.place) && is_counted(item)),
            count(&|item| !started(item.planned.place) && is_counted(item)),
        ];
        let stored = [part.batches, part.started, part.counted, part.passed];
        let numbers = "entries, started, counted, passed over";
        (stored != right).then(|| format!("part {} has {stored:?} {numbers}, and should have {right:?}", part.part))
    });
    wrong.collect()
}

/// Checks that what a person had changed for a while was reported so.
fn changed(tables: &Tables) -> Vec<String> {
    let mut acted: BTreeMap<ShelfId, i64> = BTreeMap::new();
    let mut before: BTreeMap<ReplayId, BTreeMap<ShelfId, i64>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for note in &tables.journal {
        match note {
            Note::Became(id, ReplayState::Planned) => drop(before.insert(*id, acted.clone())),
            Note::Acted { entry, at, .. } => drop(acted.insert(*entry, *at)),
            Note::Passed { replay, place, at } => {
                let item = tables.replays.get(replay).and_then(|replay| replay.items.get(place));
                let Some((item, before)) = item.zip(before.get(replay)) else { continue };
                let entry = &item.planned.entry;
                let since = acted.get(entry).filter(|at| before.get(entry) != Some(at));
                let is_long_ago = since.is_some_and(|since| since + IN_FLIGHT_MS < *at);
                if is_long_ago && item.outcome != Some(ItemOutcome::Changed) {
                    wrong.push(format!(
                        "replay {replay}: a person changed its entry {place}, which ended as {:?}",
                        item.outcome
                    ));
                }
            }
            Note::Became(..) | Note::Started { .. } | Note::Edited { .. } => {}
        }
    }
    wrong
}

/// Checks that an event names a replay only if that started the batch.
fn events(tables: &Tables, starts: &BTreeSet<(ReplayId, u64)>, heard: &[Heard]) -> Vec<String> {
    let wrong = heard.iter().filter_map(|event| {
        let body: Value = serde_json::from_slice(&event.body).ok()?;
        let id = ReplayId(body["data"]["replay"].as_i64()?);
        let subject = body["subject"].as_str()?.to_owned();
        let items = tables.replays.get(&id).into_iter().flat_map(|replay| replay.items.values());
        let mut of_batch = items.filter(|item| starts.contains(&(id, item.planned.place)));
        let is_named = |item: &Item| {
            let (tenant, batch) = (item.planned.tenant.as_ref(), item.planned.batch.as_ref());
            // Of some messages, the batch is not known when they are planned.
            batch.is_none() || tenant.zip(batch).is_some_and(|(tenant, batch)| format!("{tenant}/{batch}") == subject)
        };
        (!of_batch.any(is_named)).then(|| format!("an event of {subject} names replay {id}, which did not start it"))
    });
    wrong.collect()
}
