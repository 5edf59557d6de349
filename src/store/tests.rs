use super::ledger::{Change, Changed, Claim, Claimed, PushEnded, Revised};
use super::shelf::{Filter, Identity, Shelving, Until};
use super::*;
use crate::batch::ledger::{BatchRecord, BatchState, OpenPush, Target};
use crate::batch::{Reason, TenantId};
use crate::store::connections::{ConnectionCount, ConnectionRow, Finding, SealedKey};

struct Fixture {
    store: Store,
    clock: Clock,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::standing_at(1_000_000);
    let config = config::Store { url: format!("sqlite:{}", dir.path().join("a b.db").display()) };
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    Fixture { store, clock, _dir: dir }
}

fn connection(version: &str, verified: bool) -> ConnectionRow {
    ConnectionRow {
        tenant: tenant(),
        version: version.into(),
        origin: "https://acme.testmo.net".into(),
        key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into() },
        expires_on: Some("2027-01-01".into()),
        project: 1,
        folder: 2,
        mapping: Default::default(),
        resolved: Some(Default::default()),
        verified_version: verified.then(|| version.into()),
        verified_at: verified.then_some(1),
        checked_at: None,
        finding: Some(Finding::Fails { reason: Reason::KeyRefused, detail: "d".into() }),
        last_success_at: None,
    }
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn target() -> Target {
    Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 }
}

fn fresh(batch: &str) -> BatchRecord {
    BatchRecord::fresh(format!("acme/{batch}").parse().unwrap(), "1:f".into(), ["a".to_owned(), "b".to_owned()])
}

fn claim_of(push: &str, record: &BatchRecord) -> Claim {
    let from_epoch = record.epoch;
    let mut record = record.clone();
    let open = OpenPush { id: push.into(), connection: "v1".into(), mark: Some("sqai-x".into()), committed: false };
    let waiting: Vec<usize> = record.waiting().collect();
    record.claim(&waiting, open, &target());
    Claim {
        push: push.into(),
        tenant: tenant(),
        connection: "v1".into(),
        target: target(),
        cases: waiting.len(),
        holder: "w1".into(),
        lease: Duration::from_secs(10),
        batches: vec![Revised { record, from_epoch }],
    }
}

fn granted(claimed: &Claimed) -> bool {
    matches!(claimed, Claimed::Granted { .. })
}

fn shelving(batch: &str, until: Until) -> Shelving {
    Shelving {
        identity: Identity::Batch(format!("acme/{batch}").parse().unwrap(), "1:f".into()),
        reason: Reason::KeyRefused,
        detail: None,
        until,
        account: None,
        connection: Some("v1".into()),
        parks: 1,
        failing_since: None,
        arrived_at: 5,
        published_at: None,
        headers: [("a".to_owned(), "b".to_owned())].into(),
        body: vec![0, 255],
    }
}

#[tokio::test]
async fn a_claim_needs_a_verified_current_connection() {
    let f = fixture().await;
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v1", false)).await.unwrap();
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v2", true)).await.unwrap();
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
}

#[tokio::test]
async fn connections_are_counted_by_expiry_and_by_whether_they_may_be_used() {
    let f = fixture().await;
    assert_eq!(f.store.connection_counts().await.unwrap(), []);
    for (name, verified, expires_on) in
        [("a", true, None), ("b", true, Some("2027-01-01")), ("c", true, Some("2027-01-01")), ("d", false, None)]
    {
        let row = ConnectionRow {
            tenant: name.parse().unwrap(),
            expires_on: expires_on.map(Into::into),
            ..connection("v1", verified)
        };
        f.store.set_connection(&row).await.unwrap();
    }
    // One that was changed after it was verified.
    let changed = ConnectionRow { tenant: "e".parse().unwrap(), version: "v2".into(), ..connection("v1", true) };
    f.store.set_connection(&changed).await.unwrap();
    let mut counts = f.store.connection_counts().await.unwrap();
    counts.sort_by_key(|count| (count.expires_on.clone(), count.verified));
    let count =
        |day: Option<&str>, verified, count| ConnectionCount { expires_on: day.map(Into::into), verified, count };
    let day = Some("2027-01-01");
    assert_eq!(counts, [count(None, false, 1), count(None, true, 1), count(day, false, 1), count(day, true, 2)]);
}

