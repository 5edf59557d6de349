//! What a replay may start, how outcomes are noted, and how it is handed from worker to worker.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::batch::replay::ItemOutcome;
use testmo_courier::store::ledger::{Commit, RecordUpdate};
use testmo_courier::store::replays::{ItemEnd, ItemStart, PartProgress, ReplayId, ReplayState, ReplayStep};
use testmo_courier::store::shelf::{Action, OperatorAction, Shelved, ShelvedUntil, Shelving};

use crate::Subject;
pub use crate::replay_fixture::{change, running, shelve, start};
use crate::replay_fixture::{held, lease, name_of, outcomes, part_of, parts_of, start_as, step};
use crate::values::{START, fresh, shelving, target, tenant};

cases! { ($) replays_cases in replays:
    an_entry_is_started_only_as_it_was_planned,
    a_replay_is_carried_out_by_one_worker_at_a_time,
    a_worker_that_lost_a_replay_starts_nothing,
    parts_are_read_unless_their_holder_knows_them,
    each_end_of_a_batch_is_noted_once,
    what_only_waits_for_room_is_still_under_way,
    an_entry_that_vanished_is_noted,
    an_entry_whose_batch_has_ended_otherwise_ends_as_the_batch_did,
    an_entry_that_gets_a_row_of_its_own_stays_in_its_replay,
    what_a_person_does_in_between_is_noted,
    a_pause_stops_starts_and_a_resumed_replay_begins_again,
    only_what_is_as_the_holder_read_it_is_advanced,
    a_replay_that_stopped_because_of_failures_is_counted_until_it_goes_on,
    a_replay_that_ended_long_ago_is_forgotten,
}

async fn an_entry_is_started_only_as_it_was_planned(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2", "b3"]).await;
    let replay = running(f, &rows).await;
    let waiting = f.store().waiting_items(replay.0, 0, 2).await.unwrap();
    let places: Vec<_> = waiting.iter().map(|item| (item.place, item.entry)).collect();
    assert_eq!(places, [(0, rows[0].id), (1, rows[1].id)]);
    assert_eq!(waiting[0].identity, rows[0].content.identity.to_string());

    let changed = Shelved { person_epoch: 7, ..rows[0].clone() };
    assert!(!start(f, &changed, replay, 0).await, "a person changed it");
    assert!(!start(f, &rows[0], (replay.0, replay.1 + 1), 0).await, "the replay was changed");
    assert!(!start(f, &rows[0], (ReplayId(99), replay.1), 0).await, "there is no such replay");
    assert!(start(f, &rows[0], replay, 0).await);
    let row = f.store().entry(rows[0].id).await.unwrap().unwrap();
    assert_eq!((row.replay, row.person_epoch), (Some(replay.0), rows[0].person_epoch + 1));
    assert!(!start(f, &row, replay, 0).await, "it is started already");
    let part = part_of(f, "w").await;
    assert_eq!((part.batches, part.started, part.under_way(), part.left()), (3, 1, 1, 2));
    let waiting = f.store().waiting_items(replay.0, 0, 9).await.unwrap();
    assert_eq!(waiting.iter().map(|item| item.place).collect::<Vec<_>>(), [1, 2]);
    // Another replay with the same entry finds it changed.
    let other = running(f, &rows).await;
    assert!(!start(f, &row, other, 0).await, "one replay has it under way");
}

async fn a_replay_is_carried_out_by_one_worker_at_a_time(f: &dyn Subject) {
    let rows = shelve(f, &["b1"]).await;
    let (id, epoch) = running(f, &rows).await;
    let first = held(f, "w1").await;
    assert_eq!(first.iter().map(|replay| (replay.id, replay.epoch)).collect::<Vec<_>>(), [(id, epoch)]);
    assert_eq!(parts_of(&first[0])[0].account.as_deref(), Some(target().account.as_str()));
    assert!(held(f, "w2").await.is_empty(), "another worker holds it");
    f.set_time(START + 10_000).await;
    assert_eq!(held(f, "w1").await.len(), 1, "its holder goes on");
    f.set_time(START + 20_000).await;
    assert!(held(f, "w2").await.is_empty(), "the lease was renewed");
    f.set_time(START + 25_000).await;
    assert_eq!(held(f, "w2").await.len(), 1, "it is over");
    assert!(!f.store().advance(step(id, epoch, "w1")).await.unwrap(), "the first one has lost it");
    assert!(f.store().advance(step(id, epoch, "w2")).await.unwrap());
    let next = running(f, &rows).await.0;
    let all: Vec<_> = held(f, "w2").await.iter().map(|replay| replay.id).collect();
    assert_eq!(all, [id, next]);
}

