use super::accounts::{Heard, Known, Order, OrderedLane, Pause, Permit};
use super::ledger::{Change, Changed, Claim, Claimed, PushEnded, Revised};
use super::shelf::{Due, Filter, Identity, Shelving, Until};
use super::sql::{Bound, Columns};
use super::*;
use crate::batch::ledger::{BatchRecord, BatchState, OpenPush, Target};
use crate::batch::pace::Signal;
use crate::batch::{Reason, TenantId};
use crate::store::connections::{ConnectionCount, ConnectionRow, Finding, SealedKey};

#[allow(dead_code, reason = "these tests hurt no server")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../../tests/it/support/script.rs"]
mod script;

/// Tests that run on an SQLite file and on a PostgreSQL database.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::fixture().await).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(super::on_server().await).await })*
        }
    };
}

on_both! {
    a_claim_needs_a_verified_current_connection,
    connections_are_counted_by_expiry_and_by_whether_they_may_be_used,
    of_two_claims_for_a_batch_one_is_granted_and_the_other_learns_what_is_stored,
    a_change_that_started_from_another_epoch_changes_nothing,
    no_claim_is_granted_while_the_gate_is_closed,
    no_more_requests_are_under_way_than_the_account_bears,
    an_account_that_fails_again_and_again_is_probed_by_one,
    what_people_order_holds_until_they_order_otherwise,
    of_several_batches_in_a_claim_only_those_that_fit_are_granted,
    the_last_push_of_a_batch_is_known_by_account,
    rows_of_a_push_are_held_whichever_of_its_batches_are_found_first,
    tenants_with_something_on_the_shelf_are_known_with_what_it_waits_for,
    what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again,
    what_waits_for_a_time_comes_back_in_order_of_arrival,
    events_are_kept_until_they_are_sent_and_stored_once,
    many_requests_at_once_are_each_answered,
    one_bad_request_does_not_fail_its_neighbours,
    a_store_is_opened_again_with_everything_in_it,
    a_failed_connection_is_looked_at_again_when_it_is_due_and_by_one_worker_alone,
    a_connection_that_fails_when_it_is_entered_is_looked_at_again_unless_its_key_is_refused,
    a_testmo_that_is_not_well_says_nothing_against_a_connection_that_worked,
    a_connection_is_told_to_be_restored_once_a_case_has_arrived_and_its_failing_before_is_no_news,
    a_connection_that_nothing_waits_for_is_told_to_be_restored_at_once,
    suspects_are_leased_one_at_a_time_and_counted,
    a_folder_is_claimed_by_one_and_free_again_after_the_settle_time,
    a_clock_that_is_behind_is_noticed,
    an_event_is_its_storers_to_announce_for_a_while,
    a_suspect_that_is_given_back_was_not_tried,
    an_event_that_is_due_again_while_it_is_announced_is_announced_again,
    a_text_with_a_nul_is_stored,
    what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all,
    what_is_dead_stays_so_when_a_copy_of_it_is_parked,
    the_shelf_is_searched_by_batch_and_time,
    what_was_settled_for_long_loses_its_weight_but_is_still_known,
    pruning_goes_in_steps_and_leaves_what_is_shelved_or_unclear,
    ids_that_a_look_may_still_ask_for_are_kept,
    a_last_look_is_due_once_its_batch_has_arrived_and_until_it_was_made,
    the_history_of_a_batch_holds_its_pushes_and_what_was_told_of_it,
}

const HOUR: Duration = Duration::from_secs(3_600);

struct Fixture {
    store: Store,
    config: config::Store,
    clock: Clock,
    _dir: tempfile::TempDir,
}

/// A store in a file, whose clock stands.
async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let config = config_of(&format!("sqlite:{}", dir.path().join("a b.db").display()));
    let clock = Clock::standing_at(1_000_000);
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    Fixture { store, config, clock, _dir: dir }
}

/// A store on a server, whose clock stands. The worker's own is far behind, which must not matter.
async fn on_server() -> Fixture {
    let url = postgres::Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    let function = "CREATE FUNCTION test.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
                    AS 'SELECT to_timestamp(ms / 1000.0) FROM test.clock'";
    run(
        &url,
        &format!(
            "CREATE SCHEMA test; CREATE TABLE test.clock AS SELECT 1000000::bigint AS ms; {function}; \
             ALTER DATABASE {name} SET search_path = test, pg_catalog"
        ),
    )
    .await;
    let (config, clock) = (config_of(&url), Clock::standing_at(7));
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    Fixture { store, config, clock, _dir: tempfile::tempdir().unwrap() }
}

/// Runs statements in the database of a URL.
async fn run(url: &str, statements: &str) {
    use sqlx::Connection;
    sqlx::any::install_default_drivers();
    let mut conn = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

impl Fixture {
    async fn set_time(&self, ms: i64) {
        if self.config.is_shared() {
            let mut conn = self.store.writing().await.unwrap();
            sql::execute(&mut conn, "UPDATE test.clock SET ms = $1", vec![Bound::Int(ms)]).await.unwrap();
        } else {
            self.clock.set(ms);
        }
    }
}

fn config_of(url: &str) -> config::Store {
    let environment = [("DATABASE_URL".to_owned(), url.to_owned())].into();
    config::load(&config::Sources { files: vec![], environment }).unwrap().store
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
        account: target().account,
        ceiling: 1_000,
        holder: "w1".into(),
        lease: Duration::from_secs(10),
        batches: vec![Revised { record, from_epoch }],
    }
}