#[tokio::test]
async fn of_two_claims_for_a_batch_one_is_granted_and_the_other_learns_what_is_stored() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let both = tokio::join!(f.store.claim(claim_of("p1", &fresh("b"))), f.store.claim(claim_of("p2", &fresh("b"))));
    let answers = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(answers.iter().filter(|a| granted(a)).count(), 1);
    let Claimed::Stale { stored, now } = f.store.claim(claim_of("p3", &fresh("b"))).await.unwrap() else { panic!() };
    assert_eq!(stored[0].lease_until, Some(now + 10_000));
    assert_eq!(stored[0].record.epoch, 1);
    assert_eq!(stored[0].record.first_seen_at, now);
}

#[tokio::test]
async fn a_change_that_started_from_another_epoch_changes_nothing() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    f.store.claim(claim).await.unwrap();
    record.created(&[(0, 10), (1, 11)]);
    record.state = BatchState::Delivered;
    let change = |from_epoch| Change {
        batch: Some(Revised { record: record.clone(), from_epoch }),
        ended: Some(PushEnded { push: "p1".into(), answer: "2xx", ids: Some((10, 11)) }),
        shelve: Some(shelving("b", Until::Person)),
        ..Change::default()
    };
    assert_eq!(f.store.change(change(7)).await.unwrap(), Changed::Fenced);
    assert_eq!(f.store.shelf(&Filter::default(), 9).await.unwrap().len(), 0);
    assert_eq!(f.store.change(change(1)).await.unwrap(), Changed::Done);
    assert_eq!(f.store.change(change(1)).await.unwrap(), Changed::Fenced);
    let stored = f.store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!(stored.record, BatchRecord { first_seen_at: 1_000_000, ..record });
    let held = f.store.held_ids("https://acme.testmo.net", &[9, 10, 11, 12]).await.unwrap();
    assert_eq!(held, [10, 11].into());
    assert_eq!(f.store.held_ids("https://other.testmo.net", &[10]).await.unwrap(), [].into());
}

#[tokio::test]
async fn no_claim_is_granted_while_the_gate_is_closed() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let gate = |secs| Change { gate: Some((target().account, Duration::from_secs(secs))), ..Change::default() };
    f.store.change(gate(60)).await.unwrap();
    f.store.change(gate(1)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::Gated { until: 1_060_000, .. }));
    assert_eq!(f.store.gate(&target().account).await.unwrap(), Some(Duration::from_secs(60)));
    f.clock.set(1_060_000);
    assert!(granted(&f.store.claim(claim).await.unwrap()));
}

#[tokio::test]
async fn what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.change(Change { shelve: Some(shelving("b", Until::Connection)), ..Change::default() }).await.unwrap();
    let lease = |f: &Fixture| {
        let store = f.store.clone();
        async move { store.lease_due("w", Duration::from_secs(60), 10).await.unwrap() }
    };
    assert!(lease(&f).await.is_empty());
    f.store.set_connection(&connection("v2", false)).await.unwrap();
    assert!(lease(&f).await.is_empty(), "another one, but not verified");
    f.clock.set(1_000_500);
    f.store.set_connection(&connection("v1", false)).await.unwrap();
    let works = Finding::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    f.store.note_finding(&tenant(), "v1", &works).await.unwrap();
    let leased = lease(&f).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].content.body, [0, 255]);
    assert!(lease(&f).await.is_empty(), "leased");
    f.store.release(&[(leased[0].id, leased[0].generation)]).await.unwrap();
    let again = lease(&f).await;
    let off = Change { unshelve: Some((again[0].id.0, leased[0].generation)), ..Change::default() };
    f.store.change(off).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_some(), "an outdated holder takes nothing off");
    let off = Change { unshelve: Some((again[0].id.0, again[0].generation)), ..Change::default() };
    f.store.change(off).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_waits_for_a_time_comes_back_in_order_of_arrival() {
    let f = fixture().await;
    for (batch, arrived_at) in [("late", 20), ("early", 10)] {
        let shelve = Shelving { arrived_at, ..shelving(batch, Until::After(Duration::from_secs(5))) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(1), 10).await.unwrap().is_empty());
    f.clock.set(1_005_000);
    let leased = f.store.lease_due("w", Duration::from_secs(1), 10).await.unwrap();
    let order: Vec<i64> = leased.iter().map(|s| s.content.arrived_at).collect();
    assert_eq!(order, [10, 20]);
    f.clock.set(1_006_000);
    assert_eq!(f.store.lease_due("w", Duration::from_secs(1), 1).await.unwrap()[0].content.arrived_at, 10);
}