async fn parts_are_read_unless_their_holder_knows_them(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let (id, epoch) = running(f, &rows).await;
    let lease = async |holder: &str, known: &[(ReplayId, i64)]| {
        f.store().lease_replays(holder, Duration::from_secs(15), 10, known).await.unwrap().remove(0).parts
    };
    let known = [(id, epoch)];
    assert!(lease("w1", &known).await.is_some(), "it is leased just now");
    assert!(lease("w1", &known).await.is_none());
    assert!(lease("w1", &[(id, epoch - 1)]).await.is_some(), "a person has changed it since");
    assert!(lease("w1", &[]).await.is_some());
    f.set_time(START + 20_000).await;
    assert!(lease("w2", &[]).await.is_some());
    f.set_time(START + 40_000).await;
    assert!(lease("w1", &known).await.is_some(), "another worker held it in between");
}

async fn a_worker_that_lost_a_replay_starts_nothing(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let replay = running(f, &rows).await;
    assert!(!start_as(f, "w1", &rows[0], replay, 0).await, "nobody holds it");
    assert_eq!(held(f, "w1").await.len(), 1);
    assert!(start_as(f, "w1", &rows[0], replay, 0).await);
    f.set_time(START + 20_000).await;
    assert_eq!(held(f, "w2").await.len(), 1, "the lease is over");
    assert!(!start_as(f, "w1", &rows[1], replay, 1).await, "another worker has taken it over");
    assert!(start_as(f, "w2", &rows[1], replay, 1).await);
    assert_eq!(parts_of(&held(f, "w2").await[0])[0].started, 2);
}

async fn each_end_of_a_batch_is_noted_once(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2", "b3", "b4"]).await;
    let replay = running(f, &rows).await;
    for (row, place) in rows.iter().zip(0..) {
        assert!(start(f, row, replay, place).await);
    }
    let leased = lease(f).await;
    assert_eq!(leased.iter().map(|row| row.replay).collect::<Vec<_>>(), [Some(replay.0); 4]);
    let record_of = async |row: &Shelved, state| {
        let stored = f.batch(&format!("acme/{}", name_of(row)).parse().unwrap()).await.unwrap().record;
        let (from_epoch, epoch) = (stored.epoch, stored.epoch + 1);
        Some(RecordUpdate { record: BatchRecord { state, epoch, ..stored }, from_epoch })
    };
    let unshelve = |row: &Shelved| Some((row.id.0, row.generation));
    let dead = |row: &Shelved, reason| {
        let detail = Some("said".to_owned());
        Some(Shelving { until: ShelvedUntil::Person, reason, detail, ..row.content.clone() })
    };
    let delivered = Commit {
        batch: record_of(&leased[0], BatchState::Delivered).await,
        unshelve: unshelve(&leased[0]),
        ..Commit::default()
    };
    let partial = Commit {
        batch: record_of(&leased[1], BatchState::Partial).await,
        shelve: dead(&leased[1], Reason::CaseRefused),
        ..Commit::default()
    };
    let failing = Some(Shelving {
        until: ShelvedUntil::After(Duration::from_secs(30)),
        reason: Reason::ServerError,
        ..leased[2].content.clone()
    });
    let parked = Commit { shelve: failing, ..Commit::default() };
    // A copy came from the broker meanwhile and was delivered.
    let overtaken = Commit { batch: record_of(&leased[3], BatchState::Delivered).await, ..Commit::default() };
    for change in [delivered, partial, parked, overtaken] {
        assert!(f.store().commit(change.into()).await.unwrap().is_done());
    }
    let expected = [
        (0, ItemOutcome::Delivered, None),
        (1, ItemOutcome::Partial, Some("case_refused".into())),
        (2, ItemOutcome::Parked, Some("server_error".into())),
        (3, ItemOutcome::Delivered, None),
    ];
    assert_eq!(outcomes(f, replay.0).await, expected);
    assert!(f.shelf().await.iter().all(|row| row.replay.is_none()), "what is on the shelf again is free");

    let mut part = part_of(f, "w").await;
    assert_eq!((part.started, part.counted), (4, 0));
    (part.counted, part.why) = (4, Some("why".into()));
    part.window.note(false);
    let counted = ReplayStep { parts: vec![part.clone()], counted: vec![0, 1, 2, 3], ..step(replay.0, replay.1, "w") };
    assert!(f.store().advance(counted).await.unwrap());
    assert_eq!(outcomes(f, replay.0).await, []);
    assert!(parts_of(&held(f, "w").await[0]).is_empty(), "the part is finished");
}