fn event(id: &str) -> crate::batch::event::Event {
    crate::batch::event::Event {
        id: id.into(),
        kind: crate::batch::event::DELIVERED,
        routing_key: "k".into(),
        subject: "acme/b".into(),
        body: "{}".into(),
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

async fn a_claim_needs_a_verified_current_connection(f: Fixture) {
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v1", false)).await.unwrap();
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v2", true)).await.unwrap();
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
}

async fn connections_are_counted_by_expiry_and_by_whether_they_may_be_used(f: Fixture) {
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

async fn of_two_claims_for_a_batch_one_is_granted_and_the_other_learns_what_is_stored(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let both = tokio::join!(f.store.claim(claim_of("p1", &fresh("b"))), f.store.claim(claim_of("p2", &fresh("b"))));
    let answers = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(answers.iter().filter(|a| granted(a)).count(), 1);
    let Claimed::Stale { stored, now } = f.store.claim(claim_of("p3", &fresh("b"))).await.unwrap() else { panic!() };
    assert_eq!(stored[0].lease_until, Some(now + 10_000));
    assert_eq!(stored[0].record.epoch, 1);
    assert_eq!(stored[0].record.first_seen_at, now);
}

async fn a_change_that_started_from_another_epoch_changes_nothing(f: Fixture) {
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
    assert_eq!(f.store.change(change(1)).await.unwrap(), Changed::Done(vec![]));
    assert_eq!(f.store.change(change(1)).await.unwrap(), Changed::Fenced);
    let stored = f.store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!(stored.record, BatchRecord { first_seen_at: 1_000_000, ..record });
    let held = f.store.held_ids("https://acme.testmo.net", &[9, 10, 11, 12]).await.unwrap();
    assert_eq!(held, [10, 11].into());
    assert_eq!(f.store.held_ids("https://other.testmo.net", &[10]).await.unwrap(), [].into());
}

fn heard(signal: Signal) -> Change {
    Change { heard: Some(Heard { account: target().account, signal, ceiling: 4 }), ..Change::default() }
}

async fn no_claim_is_granted_while_the_gate_is_closed(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for seconds in [60, 1] {
        f.store.change(heard(Signal::Throttled(Duration::from_secs(seconds)))).await.unwrap();
    }
    let claim = claim_of("p1", &fresh("b"));
    let pause = Pause { wait: Duration::from_secs(60), broken: false };
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::Wait(wait) if wait == pause));
    let permit = async || f.store.permit(&target().account, Some(&tenant()), Duration::from_secs(5)).await.unwrap();
    assert_eq!(permit().await, Permit::Wait(pause));
    f.set_time(1_060_000).await;
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    assert_eq!(permit().await, Permit::Granted);
}

async fn no_more_requests_are_under_way_than_the_account_bears(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claim = |n: u32| Claim { ceiling: 2, ..claim_of(&format!("p{n}"), &fresh(&format!("b{n}"))) };
    let answers = futures_util::future::join_all((0..5).map(|n| f.store.claim(claim(n)))).await;
    let count = |answers: &[Claimed]| answers.iter().filter(|answer| granted(answer)).count();
    let answers: Vec<Claimed> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(count(&answers), 2);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Claimed::Full { limit: 2 })).count(), 3);
    let ended = |n: usize| Some(PushEnded { push: format!("p{n}"), answer: "2xx", ids: None });
    let first = answers.iter().position(granted).unwrap();
    f.store.change(Change { ended: ended(first), ..Change::default() }).await.unwrap();
    assert!(granted(&f.store.claim(claim(10)).await.unwrap()));
    assert!(!granted(&f.store.claim(claim(11)).await.unwrap()));
    // What a worker left behind counts for as long as its lease.
    f.set_time(1_010_000).await;
    assert!(granted(&f.store.claim(claim(12)).await.unwrap()));
    // After a gate one goes first.
    f.set_time(1_100_000).await;
    f.store.change(heard(Signal::Throttled(Duration::ZERO))).await.unwrap();
    assert!(granted(&f.store.claim(claim(20)).await.unwrap()));
    assert!(matches!(f.store.claim(claim(21)).await.unwrap(), Claimed::Full { limit: 1 }));
}

async fn an_account_that_fails_again_and_again_is_probed_by_one(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for _ in 0..8 {
        f.store.change(heard(Signal::Failed)).await.unwrap();
    }
    let (account, owner) = (target().account, tenant());
    let claim = || f.store.claim(claim_of("p1", &fresh("b")));
    let permit = || f.store.permit(&account, Some(&owner), Duration::from_secs(60));
    let broken = |seconds| Pause { wait: Duration::from_secs(seconds), broken: true };
    assert!(matches!(claim().await.unwrap(), Claimed::Wait(pause) if pause == broken(5)));
    assert_eq!(permit().await.unwrap(), Permit::Wait(broken(5)));
    f.set_time(1_005_000).await;
    assert_eq!(permit().await.unwrap(), Permit::Probe);
    assert!(matches!(claim().await.unwrap(), Claimed::Wait(pause) if pause == broken(60)));
    f.store.change(heard(Signal::ProbeFailed)).await.unwrap();
    f.set_time(1_015_000).await;
    assert!(matches!(claim().await.unwrap(), Claimed::Probe));
    f.store.change(heard(Signal::Answered)).await.unwrap();
    assert!(granted(&claim().await.unwrap()));
}

async fn what_people_order_holds_until_they_order_otherwise(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let (of_tenant, of_account) = (OrderedLane::Tenant(tenant()), OrderedLane::Account(target().account));
    let order = |lane: &OrderedLane, paused, most| Order { lane: lane.clone(), paused, most };
    let claim = |n: u32| f.store.claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}"))));
    let mut now = 1_000_000;
    for lane in [&of_tenant, &of_account] {
        f.store.give_order(&order(lane, true, None)).await.unwrap();
        assert!(matches!(claim(1).await.unwrap(), Claimed::Paused));
        let permit = f.store.permit(&target().account, Some(&tenant()), Duration::from_secs(5)).await.unwrap();
        assert_eq!(permit, Permit::Paused);
        let shelve =
            Shelving { reason: Reason::Paused, account: Some(target().account), ..shelving("b", Until::After(HOUR)) };
        let late = shelve.clone();
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
        let due = async || f.store.lease_due("w", Duration::from_millis(1), &[(tenant(), 9)]).await.unwrap().len();
        assert_eq!(due().await, 0);
        f.store.give_order(&order(lane, false, None)).await.unwrap();
        assert_eq!(due().await, 1, "it is due at once");
        f.store.change(Change { shelve: Some(late), ..Change::default() }).await.unwrap();
        assert_eq!(due().await, 0);
        now += 5_000;
        f.set_time(now).await;
        assert_eq!(due().await, 1, "whoever shelved it had not heard that the pause was over");
    }
    assert_eq!(f.store.orders().await.unwrap(), []);
    f.store.give_order(&order(&of_tenant, false, Some(1))).await.unwrap();
    assert_eq!(f.store.orders().await.unwrap(), [order(&of_tenant, false, Some(1))]);
    assert!(granted(&claim(2).await.unwrap()));
    assert!(matches!(claim(3).await.unwrap(), Claimed::Full { .. }));
}