#[tokio::test]
async fn events_are_kept_until_they_are_sent_and_stored_once() {
    let f = fixture().await;
    let event = |id: &str| crate::batch::event::Event {
        id: id.into(),
        kind: crate::batch::event::DELIVERED,
        routing_key: "k".into(),
        subject: "acme/b".into(),
        body: "{}".into(),
    };
    for _ in 0..2 {
        f.store.change(Change { events: vec![event("1"), event("2")], ..Change::default() }).await.unwrap();
    }
    let unsent = f.store.unsent(10).await.unwrap();
    assert_eq!(unsent.len(), 2);
    f.store.mark_sent(&[unsent[0].id.clone(), unsent[1].id.clone()]).await.unwrap();
    assert!(f.store.unsent(10).await.unwrap().is_empty());
    f.store.announce_event_again("2").await.unwrap();
    assert_eq!(f.store.unsent(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_requests_at_once_are_each_answered() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claims = (0..300).map(|n| f.store.claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}")))));
    let answers = futures_util::future::join_all(claims).await;
    assert!(answers.iter().all(|a| granted(a.as_ref().unwrap())));
    assert_eq!(f.store.latest_batches(Some(&tenant()), 1_000).await.unwrap().len(), 300);
}

#[tokio::test]
async fn one_bad_request_does_not_fail_its_neighbours() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.claim(claim_of("p1", &fresh("b1"))).await.unwrap();
    let same_push_again = f.store.claim(claim_of("p1", &fresh("b2")));
    let good = f.store.claim(claim_of("p3", &fresh("b3")));
    let (bad, good) = tokio::join!(same_push_again, good);
    assert!(bad.is_err());
    assert!(granted(&good.unwrap()));
}

#[tokio::test]
async fn a_store_is_opened_again_with_everything_in_it() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.close().await;
    let config = config::Store { url: format!("sqlite:{}", f._dir.path().join("a b.db").display()) };
    let again = Store::open(&config, false, f.clock.clone()).await.unwrap();
    let row = again.connection(&tenant()).await.unwrap().unwrap();
    assert!(row.is_verified());
    assert_eq!(row.finding, connection("v1", true).finding);
    let missing = config::Store { url: "sqlite:/nowhere/x.db".into() };
    assert!(matches!(Store::open(&missing, false, f.clock).await, Err(StoreError::Missing(_))));
}

#[test]
fn a_file_has_one_worker() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let first = FileLock::take(&file).unwrap();
    assert!(matches!(FileLock::take(&file), Err(StoreError::InUse(_))));
    drop(first);
    FileLock::take(&file).unwrap();
}

#[tokio::test]
async fn a_failed_connection_is_looked_at_again_when_it_is_due_and_by_one_worker_alone() {
    let f = fixture().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let fails = Finding::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    let take = async || f.store.take_rechecks(Duration::from_secs(60), 10).await.unwrap().len();
    assert_eq!(take().await, 0);
    f.clock.set(1_000_000 + 5 * 60_000);
    assert_eq!((take().await, take().await), (1, 0));
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    f.clock.set(1_000_000 + 14 * 60_000);
    assert_eq!(take().await, 0, "the pauses grow");
    f.clock.set(1_000_000 + 15 * 60_000);
    assert_eq!(take().await, 1);
    let refused = Finding::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    f.store.note_finding(&tenant(), "v1", &refused).await.unwrap();
    f.clock.set(1_000_000 + 999 * 60_000);
    assert_eq!(take().await, 0, "no call with a key that is known to be refused");
}

#[tokio::test]
async fn suspects_are_leased_one_at_a_time_and_counted() {
    let f = fixture().await;
    for hash in ["a", "b"] {
        let identity = Identity::Raw(hash.into(), None, None);
        let shelve =
            Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", Until::After(Duration::ZERO)) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(9), 10).await.unwrap().is_empty());
    let first = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(first.content.parks, 1);
    assert!(f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().is_none());
    assert_eq!(f.store.reclaim_leases().await.unwrap(), 1);
    let again = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 2));
}

#[tokio::test]
async fn a_folder_is_claimed_by_one_and_free_again_after_the_settle_time() {
    use crate::store::folders::{FolderClaim, NewFolder};
    let f = fixture().await;
    let new = NewFolder { account: "a".into(), project: 1, parent: 2, name: "n".into() };
    let claim = async |holder| f.store.claim_folder(&new, holder, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claim("w1").await, FolderClaim::Granted);
    assert_eq!(claim("w2").await, FolderClaim::Busy(Duration::from_secs(60)));
    f.store.free_folder(&new, "w1", Duration::from_secs(5)).await.unwrap();
    assert_eq!(claim("w1").await, FolderClaim::Busy(Duration::from_secs(5)));
    f.clock.set(1_005_000);
    assert_eq!(claim("w2").await, FolderClaim::Granted);
    f.store.free_folder(&new, "w1", Duration::ZERO).await.unwrap();
    assert_eq!(claim("w3").await, FolderClaim::Busy(Duration::from_secs(60)), "only its holder frees it");
    f.store.free_folder(&new, "w2", Duration::ZERO).await.unwrap();
    assert_eq!(claim("w3").await, FolderClaim::Granted);
}