async fn what_only_waits_for_room_is_still_under_way(f: &dyn Subject) {
    let rows = shelve(f, &["b1"]).await;
    let replay = running(f, &rows).await;
    assert!(start(f, &rows[0], replay, 0).await);
    let leased = lease(f).await.remove(0);
    for reason in [Reason::Throttled, Reason::NoRoom, Reason::Paused, Reason::Unclear] {
        let until = ShelvedUntil::After(Duration::from_secs(30));
        let shelve = Some(Shelving { until, reason, ..leased.content.clone() });
        assert!(f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap().is_done());
        assert_eq!(outcomes(f, replay.0).await, [], "{reason}");
        assert_eq!(f.shelf().await[0].replay, Some(replay.0), "{reason}");
    }
    assert_eq!(f.store().end_lost_items(replay.0, 9).await.unwrap(), 0);
}

async fn an_entry_that_vanished_is_noted(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let replay = running(f, &rows).await;
    assert!(start(f, &rows[0], replay, 0).await && start(f, &rows[1], replay, 1).await);
    let leased = lease(f).await;
    // Its batch was delivered before.
    let stored = f.batch(&fresh("b2").key).await.unwrap().record;
    let from_epoch = stored.epoch;
    let mut record = BatchRecord { fingerprint: "1:other".into(), ..stored };
    record.settle(BatchState::Delivered, START);
    let batch = Some(RecordUpdate { record, from_epoch });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    let gone = Commit { unshelve: Some((leased[1].id.0, leased[1].generation)), ..Commit::default() };
    assert!(f.store().commit(gone.into()).await.unwrap().is_done());
    assert_eq!(outcomes(f, replay.0).await, [(1, ItemOutcome::AlreadyInTestmo, None)]);
    assert_eq!(f.store().end_lost_items(replay.0, 9).await.unwrap(), 0, "the other one is on the shelf");
}

async fn an_entry_whose_batch_has_ended_otherwise_ends_as_the_batch_did(f: &dyn Subject) {
    let states = [BatchState::Partial, BatchState::Failed, BatchState::Discarded];
    let rows = shelve(f, &["b1", "b2", "b3"]).await;
    let replay = running(f, &rows).await;
    for (place, row) in rows.iter().enumerate() {
        assert!(start(f, row, replay, place as u64).await);
    }
    let leased = lease(f).await;
    for (state, batch) in states.into_iter().zip(["b1", "b2", "b3"]) {
        // Of another message of the batch, so that the row is none of its copies.
        let stored = f.batch(&fresh(batch).key).await.unwrap().record;
        let from_epoch = stored.epoch;
        let mut record = BatchRecord { fingerprint: "1:other".into(), ..stored };
        record.settle(state, START);
        let batch = Some(RecordUpdate { record, from_epoch });
        assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    }
    for row in leased {
        let gone = Commit { unshelve: Some((row.id.0, row.generation)), ..Commit::default() };
        assert!(f.store().commit(gone.into()).await.unwrap().is_done());
    }
    let mut ended: Vec<ItemOutcome> = outcomes(f, replay.0).await.into_iter().map(|(_, outcome, _)| outcome).collect();
    ended.sort_unstable();
    assert_eq!(ended, [ItemOutcome::Partial, ItemOutcome::Failed, ItemOutcome::Discarded]);
}