async fn of_several_batches_in_a_claim_only_those_that_fit_are_granted(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.claim(claim_of("p1", &fresh("known"))).await.unwrap();
    let parts = ["new", "known", "other"].map(|batch| claim_of("p2", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.into(), ..claim_of("p2", &fresh("new")) };
    let Claimed::Granted { stale, contested, .. } = f.store.claim(claim).await.unwrap() else { panic!() };
    assert_eq!((stale.len(), contested), (1, vec![]));
    assert_eq!(stale[0].record.key, "acme/known".parse().unwrap());
    let company = f.store.company("p2").await.unwrap();
    let batches: Vec<String> = company.waiting.iter().map(|record| record.key.to_string()).collect();
    assert_eq!((company.committed, batches), (false, vec!["acme/new".to_owned(), "acme/other".into()]));
    let ended = Some(PushEnded { push: "p2".into(), answer: "adopted", ids: Some((7, 8)) });
    f.store.change(Change { ended, ..Change::default() }).await.unwrap();
    assert!(f.store.company("p2").await.unwrap().committed);
    let Some(mut moved_on) = f.store.batch(&"acme/new".parse().unwrap()).await.unwrap().map(|s| s.record) else {
        panic!()
    };
    let from_epoch = moved_on.epoch;
    moved_on.not_created(vec![]);
    f.store
        .change(Change { batch: Some(Revised { record: moved_on, from_epoch }), ..Change::default() })
        .await
        .unwrap();
    let waiting = f.store.company("p2").await.unwrap().waiting;
    assert_eq!(waiting.iter().map(|record| record.key.to_string()).collect::<Vec<_>>(), ["acme/other"]);
}

async fn the_last_push_of_a_batch_is_known_by_account(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let (mut record, key) = (fresh("b"), "acme/b".parse().unwrap());
    for (push, at) in [("p2", 1_000_001), ("p1", 1_000_002), ("p3", 1_000_003)] {
        f.set_time(at).await;
        let claim = claim_of(push, &record);
        assert!(granted(&f.store.claim(claim.clone()).await.unwrap()));
        (record, _) = (claim.batches[0].record.clone(), record);
        record.not_created(vec![]);
        let batch = Some(Revised { record: record.clone(), from_epoch: record.epoch - 1 });
        let ended = Some(PushEnded { push: push.into(), answer: "429", ids: None });
        assert_eq!(f.store.change(Change { batch, ended, ..Change::default() }).await.unwrap(), Changed::Done(vec![]));
    }
    let last = async |account: &str, but| f.store.last_push(&key, account, but).await.unwrap();
    assert_eq!(last("https://acme.testmo.net", None).await.as_deref(), Some("p3"));
    assert_eq!(last("https://acme.testmo.net", Some("p3")).await.as_deref(), Some("p1"));
    assert_eq!(last("https://other.testmo.net", None).await, None);
}

async fn rows_of_a_push_are_held_whichever_of_its_batches_are_found_first(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let parts = ["a", "b", "c", "d"].map(|batch| claim_of("p", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.clone().into(), ..claim_of("p", &fresh("a")) };
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    let [a, b, c, d] = [(0, 23), (1, 20), (2, 17), (3, 26)].map(|(part, first): (usize, u64)| {
        let mut record = parts[part].record.clone();
        record.created(&[(0, first), (1, first + 1)]);
        let ended = Some(PushEnded { push: "p".into(), answer: "adopted", ids: Some((first, first + 1)) });
        let batch = Some(Revised { record, from_epoch: 1 });
        f.store.change(Change { batch, ended, ..Change::default() })
    });
    // One after the other, and both in one group.
    assert_eq!(a.await.unwrap(), Changed::Done(vec![]));
    assert_eq!(b.await.unwrap(), Changed::Done(vec![]));
    let both = tokio::join!(c, d);
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (Changed::Done(vec![]), Changed::Done(vec![])));
    let all: Vec<u64> = (15..30).collect();
    let held = f.store.held_ids("https://acme.testmo.net", &all).await.unwrap();
    assert_eq!(held, [17, 18, 20, 21, 23, 24, 26, 27].into());
    for id in &held {
        assert_eq!(f.store.held_ids("https://acme.testmo.net", &[*id]).await.unwrap(), [*id].into());
    }
}

async fn tenants_with_something_on_the_shelf_are_known_with_what_it_waits_for(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    assert_eq!(f.store.due(9).await.unwrap(), []);
    let put = async |key: &str, reason, until, arrived_at| {
        let identity = Identity::Batch(key.parse().unwrap(), "1:f".into());
        let shelve = Shelving { identity, reason, arrived_at, ..shelving("b", until) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    };
    put("birch/1", Reason::NoRoom, Until::After(Duration::ZERO), 9).await;
    put("birch/2", Reason::Throttled, Until::After(HOUR), 1).await;
    put("acme/1", Reason::ServerError, Until::After(HOUR), 5).await;
    put("cedar/1", Reason::AllRefused, Until::Person, 2).await;
    let due = |name: &str, account: Option<&str>, is_due, is_skimmed| Due {
        tenant: name.parse().unwrap(),
        account: account.map(Into::into),
        is_due,
        is_skimmed,
    };
    let expected = [due("birch", None, true, true), due("acme", Some("https://acme.testmo.net"), false, false)];
    assert_eq!(f.store.due(9).await.unwrap(), expected);
    assert_eq!(f.store.skimmed(9).await.unwrap(), [("birch".parse().unwrap(), 2)]);
    let asks = [("birch".parse().unwrap(), 9), (tenant(), 9)];
    assert_eq!(f.store.lease_due("w", HOUR, &asks).await.unwrap().len(), 1);
}

async fn what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.change(Change { shelve: Some(shelving("b", Until::Connection)), ..Change::default() }).await.unwrap();
    let lease = |f: &Fixture| {
        let store = f.store.clone();
        async move { store.lease_due("w", Duration::from_secs(60), &[(tenant(), 10)]).await.unwrap() }
    };
    assert!(lease(&f).await.is_empty());
    f.store.set_connection(&connection("v2", false)).await.unwrap();
    assert!(lease(&f).await.is_empty(), "another one, but not verified");
    f.set_time(1_000_500).await;
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

async fn what_waits_for_a_time_comes_back_in_order_of_arrival(f: Fixture) {
    for (batch, arrived_at) in [("late", 20), ("early", 10)] {
        let shelve = Shelving { arrived_at, ..shelving(batch, Until::After(Duration::from_secs(5))) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 10)]).await.unwrap().is_empty());
    f.set_time(1_005_000).await;
    let leased = f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 10)]).await.unwrap();
    let order: Vec<i64> = leased.iter().map(|s| s.content.arrived_at).collect();
    assert_eq!(order, [10, 20]);
    f.set_time(1_006_000).await;
    assert_eq!(
        f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 1)]).await.unwrap()[0].content.arrived_at,
        10
    );
}

/// How long events belong to whoever has taken them.
const TAKEN: Duration = Duration::from_secs(120);

async fn events_are_kept_until_they_are_sent_and_stored_once(f: Fixture) {
    for _ in 0..2 {
        f.store.change(Change { events: vec![event("1"), event("2")], ..Change::default() }).await.unwrap();
    }
    let unsent = f.store.unsent(10, TAKEN).await.unwrap();
    assert_eq!(unsent.len(), 2);
    f.store.mark_sent(&unsent).await.unwrap();
    assert!(f.store.unsent(10, TAKEN).await.unwrap().is_empty());
    f.store.announce_event_again("acme/b", "2").await.unwrap();
    assert_eq!(f.store.unsent(10, TAKEN).await.unwrap().len(), 1);
}