#[tokio::test]
async fn a_full_store_says_so_and_changes_nothing() {
    let f = fixture().await;
    // The limit is a connection's own, so every one that the pool can have gets it.
    let mut all = Vec::new();
    for _ in 0..f.store.pool.options().get_max_connections() {
        let mut conn = f.store.pool.acquire().await.unwrap();
        sql::execute(&mut conn, "PRAGMA max_page_count = 100", vec![]).await.unwrap();
        all.push(conn);
    }
    drop(all);
    let large = Shelving { body: vec![0; 1_000_000], ..shelving("b", Until::Person) };
    let error = f.store.change(Change { shelve: Some(large), ..Change::default() }).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert!(f.store.shelf(&Filter::default(), 9).await.unwrap().is_empty());
    f.store.change(Change { shelve: Some(shelving("b", Until::Person)), ..Change::default() }).await.unwrap();
    assert_eq!(f.store.shelf(&Filter::default(), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_behind_is_noticed() {
    let f = fixture().await;
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::ZERO);
    f.store.change(Change { shelve: Some(shelving("b", Until::Person)), ..Change::default() }).await.unwrap();
    f.clock.set(1_000_000 - 60_000);
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::from_secs(60));
}

#[tokio::test]
async fn what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all() {
    use super::shelf::{ByHand, ShelfState, Wish};
    let f = fixture().await;
    let failed = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh("b1") };
    let put = Change {
        batch: Some(Revised { record: failed.clone(), from_epoch: 0 }),
        shelve: Some(Shelving { parks: 7, failing_since: Some(1), ..shelving("b1", Until::Person) }),
        ..Change::default()
    };
    assert_eq!(f.store.change(put).await.unwrap(), Changed::Done);
    let row = async || f.store.shelf(&Filter::default(), 10).await.unwrap().remove(0);
    let dead = row().await;
    let replay = |generation, from_epoch| {
        let mut record = failed.clone();
        record.reopen(None);
        let by_hand = ByHand { id: dead.id, generation, wish: Wish::Replay };
        let batch = Some(Revised { record, from_epoch });
        f.store.change(Change { batch, by_hand: Some(by_hand), ..Change::default() })
    };
    // A row that was put anew, and a record that went on, each keep the other from being changed.
    assert_eq!(replay(dead.generation + 1, 1).await.unwrap(), Changed::Fenced);
    assert_eq!(replay(dead.generation, 9).await.unwrap(), Changed::Fenced);
    assert_eq!((row().await.state, row().await.generation), (ShelfState::Dead, dead.generation));
    let stored = async || f.store.batch(&failed.key).await.unwrap().unwrap().record;
    assert_eq!(stored().await.state, BatchState::Failed);

    assert_eq!(replay(dead.generation, 1).await.unwrap(), Changed::Done);
    assert_eq!((stored().await.state, stored().await.revision), (BatchState::Open, 2));
    let leased = f.store.lease_due("w", Duration::from_secs(5), 10).await.unwrap().remove(0);
    assert_eq!((leased.state, leased.content.parks, leased.content.failing_since), (ShelfState::Parked, 0, None));
    let discard = ByHand { id: leased.id, generation: leased.generation, wish: Wish::Discard };
    let discard = || f.store.change(Change { by_hand: Some(discard), ..Change::default() });
    assert_eq!(discard().await.unwrap(), Changed::Fenced, "a worker has it in hand");
    f.clock.set(1_005_000);
    assert_eq!(discard().await.unwrap(), Changed::Done);
    assert!(f.store.shelf_ids(&Filter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_shelf_is_searched_by_batch_and_time() {
    let f = fixture().await;
    for (batch, at) in [("b1", 1_000_000), ("b2", 1_001_000)] {
        f.clock.set(at);
        let shelve = Some(shelving(batch, Until::Person));
        f.store.change(Change { shelve, ..Change::default() }).await.unwrap();
    }
    let count = async |filter: Filter| f.store.shelf_ids(&filter).await.unwrap().len();
    let batch =
        Filter { tenant: Some(tenant()), batch: Some(crate::batch::BatchId::new("b2").unwrap()), ..Filter::default() };
    assert_eq!(count(batch).await, 1);
    assert_eq!(count(Filter { since: Some(1_000_001), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { until: Some(1_001_000), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { since: Some(1_000_000), until: Some(1_001_001), ..Filter::default() }).await, 2);
}