async fn an_entry_that_gets_a_row_of_its_own_stays_in_its_replay(f: &dyn Subject) {
    use testmo_courier::store::shelf::ShelfIdentity;
    let identity = ShelfIdentity::Raw("h".into(), Some(tenant()), None);
    let raw = Shelving { identity, reason: Reason::Undeliverable, ..shelving("b1", ShelvedUntil::Person) };
    f.store().commit(Commit { shelve: Some(raw), ..Commit::default() }.into()).await.unwrap();
    let rows = f.shelf().await;
    let (replay, epoch) = running(f, &rows).await;
    held(f, "w").await;
    let item = Some(ItemStart { replay, epoch, holder: "w".into(), place: 0, part: 0, person_epoch: 0 });
    let batch = Some("acme/b1".parse().unwrap());
    let (id, generation) = (rows[0].id, rows[0].generation);
    let operator_action = Some(OperatorAction { id, generation, action: Action::Replay, batch, item });
    assert!(f.store().commit(Commit { operator_action, ..Commit::default() }.into()).await.unwrap().is_done());
    let leased = lease(f).await.remove(0);
    let until = ShelvedUntil::After(Duration::from_secs(30));
    let own = Shelving { reason: Reason::Throttled, ..shelving("b1", until) };
    let unshelve = Some((leased.id.0, leased.generation));
    f.store().commit(Commit { shelve: Some(own), unshelve, ..Commit::default() }.into()).await.unwrap();
    let own = f.shelf().await.remove(0);
    assert_eq!((own.replay, own.id == leased.id), (Some(replay), false));
    assert_eq!(f.store().end_lost_items(replay, 9).await.unwrap(), 0, "it is the same batch");
    let shelve = Some(Shelving { reason: Reason::RetriesExhausted, ..shelving("b1", ShelvedUntil::Person) });
    f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(outcomes(f, replay).await, [(0, ItemOutcome::Failed, Some("retries_exhausted".into()))]);
}

async fn what_a_person_does_in_between_is_noted(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let replay = running(f, &rows).await;
    for (row, place, action) in [(&rows[0], 0, Action::Discard), (&rows[1], 1, Action::Replay)] {
        assert!(start(f, row, replay, place).await);
        let row = f.store().entry(row.id).await.unwrap().unwrap();
        let action = OperatorAction { id: row.id, generation: row.generation, action, batch: None, item: None };
        let change = Commit { operator_action: Some(action), ..Commit::default() };
        assert!(f.store().commit(change.into()).await.unwrap().is_done());
    }
    let expected = [(0, ItemOutcome::Discarded, None), (1, ItemOutcome::Changed, None)];
    assert_eq!(outcomes(f, replay.0).await, expected);
    assert_eq!(f.shelf().await[0].replay, None);
}

async fn a_pause_stops_starts_and_a_resumed_replay_begins_again(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2", "b3"]).await;
    let (id, epoch) = running(f, &rows).await;
    assert!(start(f, &rows[0], (id, epoch), 0).await);
    let leased = lease(f).await.remove(0);
    let shelve = Some(Shelving { until: ShelvedUntil::Person, ..leased.content.clone() });
    f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    assert!(!f.store().change_replay(change(id, epoch + 1, ReplayState::Paused)).await.unwrap());
    assert!(f.store().change_replay(change(id, epoch, ReplayState::Paused)).await.unwrap());
    assert!(held(f, "w").await.is_empty());
    assert!(!start(f, &rows[1], (id, epoch), 1).await, "it is paused");
    assert!(f.store().change_replay(change(id, epoch + 1, ReplayState::Running)).await.unwrap());
    assert_eq!(outcomes(f, id).await, [], "outcomes of before are not counted again");
    let part = part_of(f, "w").await;
    assert_eq!((part.under_way(), part.left(), part.window.is_stopped(), part.why.clone()), (0, 2, false, None));
    assert_eq!(part.window.allowed(0), 1, "a canary goes first");
    assert!(start(f, &rows[1], (id, epoch + 2), 1).await);
    assert!(f.store().change_replay(change(id, epoch + 2, ReplayState::Cancelled)).await.unwrap());
    assert!(!start(f, &rows[2], (id, epoch + 2), 2).await);
    assert_eq!(f.store().entry(rows[2].id).await.unwrap().unwrap().generation, rows[2].generation, "it is untouched");
    let counts = f.store().replay_counts().await.unwrap();
    assert_eq!(counts, [(ReplayState::Cancelled, 1)]);
}