async fn many_requests_at_once_are_each_answered(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claims = (0..300).map(|n| f.store.claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}")))));
    let answers = futures_util::future::join_all(claims).await;
    assert!(answers.iter().all(|a| granted(a.as_ref().unwrap())));
    assert_eq!(f.store.latest_batches(Some(&tenant()), 1_000).await.unwrap().len(), 300);
}

async fn one_bad_request_does_not_fail_its_neighbours(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.claim(claim_of("p1", &fresh("b1"))).await.unwrap();
    let same_push_again = f.store.claim(claim_of("p1", &fresh("b2")));
    let good = f.store.claim(claim_of("p3", &fresh("b3")));
    let (bad, good) = tokio::join!(same_push_again, good);
    assert!(bad.is_err());
    assert!(granted(&good.unwrap()));
}

async fn a_store_is_opened_again_with_everything_in_it(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.close().await;
    let again = Store::open(&f.config, false, f.clock.clone()).await.unwrap();
    let row = again.connection(&tenant()).await.unwrap().unwrap();
    assert!(row.is_verified());
    assert_eq!(row.finding, connection("v1", true).finding);
    assert!(f.store.was_made() && !again.was_made());
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

async fn a_failed_connection_is_looked_at_again_when_it_is_due_and_by_one_worker_alone(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let fails = Finding::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    let take = async || f.store.take_rechecks(Duration::from_secs(60), 10).await.unwrap().len();
    assert_eq!(take().await, 0);
    f.set_time(1_000_000 + 5 * 60_000).await;
    assert_eq!((take().await, take().await), (1, 0));
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    f.set_time(1_000_000 + 14 * 60_000).await;
    assert_eq!(take().await, 0, "the pauses grow");
    f.set_time(1_000_000 + 15 * 60_000).await;
    assert_eq!(take().await, 1);
    let refused = Finding::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    f.store.note_finding(&tenant(), "v1", &refused).await.unwrap();
    f.set_time(1_000_000 + 999 * 60_000).await;
    assert_eq!(take().await, 0, "no call with a key that is known to be refused");
}

async fn a_connection_that_fails_when_it_is_entered_is_looked_at_again_unless_its_key_is_refused(f: Fixture) {
    let take = async || f.store.take_rechecks(Duration::from_secs(60), 10).await.unwrap().len();
    for (n, (reason, looked_at)) in [
        (Reason::Forbidden, 1),
        (Reason::TargetMissing, 1),
        (Reason::WrongHost, 1),
        (Reason::Throttled, 1),
        (Reason::KeyRefused, 0),
        (Reason::ConnectionRejected, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let finding = Some(Finding::Fails { reason, detail: "d".into() });
        f.store.set_connection(&ConnectionRow { finding, ..connection(&n.to_string(), false) }).await.unwrap();
        assert_eq!(take().await, 0, "{reason}");
        f.set_time(1_000_000 + (i64::try_from(n).unwrap() + 1) * 5 * 60_000).await;
        assert_eq!(take().await, looked_at, "{reason}");
    }
}

async fn a_testmo_that_is_not_well_says_nothing_against_a_connection_that_worked(f: Fixture) {
    let works = Finding::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let entered = ConnectionRow { finding: Some(works.clone()), ..connection("v1", true) };
    f.store.set_connection(&entered).await.unwrap();
    let row = async || f.store.connection(&tenant()).await.unwrap().unwrap();
    for reason in [Reason::ServerError, Reason::Throttled, Reason::NoAnswer, Reason::Unreachable, Reason::WrongHost] {
        let fails = Finding::Fails { reason, detail: "d".into() };
        f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
        assert!(row().await.is_verified(), "{reason}");
        // A person gives its key another date just then.
        let dated = ConnectionRow { expires_on: Some("2027-01-01".into()), ..entered.clone() };
        f.store.set_connection(&dated.judged(fails.clone(), 7)).await.unwrap();
        assert!(row().await.is_verified(), "{reason}");
        assert_eq!((row().await.finding, row().await.expires_on.as_deref()), (Some(works.clone()), Some("2027-01-01")));
        f.store.set_connection(&connection("v2", false).judged(fails, 7)).await.unwrap();
        assert!(!row().await.is_verified(), "other content has not worked yet");
        f.store.set_connection(&entered).await.unwrap();
    }
}

/// What was announced of connections so far: `failed`, or `restored` with the number of batches.
async fn told_of_connections(store: &Store) -> Vec<String> {
    let mut conn = store.writing().await.unwrap();
    let sql = "SELECT body FROM outbox WHERE kind LIKE '%.connection.%' ORDER BY created_at";
    let rows = sql::fetch(&mut conn, sql, vec![]).await.unwrap();
    let told = |row: &sqlx::any::AnyRow| {
        let body: serde_json::Value = serde_json::from_str(&row.text("body").unwrap()).unwrap();
        let word = body["type"].as_str().unwrap().rsplit('.').nth(1).unwrap().to_owned();
        match body["data"]["batches"].as_u64() {
            Some(batches) => format!("{word} {batches}"),
            None => word,
        }
    };
    rows.iter().map(told).collect()
}

async fn a_connection_is_told_to_be_restored_once_a_case_has_arrived_and_its_failing_before_is_no_news(f: Fixture) {
    let works = Finding::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let fails = Finding::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for (n, batch) in ["b1", "b2"].iter().enumerate() {
        let shelving = Shelving { arrived_at: i64::try_from(n).unwrap(), ..shelving(batch, Until::Connection) };
        f.store.change(Change { shelve: Some(shelving), ..Change::default() }).await.unwrap();
    }
    let mut minutes = 0;
    for (n, pause) in [5, 10, 20, 40].into_iter().enumerate() {
        f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
        assert_eq!(told_of_connections(&f.store).await, ["failed"], "time {n}");
        f.set_time(1_000_000 + (minutes + pause) * 60_000 - 1).await;
        assert!(f.store.take_rechecks(Duration::from_secs(60), 10).await.unwrap().is_empty(), "{pause} minutes");
        minutes += pause;
        f.set_time(1_000_000 + minutes * 60_000).await;
        assert_eq!(f.store.take_rechecks(Duration::from_secs(60), 10).await.unwrap().len(), 1, "{pause} minutes");
        // Reading is allowed, so the look finds nothing wrong and the work goes out.
        f.store.note_finding(&tenant(), "v1", &works).await.unwrap();
        assert!(f.store.connection(&tenant()).await.unwrap().unwrap().is_verified());
        assert_eq!(f.store.lease_due("w", Duration::from_secs(0), &[(tenant(), 9)]).await.unwrap().len(), 2);
    }
    f.set_time(1_000_000 + minutes * 60_000 + 1_000).await;
    let leased = f.store.lease_due("w", Duration::from_secs(9), &[(tenant(), 1)]).await.unwrap().remove(0);
    let arrived =
        Change { unshelve: Some((leased.id.0, leased.generation)), success: Some(tenant()), ..Change::default() };
    f.store.change(arrived.clone()).await.unwrap();
    f.store.change(arrived).await.unwrap();
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 2"]);
    f.set_time(1_000_000 + minutes * 60_000 + 2_000).await;
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 2", "failed"]);
}

async fn a_connection_that_nothing_waits_for_is_told_to_be_restored_at_once(f: Fixture) {
    let works = Finding::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let fails = Finding::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.note_finding(&tenant(), "v1", &fails).await.unwrap();
    f.set_time(1_000_001).await;
    f.store.note_finding(&tenant(), "v1", &works).await.unwrap();
    f.set_time(1_000_002).await;
    f.store.note_finding(&tenant(), "v1", &works).await.unwrap();
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 0"]);
}

async fn suspects_are_leased_one_at_a_time_and_counted(f: Fixture) {
    for hash in ["a", "b"] {
        let identity = Identity::Raw(hash.into(), None, None);
        let shelve =
            Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", Until::After(Duration::ZERO)) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(9), &[(tenant(), 10)]).await.unwrap().is_empty());
    let first = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(first.content.parks, 1);
    assert!(f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().is_none());
    assert_eq!(f.store.reclaim_leases().await.unwrap(), 1);
    let again = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 2));
}

async fn a_folder_is_claimed_by_one_and_free_again_after_the_settle_time(f: Fixture) {
    use crate::store::folders::{FolderClaim, NewFolder};
    let new = NewFolder { account: "a".into(), project: 1, parent: 2, name: "n".into() };
    let claim = async |holder| f.store.claim_folder(&new, holder, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claim("w1").await, FolderClaim::Granted);
    assert_eq!(claim("w2").await, FolderClaim::Busy(Duration::from_secs(60)));
    f.store.free_folder(&new, "w1", Duration::from_secs(5)).await.unwrap();
    assert_eq!(claim("w1").await, FolderClaim::Busy(Duration::from_secs(5)));
    f.set_time(1_005_000).await;
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
    for _ in 0..f.store.writers.options().get_max_connections() {
        let mut conn = f.store.writers.acquire().await.unwrap();
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

async fn a_clock_that_is_behind_is_noticed(f: Fixture) {
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::ZERO);
    f.store.change(Change { shelve: Some(shelving("b", Until::Person)), ..Change::default() }).await.unwrap();
    f.set_time(1_000_000 - 60_000).await;
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::from_secs(60));
}

async fn what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all(f: Fixture) {
    use super::shelf::{ByHand, ShelfState, Wish};
    let failed = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh("b1") };
    let put = Change {
        batch: Some(Revised { record: failed.clone(), from_epoch: 0 }),
        shelve: Some(Shelving { parks: 7, failing_since: Some(1), ..shelving("b1", Until::Person) }),
        ..Change::default()
    };
    assert_eq!(f.store.change(put).await.unwrap(), Changed::Done(vec![]));
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

    assert_eq!(replay(dead.generation, 1).await.unwrap(), Changed::Done(vec![]));
    assert_eq!((stored().await.state, stored().await.revision), (BatchState::Open, 2));
    let leased = f.store.lease_due("w", Duration::from_secs(5), &[(tenant(), 10)]).await.unwrap().remove(0);
    assert_eq!((leased.state, leased.content.parks, leased.content.failing_since), (ShelfState::Parked, 0, None));
    let discard = ByHand { id: leased.id, generation: leased.generation, wish: Wish::Discard };
    let discard = || f.store.change(Change { by_hand: Some(discard), ..Change::default() });
    assert_eq!(discard().await.unwrap(), Changed::Fenced, "a worker has it in hand");
    f.set_time(1_005_000).await;
    assert_eq!(discard().await.unwrap(), Changed::Done(vec![]));
    assert!(f.store.shelf_ids(&Filter::default()).await.unwrap().is_empty());
}

async fn what_is_dead_stays_so_when_a_copy_of_it_is_parked(f: Fixture) {
    use super::shelf::ShelfState;
    let put = |until, detail: &str| {
        let shelve = Shelving { detail: Some(detail.into()), ..shelving("b", until) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() })
    };
    for (until, detail) in [
        (Until::After(Duration::ZERO), "parked"),
        (Until::Person, "dead"),
        (Until::After(Duration::ZERO), "copy"),
        (Until::Connection, "copy"),
    ] {
        assert_eq!(put(until, detail).await.unwrap(), Changed::Done(vec![]));
    }
    let row = f.store.shelf(&Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!((row.state, row.content.detail.as_deref()), (ShelfState::Dead, Some("dead")));
    put(Until::Person, "dead again").await.unwrap();
    let row = f.store.shelf(&Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!(row.content.detail.as_deref(), Some("dead again"));
}

async fn the_shelf_is_searched_by_batch_and_time(f: Fixture) {
    for (batch, at) in [("b1", 1_000_000), ("b2", 1_001_000)] {
        f.set_time(at).await;
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

#[tokio::test]
async fn a_store_that_is_not_there_is_missing_and_says_what_to_do() {
    let url = postgres::Postgres::shared().database();
    for url in ["sqlite:/nowhere/x.db", &url] {
        let error = Store::open(&config_of(url), false, Clock::system()).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        assert!(error.to_string().contains("testmo-courier init"), "{error}");
    }
}

#[tokio::test]
async fn each_way_to_fail_to_reach_a_server_is_told_apart_without_the_password() {
    let url = postgres::Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    run(
        &url,
        "CREATE ROLE poor LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0; CREATE ROLE weak LOGIN PASSWORD 'hunter2'; \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    .await;
    let as_user = |user: &str| {
        let place = url.rsplit_once('@').unwrap().1;
        format!("postgres://{user}@{place}")
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = [
        (format!("postgres://u:hunter2@{free}/x"), "check that it runs"),
        (as_user("nobody:hunter2"), "check user and password"),
        (as_user("weak:hunter3"), "check user and password"),
        (as_user("weak:hunter2").replace(name, "elsewhere"), "createdb"),
        (as_user("poor:hunter2"), "max_connections"),
        (as_user("weak:hunter2"), "owner of the database"),
        (format!("{url}?sslmode=verify-full"), "TLS"),
    ];
    for (url, remedy) in table {
        let error = Store::open(&config_of(&url), true, Clock::system()).await.unwrap_err();
        assert!(error.to_string().contains(remedy), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_prepare_the_tables_once() {
    let config = config_of(&postgres::Postgres::shared().database());
    let open = || Store::open(&config, true, Clock::system());
    let stores = futures_util::future::join_all((0..5).map(|_| open())).await;
    for store in stores {
        let store = store.unwrap();
        store.ping().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn what_an_older_version_stored_in_a_file_is_there_in_this_one() {
    let Fixture { store, config, clock, _dir } = fixture().await;
    // The tables as they were when long rows were sorted by their names.
    let mut migrator = open::migrator(sql::Dialect::Sqlite);
    migrator.migrations = migrator.migrations.iter().take(4).cloned().collect();
    let mut conn = store.writing().await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    for row in sql::fetch(&mut conn, tables, vec![]).await.unwrap() {
        sql::execute(&mut conn, format!("DROP TABLE {}", row.text("name").unwrap()), vec![]).await.unwrap();
    }
    migrator.run_direct(None, &mut *conn, false).await.unwrap();
    let record = fresh("b");
    for sql in [
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, claimed_at, lease_until, first_seen_at, settled_at, pruned_at, late_since, look_after) \
         VALUES ('acme', 'b', $1, 'delivered', 1, 3, '[]', '[]', NULL, 4, 5, 6, 7, 8, NULL, 9, 10)",
        "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
         VALUES ('e1', 'k', 'r', $1, 'b1', 11, 12, NULL), ('e2', 'k', 'r', 's', 'b2', 11, 12, 13)",
    ] {
        sql::execute(&mut conn, sql, vec![Bound::Text(record.fingerprint.clone())]).await.unwrap();
    }
    drop(conn);
    store.close().await;
    let store = Store::open(&config, false, clock).await.unwrap();
    let stored = store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!((stored.claimed_at, stored.lease_until), (Some(5), Some(6)));
    let BatchRecord { fingerprint, epoch, doubt_since, first_seen_at, settled_at, late_since, .. } = stored.record;
    assert_eq!(fingerprint, record.fingerprint);
    assert_eq!((epoch, doubt_since, first_seen_at), (3, Some(4), 7));
    assert_eq!((settled_at, late_since), (Some(8), Some(9)));
    let unsent = store.unsent(9, TAKEN).await.unwrap();
    let unsent: Vec<_> = unsent.iter().map(|e| (e.id.as_str(), e.body.as_str(), e.created_at, e.due_at)).collect();
    assert_eq!(unsent, [("e1", "b1", 11, 12)]);
    assert!(store.shelf(&Filter::default(), 9).await.unwrap().is_empty(), "the tables that stay are there, too");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let f = on_server().await;
    let mut conn = f.store.writing().await.unwrap();
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (99, 'x', true, '', 0)";
    sql::execute(&mut conn, sql, vec![]).await.unwrap();
    let again = Store::open(&f.config, false, Clock::system()).await;
    assert!(matches!(again, Err(StoreError::Newer)), "{again:?}");
}

/// Another replica on the same database.
async fn replica(f: &Fixture) -> Store {
    Store::open(&f.config, false, Clock::standing_at(9_999_999_999)).await.unwrap()
}

#[tokio::test]
async fn of_replicas_that_claim_the_same_batches_in_any_order_each_batch_is_granted_to_one() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
    for round in 0..10 {
        let mut claims = Vec::new();
        for (n, store) in replicas.iter().enumerate() {
            for batch in 0..40 {
                // Each replica has its own order.
                let batch = (batch * [1, 39, 7][n]) % 40;
                let claim = claim_of(&format!("p{round}-{batch}-{n}"), &fresh(&format!("b{round}-{batch}")));
                claims.push(async move { (batch, store.claim(claim).await.unwrap()) });
            }
        }
        let answers = futures_util::future::join_all(claims).await;
        for batch in 0..40 {
            let won = answers.iter().filter(|(of, answer)| *of == batch && granted(answer)).count();
            assert_eq!(won, 1, "batch {batch} of round {round}");
        }
    }
    assert_eq!(f.store.latest_batches(None, 1_000).await.unwrap().len(), 400);
}

#[tokio::test]
async fn of_replicas_that_change_the_same_record_one_succeeds() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [replica(&f).await, replica(&f).await];
    for n in 0..30 {
        let claim = claim_of(&format!("p{n}"), &fresh(&format!("b{n}")));
        let mut record = claim.batches[0].record.clone();
        f.store.claim(claim).await.unwrap();
        record.created(&[(0, 10), (1, 11)]);
        let change = || Change {
            batch: Some(Revised { record: record.clone(), from_epoch: 1 }),
            heard: Some(Heard {
                account: format!("account {}", n % 3),
                signal: Signal::Throttled(Duration::from_secs(1)),
                ceiling: 4,
            }),
            success: Some(tenant()),
            ..Change::default()
        };
        let both = tokio::join!(replicas[0].change(change()), replicas[1].change(change()));
        let answers = [both.0.unwrap(), both.1.unwrap()];
        assert_eq!(answers.iter().filter(|answer| answer.is_done()).count(), 1);
    }
}

#[tokio::test]
async fn a_batch_that_was_refused_a_claim_is_not_known() {
    let f = on_server().await;
    f.store.set_connection(&connection("v2", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), Claimed::ConnectionChanged));
    assert!(f.store.batch(&fresh("b").key).await.unwrap().is_none());
    assert!(f.store.latest_batches(None, 9).await.unwrap().is_empty());
    f.set_time(1_000_005).await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    assert_eq!(f.store.batch(&fresh("b").key).await.unwrap().unwrap().record.first_seen_at, 1_000_005);
}

#[tokio::test]
async fn replicas_share_what_is_due_and_each_row_goes_to_one() {
    let f = on_server().await;
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
    for n in 0..60 {
        let shelve = shelving(&format!("b{n}"), Until::After(Duration::ZERO));
        let events = vec![event(&format!("e{n}"))];
        f.store.change(Change { shelve: Some(shelve), events, ..Change::default() }).await.unwrap();
    }
    let lease = |store: &Store| {
        let store = store.clone();
        async move { store.lease_due("w", Duration::from_secs(60), &[(tenant(), 25)]).await.unwrap().len() }
    };
    let leased = futures_util::future::join_all(replicas.iter().map(lease)).await;
    let mut all: usize = leased.iter().sum();
    assert!(leased.iter().all(|count| *count <= 25), "{leased:?}");
    all += lease(&f.store).await + lease(&f.store).await;
    assert_eq!(all, 60);
    let unsent = futures_util::future::join_all(replicas.iter().map(|store| store.unsent(40, TAKEN))).await;
    let mut ids: Vec<String> = unsent.into_iter().flat_map(Result::unwrap).map(|event| event.id).collect();
    ids.extend(f.store.unsent(100, TAKEN).await.unwrap().into_iter().map(|event| event.id));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    assert!(f.store.unsent(100, TAKEN).await.unwrap().is_empty(), "each is taken once");
    f.set_time(1_000_000 + 120_000).await;
    assert_eq!(f.store.unsent(100, TAKEN).await.unwrap().len(), 60, "whoever took them is gone");
}

#[tokio::test]
async fn replicas_lease_one_suspect_between_them() {
    let f = on_server().await;
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
    for hash in ["a", "b", "c"] {
        let identity = Identity::Raw(hash.into(), None, None);
        let shelve = Shelving { identity, reason: Reason::Suspect, ..shelving("x", Until::After(Duration::ZERO)) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    }
    let leases = replicas.iter().map(|store| store.lease_suspect("w", Duration::from_secs(9)));
    let leases = futures_util::future::join_all(leases).await;
    assert_eq!(leases.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn a_transaction_that_is_given_up_is_undone_and_holds_nobody_up() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let mut hung = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let claims = [claim_of("p1", &fresh("b"))];
    let accounts = [claims[0].account.as_str()].into();
    let mut known = Known::keep(hung.conn().unwrap(), accounts).await.unwrap();
    known.count(hung.conn().unwrap(), 1).await.unwrap();
    let answers = ledger::claim(hung.conn().unwrap(), 1, &claims, &mut known).await.unwrap();
    assert!(granted(&answers[0]));
    let claim = f.store.claim(claim_of("p2", &fresh("b")));
    let mut claim = std::pin::pin!(claim);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut claim).await.is_err(), "it waits for the lock");
    drop(hung);
    assert!(granted(&claim.await.unwrap()));
}

#[tokio::test]
async fn a_claim_loses_what_another_replica_stores_at_the_same_moment() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for (n, others) in [vec![], vec!["c"]].into_iter().enumerate() {
        let name = format!("b{n}");
        let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
        let mut record = fresh(&name);
        record.epoch = 1;
        let change = Change { batch: Some(Revised { record, from_epoch: 0 }), ..Change::default() };
        assert!(ledger::change(quicker.conn().unwrap(), 1, &[change]).await.unwrap()[0].is_done());
        let mut wish = claim_of(&format!("p{n}"), &fresh(&name));
        for other in &others {
            wish.batches.extend(claim_of("p", &fresh(other)).batches);
        }
        let claim = f.store.claim(wish);
        let mut claim = std::pin::pin!(claim);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut claim).await.is_err(), "it waits for the row");
        quicker.commit().await.unwrap();
        let answer = claim.await.unwrap();
        if others.is_empty() {
            let Claimed::Stale { stored, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stored.len(), stored[0].record.epoch), (1, 1));
        } else {
            let Claimed::Granted { stale, contested, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stale.len(), contested), (0, vec![fresh(&name).key]));
        }
        assert_eq!(f.store.batch(&fresh(&name).key).await.unwrap().unwrap().record.epoch, 1);
    }
    assert!(f.store.history(&fresh("b0").key).await.unwrap().pushes.is_empty());
}

async fn a_suspect_that_is_given_back_was_not_tried(f: Fixture) {
    let identity = Identity::Raw("a".into(), None, None);
    let shelve =
        Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", Until::After(Duration::ZERO)) };
    f.store.change(Change { shelve: Some(shelve), ..Change::default() }).await.unwrap();
    for _ in 0..3 {
        let leased = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(leased.content.parks, 1);
        for _ in 0..2 {
            f.store.release(&[(leased.id, leased.generation)]).await.unwrap();
        }
    }
}

async fn an_event_is_its_storers_to_announce_for_a_while(f: Fixture) {
    let turn = Some(Duration::from_secs(5));
    let change =
        |names: &[&str]| Change { events: names.iter().map(|name| event(name)).collect(), turn, ..Change::default() };
    let Changed::Done(taken) = f.store.change(change(&["e", "f"])).await.unwrap() else { panic!() };
    assert_eq!(taken.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["e", "f"]);
    assert_eq!(f.store.change(change(&["e"])).await.unwrap(), Changed::Done(vec![]), "it is stored already");
    assert!(f.store.unsent(9, TAKEN).await.unwrap().is_empty());
    f.store.mark_sent(&taken[..1]).await.unwrap();
    f.set_time(1_000_000 + 5_000).await;
    let due = f.store.unsent(9, TAKEN).await.unwrap();
    assert_eq!(due.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["f"], "its storer is gone");
    assert_eq!(due[0].body, taken[1].body);
}

async fn an_event_that_is_due_again_while_it_is_announced_is_announced_again(f: Fixture) {
    f.store.change(Change { events: vec![event("e")], ..Change::default() }).await.unwrap();
    let taken = f.store.unsent(1, TAKEN).await.unwrap();
    f.store.announce_event_again("acme/b", "e").await.unwrap();
    f.store.mark_sent(&taken).await.unwrap();
    assert_eq!(f.store.unsent(1, TAKEN).await.unwrap().len(), 1);
}

async fn a_text_with_a_nul_is_stored(f: Fixture) {
    let shelve = Shelving { detail: Some("a\0b".into()), ..shelving("b", Until::Person) };
    let event = crate::batch::event::Event { body: "{\"a\":\"\\u0000\"}".into(), ..event("e") };
    f.store.change(Change { shelve: Some(shelve), events: vec![event], ..Change::default() }).await.unwrap();
    assert_eq!(f.store.shelf(&Filter::default(), 1).await.unwrap()[0].content.detail.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(f.store.unsent(1, TAKEN).await.unwrap()[0].body, "{\"a\":\"\\u0000\"}");
}

const DAY: Duration = Duration::from_secs(86_400);

/// A batch that was settled at the present time.
async fn settle(f: &Fixture, batch: &str, change: impl FnOnce(&mut BatchRecord)) -> BatchRecord {
    let claim = claim_of(&format!("push of {batch}"), &fresh(batch));
    let mut record = claim.batches[0].record.clone();
    let Claimed::Granted { at, .. } = f.store.claim(claim).await.unwrap() else { panic!() };
    record.created(&[(0, 10), (1, 11)]);
    (record.state, record.settled_at) = (BatchState::Delivered, Some(at));
    change(&mut record);
    let ended = Some(PushEnded { push: format!("push of {batch}"), answer: "2xx", ids: Some((10, 11)) });
    let batch = Some(Revised { record: record.clone(), from_epoch: 1 });
    f.store.change(Change { batch, ended, ..Change::default() }).await.unwrap();
    record
}

async fn what_was_settled_for_long_loses_its_weight_but_is_still_known(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let old = settle(&f, "old", |_| {}).await;
    f.store.change(Change { events: vec![event("sent")], ..Change::default() }).await.unwrap();
    f.store.mark_sent(&f.store.unsent(1, TAKEN).await.unwrap()).await.unwrap();
    f.store.change(Change { events: vec![event("unsent")], ..Change::default() }).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    let recent = settle(&f, "recent", |_| {}).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), Pruned::default());
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), Pruned { batches: 1, events: 1 });
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), Pruned::default());
    let known = f.store.batch(&old.key).await.unwrap().unwrap().record;
    assert_eq!((known.fingerprint, known.state, known.revision), (old.fingerprint, old.state, old.revision));
    assert_eq!((known.settled_at, known.epoch), (old.settled_at, old.epoch + 1));
    assert!(known.cases.is_empty() && known.targets.is_empty());
    let Claimed::Stale { stored, .. } = f.store.claim(claim_of("p", &fresh("old"))).await.unwrap() else { panic!() };
    assert_eq!(stored[0].record.state, BatchState::Delivered);
    assert_eq!(f.store.batch(&recent.key).await.unwrap().unwrap().record.cases, recent.cases);
    assert_eq!(f.store.unsent_count().await.unwrap(), 1);
    let mut conn = f.store.writing().await.unwrap();
    for (table, left) in [("pushes", 1), ("push_parts", 1), ("outbox", 1)] {
        let rows = sql::fetch(&mut conn, format!("SELECT COUNT(*) AS n FROM {table}"), vec![]).await.unwrap();
        assert_eq!(rows[0].int("n").unwrap(), left, "{table}");
    }
}