async fn only_what_is_as_the_holder_read_it_is_advanced(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let (id, epoch) = running(f, &rows).await;
    let mut part = part_of(f, "w").await;
    part.passed = 1;
    let passing = |epoch| {
        let passed = vec![ItemEnd { place: 0, outcome: ItemOutcome::Skipped, detail: Some("why".into()) }];
        ReplayStep { parts: vec![part.clone()], passed, ..step(id, epoch, "w") }
    };
    assert!(!f.store().advance(passing(epoch + 1)).await.unwrap());
    assert!(!f.store().advance(ReplayStep { holder: "x".into(), ..passing(epoch) }).await.unwrap());
    assert_eq!(part_of(f, "w").await.passed, 0);
    assert!(f.store().advance(passing(epoch)).await.unwrap());
    assert_eq!(part_of(f, "w").await.left(), 1);
    assert_eq!(f.store().waiting_items(id, 0, 9).await.unwrap().len(), 1);
    assert!(!start(f, &rows[0], (id, epoch), 0).await, "it was passed over");
    let done = ReplayStep { state: Some((ReplayState::Done, None)), ..step(id, epoch, "w") };
    assert!(f.store().advance(done.clone()).await.unwrap());
    assert!(!f.store().advance(done).await.unwrap());
    assert!(held(f, "w").await.is_empty());
    assert!(!start(f, &rows[1], (id, epoch), 1).await);
}

async fn a_replay_that_stopped_because_of_failures_is_counted_until_it_goes_on(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2"]).await;
    let (by_person, epoch) = running(f, &rows).await;
    assert!(f.store().change_replay(change(by_person, epoch, ReplayState::Paused)).await.unwrap());
    let (id, epoch) = running(f, &rows).await;
    let part = PartProgress { why: Some("1 of 1 failed again".into()), ..part_of(f, "w").await };
    assert_eq!(f.store().stopped_replays().await.unwrap(), 0);
    let state = Some((ReplayState::Paused, part.why.clone()));
    let stopped = ReplayStep { parts: vec![part], state, ..step(id, epoch, "w") };
    assert!(f.store().advance(stopped).await.unwrap());
    assert_eq!(f.store().stopped_replays().await.unwrap(), 1, "the other one was paused by a person");
    assert!(f.store().change_replay(change(id, epoch + 1, ReplayState::Running)).await.unwrap());
    assert_eq!(f.store().stopped_replays().await.unwrap(), 0);
}

async fn a_replay_that_ended_long_ago_is_forgotten(f: &dyn Subject) {
    let rows = shelve(f, &["b1", "b2", "b3"]).await;
    let (old, epoch) = running(f, &rows).await;
    assert!(f.store().change_replay(change(old, epoch, ReplayState::Cancelled)).await.unwrap());
    let (kept, _) = running(f, &rows).await;
    let hour = Duration::from_secs(3_600);
    assert_eq!(f.store().forget_replays(hour, 2).await.unwrap(), 0);
    f.set_time(START + 3_600_001).await;
    assert_eq!(f.store().forget_replays(hour, 2).await.unwrap(), 2);
    assert_eq!(f.store().forget_replays(hour, 2).await.unwrap(), 1);
    assert_eq!(f.store().forget_replays(hour, 2).await.unwrap(), 0);
    assert_eq!(f.store().replay_counts().await.unwrap(), [(ReplayState::Running, 1)]);
    assert_eq!(held(f, "w").await[0].id, kept);
}