async fn pruning_goes_in_steps_and_leaves_what_is_shelved_or_unclear(f: Fixture) {
    use crate::batch::ledger::CaseState;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for n in 0..5 {
        settle(&f, &format!("b{n}"), |_| {}).await;
    }
    settle(&f, "shelved", |_| {}).await;
    f.store.change(Change { shelve: Some(shelving("shelved", Until::Person)), ..Change::default() }).await.unwrap();
    settle(&f, "lost", |record| record.cases[0].state = CaseState::Lost).await;
    f.store.claim(claim_of("open", &fresh("open"))).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(f.store.prune(DAY * 30, 2).await.unwrap().batches);
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    for batch in ["shelved", "lost", "open"] {
        assert_eq!(f.store.batch(&fresh(batch).key).await.unwrap().unwrap().record.cases.len(), 2, "{batch}");
    }
}

async fn ids_that_a_look_may_still_ask_for_are_kept(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.set_time(10_000_000).await;
    let claim = claim_of("doubtful", &fresh("doubtful"));
    let mut record = claim.batches[0].record.clone();
    f.store.claim(claim).await.unwrap();
    record.unclear(10_000_000);
    let batch = Some(Revised { record: record.clone(), from_epoch: 1 });
    f.store.change(Change { batch, ..Change::default() }).await.unwrap();
    settle(&f, "later", |_| {}).await;
    f.set_time(10_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 0);
    record.looked(&[], false);
    record.claim(
        &[0, 1],
        OpenPush { id: "x".into(), connection: "v1".into(), mark: None, committed: false },
        &target(),
    );
    record.created(&[(0, 20), (1, 21)]);
    let batch = Some(Revised { record, from_epoch: 2 });
    assert_eq!(f.store.change(Change { batch, ..Change::default() }).await.unwrap(), Changed::Done(vec![]));
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 1);
}

async fn the_history_of_a_batch_holds_its_pushes_and_what_was_told_of_it(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let key = &fresh("b").key;
    assert!(f.store.history(key).await.unwrap().pushes.is_empty());
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    record.unclear(1_000_000);
    let ended = |answer, ids| Some(PushEnded { push: "p1".into(), answer, ids });
    let batch = |record: &BatchRecord| Some(Revised { record: record.clone(), from_epoch: record.epoch - 1 });
    f.store.change(Change { batch: batch(&record), ended: ended("5xx", None), ..Change::default() }).await.unwrap();
    f.set_time(1_000_500).await;
    record.looked(&[(0, 10), (1, 11)], false);
    let about = crate::batch::event::Event { subject: "acme/b".into(), ..event("e1") };
    let events = vec![about, crate::batch::event::Event { subject: "acme/b2".into(), ..event("e2") }];
    let adopted =
        Change { batch: batch(&record), ended: ended("adopted", Some((10, 11))), events, ..Change::default() };
    assert!(f.store.change(adopted).await.unwrap().is_done());
    settle(&f, "b2", |_| {}).await;
    let history = f.store.history(key).await.unwrap();
    let pushes: Vec<_> =
        history.pushes.iter().map(|p| (p.id.as_str(), p.claimed_at, p.ended_at, p.answer.as_deref(), p.ids)).collect();
    assert_eq!(pushes, [("p1", 1_000_000, Some(1_000_500), Some("5xx, adopted"), Some((10, 11)))]);
    let events: Vec<_> = history.events.iter().map(|e| (e.id.as_str(), e.created_at, e.sent_at)).collect();
    assert_eq!(events, [("e1", 1_000_500, None)]);
}

async fn a_last_look_is_due_once_its_batch_has_arrived_and_until_it_was_made(f: Fixture) {
    let (after, lease) = (Duration::from_secs(300), Duration::from_secs(600));
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    settle(&f, "clear", |_| {}).await;
    let mut late = settle(&f, "late", |record| record.late_since = Some(7)).await;
    settle(&f, "failed", |record| (record.late_since, record.state) = (Some(7), BatchState::Failed)).await;
    let due = async |ms: i64| {
        f.set_time(ms).await;
        let taken = f.store.take_last_looks(after, lease, 9).await.unwrap();
        taken.into_iter().map(|stored| stored.record).collect::<Vec<_>>()
    };
    assert_eq!(due(1_299_999).await, []);
    let taken = due(1_300_000).await;
    assert_eq!((taken.len(), &taken[0].key, taken[0].late_since), (1, &late.key, Some(7)));
    assert_eq!(due(1_899_999).await, [], "somebody is at it");
    assert_eq!(due(1_900_000).await.len(), 1, "whoever was at it is gone");
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 2, "it stays until it was looked for");
    let from_epoch = late.epoch;
    late.duplicated(&[(1, 20)]);
    late.last_looked();
    let batch = Some(Revised { record: late.clone(), from_epoch });
    assert_eq!(f.store.change(Change { batch, ..Change::default() }).await.unwrap(), Changed::Done(vec![]));
    assert_eq!(due(1_000_000 + 86_400_000 * 32).await, []);
    assert_eq!(f.store.batch(&late.key).await.unwrap().unwrap().record.cases[1].duplicates, [20]);
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 1);
}
