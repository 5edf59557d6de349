//! Checks when a connection is verified again, and the events about it.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::event::{CONNECTION_FAILED, CONNECTION_RESTORED};
use testmo_courier::store::connections::{ConnectionRow, Seen, Successor, WriteOutcome};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{connection, fails, shelving, tenant, works};

cases! {
    ($) verification_cases in verification:
    a_failed_connection_is_verified_again_when_it_is_due_and_by_one_worker_only,
    a_connection_that_fails_when_it_is_set_is_verified_again_unless_its_key_is_refused,
    a_connection_that_worked_stays_verified_while_testmo_is_failing,
    a_connection_is_reported_as_restored_once_a_case_has_arrived_and_its_failures_until_then_only_once,
    a_connection_without_waiting_batches_is_reported_as_restored_at_once,
    a_refused_request_is_remembered_until_a_case_arrives,
    a_refused_key_is_forgotten_once_it_is_verified,
    a_verified_connection_stays_in_force_beside_its_successor,
    a_successor_of_another_version_is_outdated,
    a_connection_that_was_never_reported_as_failed_is_not_reported_as_restored,
    events_of_a_connection_name_its_version_and_are_in_the_order_of_their_revisions,
}

/// Returns the events about connections so far, oldest first: `failed`, or `restored` with the number of batches.
pub(crate) async fn reported(f: &dyn Subject) -> Vec<String> {
    // Taken for no time at all, so that they are due again at once.
    let mut events = f.store().unsent(99, Duration::ZERO).await.unwrap();
    events.sort_by_key(|event| event.created_at);
    let report = |kind: &str, body: &str| match kind {
        CONNECTION_FAILED => Some("failed".to_owned()),
        CONNECTION_RESTORED => {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            Some(format!("restored {}", body["data"]["batches"]))
        }
        _ => None,
    };
    events.iter().filter_map(|event| report(&event.kind, &event.body)).collect()
}

async fn a_failed_connection_is_verified_again_when_it_is_due_and_by_one_worker_only(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let forbidden = fails(Reason::Forbidden);
    f.record_verification(&forbidden).await;
    let take = async || f.store().take_reverifications(Duration::from_secs(60), 10).await.unwrap().len();
    assert_eq!(take().await, 0);
    f.set_time(1_000_000 + 5 * 60_000).await;
    assert_eq!((take().await, take().await), (1, 0));
    f.record_verification(&forbidden).await;
    f.set_time(1_000_000 + 14 * 60_000).await;
    assert_eq!(take().await, 0, "the pauses grow");
    f.set_time(1_000_000 + 15 * 60_000).await;
    assert_eq!(take().await, 1);
    let refused = fails(Reason::KeyRefused);
    f.record_verification(&refused).await;
    f.set_time(1_000_000 + 999 * 60_000).await;
    assert_eq!(take().await, 0, "no call with a key that is known to be refused");
}

async fn a_connection_that_fails_when_it_is_set_is_verified_again_unless_its_key_is_refused(f: &dyn Subject) {
    let take = async || f.store().take_reverifications(Duration::from_secs(60), 10).await.unwrap().len();
    for (n, (reason, is_due)) in [
        (Reason::Forbidden, 1),
        (Reason::TargetMissing, 1),
        (Reason::WrongHost, 1),
        (Reason::Throttled, 1),
        (Reason::KeyRefused, 0),
        (Reason::ConnectionRejected, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let finding = Some(fails(reason));
        f.connect(&ConnectionRow { finding, ..connection(&n.to_string(), false) }).await;
        assert_eq!(take().await, 0, "{reason}");
        f.set_time(1_000_000 + (i64::try_from(n).unwrap() + 1) * 5 * 60_000).await;
        assert_eq!(take().await, is_due, "{reason}");
    }
}

async fn a_connection_that_worked_stays_verified_while_testmo_is_failing(f: &dyn Subject) {
    let set = ConnectionRow { finding: Some(works()), ..connection("v1", true) };
    f.store().set_connection(&set).await.unwrap();
    let row = async || f.store().connection(&tenant()).await.unwrap().unwrap();
    for reason in [Reason::ServerError, Reason::Throttled, Reason::NoAnswer, Reason::Unreachable, Reason::WrongHost] {
        let failing = fails(reason);
        f.record_verification(&failing).await;
        assert!(row().await.is_verified(), "{reason}");
        let met = async || row().await.seen.interruption.map(|met| met.reason);
        assert_eq!(met().await, Some(reason));
        // An operator sets another expiry date of the key at that time.
        let dated = ConnectionRow { expires_on: Some("2027-01-01".into()), ..set.clone() };
        f.connect(&dated.judged(failing.clone(), 7)).await;
        assert!(row().await.is_verified(), "{reason}");
        assert_eq!((row().await.finding, row().await.expires_on.as_deref()), (Some(works()), Some("2027-01-01")));
        assert_eq!(met().await, Some(reason));
        f.connect(&connection("v2", false).judged(failing, 7)).await;
        assert!(!row().await.is_verified(), "other content has not worked yet");
        let seen = row().await.seen;
        assert_eq!((seen.names.map(|names| names.project), seen.interruption), (Some("p".into()), None));
        f.connect(&set).await;
        assert_eq!(row().await.seen, Seen::default());
    }
}

async fn a_connection_is_reported_as_restored_once_a_case_has_arrived_and_its_failures_until_then_only_once(
    f: &dyn Subject,
) {
    let forbidden = fails(Reason::Forbidden);
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for (n, batch) in ["b1", "b2"].iter().enumerate() {
        let shelving = Shelving { arrived_at: i64::try_from(n).unwrap(), ..shelving(batch, ShelvedUntil::Connection) };
        f.store().commit(Commit { shelve: Some(shelving), ..Commit::default() }.into()).await.unwrap();
    }
    let mut minutes = 0;
    for (n, pause) in [5, 10, 20, 40].into_iter().enumerate() {
        f.record_verification(&forbidden).await;
        assert_eq!(reported(f).await, ["failed"], "time {n}");
        f.set_time(1_000_000 + (minutes + pause) * 60_000 - 1).await;
        assert!(
            f.store().take_reverifications(Duration::from_secs(60), 10).await.unwrap().is_empty(),
            "{pause} minutes"
        );
        minutes += pause;
        f.set_time(1_000_000 + minutes * 60_000).await;
        assert_eq!(
            f.store().take_reverifications(Duration::from_secs(60), 10).await.unwrap().len(),
            1,
            "{pause} minutes"
        );
        // Reading is allowed, so the verification finds nothing wrong and the batches are due.
        f.record_verification(&works()).await;
        assert!(f.store().connection(&tenant()).await.unwrap().unwrap().is_verified());
        assert_eq!(
            f.store().lease_due("w", Duration::from_secs(0), &[(tenant(), 9)], usize::MAX).await.unwrap().len(),
            2
        );
    }
    f.set_time(1_000_000 + minutes * 60_000 + 1_000).await;
    let leased =
        f.store().lease_due("w", Duration::from_secs(9), &[(tenant(), 1)], usize::MAX).await.unwrap().remove(0);
    let arrived =
        Commit { unshelve: Some((leased.id.0, leased.generation)), success: Some(tenant()), ..Commit::default() };
    f.store().commit(arrived.clone().into()).await.unwrap();
    f.store().commit(arrived.into()).await.unwrap();
    assert_eq!(reported(f).await, ["failed", "restored 2"]);
    f.set_time(1_000_000 + minutes * 60_000 + 2_000).await;
    f.record_verification(&forbidden).await;
    assert_eq!(reported(f).await, ["failed", "restored 2", "failed"]);
}

async fn a_connection_without_waiting_batches_is_reported_as_restored_at_once(f: &dyn Subject) {
    let refused = fails(Reason::KeyRefused);
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.record_verification(&refused).await;
    f.set_time(1_000_001).await;
    f.record_verification(&works()).await;
    f.set_time(1_000_002).await;
    f.record_verification(&works()).await;
    assert_eq!(reported(f).await, ["failed", "restored 0"]);
}

/// Has Testmo refuse a request of a batch over the tenant's connection.
async fn refuse(f: &dyn Subject, reason: Reason) {
    let row = f.store().connection(&tenant()).await.unwrap().unwrap();
    let written = f.store().record_refusal(&tenant(), &row.version, row.epoch, reason, "d").await.unwrap();
    assert_eq!(written, WriteOutcome::Done);
}

async fn a_refused_request_is_remembered_until_a_case_arrives(f: &dyn Subject) {
    let row = async || f.store().connection(&tenant()).await.unwrap().unwrap();
    let refused = async || row().await.refusal.map(|refusal| (refusal.reason, refusal.at));
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    refuse(f, Reason::Forbidden).await;
    assert!(!row().await.is_verified());
    assert_eq!(refused().await, Some((Reason::Forbidden, 1_000_000)));
    // Nothing waits, and reading works; but nobody has seen that a case can be created.
    f.set_time(1_000_001).await;
    f.record_verification(&works()).await;
    assert!(row().await.is_verified());
    assert_eq!(refused().await, Some((Reason::Forbidden, 1_000_000)));
    // A person enters another date for the key.
    f.connect(&ConnectionRow { expires_on: None, ..row().await }).await;
    assert_eq!(refused().await, Some((Reason::Forbidden, 1_000_000)));
    assert_eq!(reported(f).await, ["failed"]);
    let before = row().await.epoch;
    f.set_time(1_000_002).await;
    f.store().commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
    assert_eq!((refused().await, row().await.epoch), (None, before + 1));
    assert_eq!(reported(f).await, ["failed", "restored 0"]);
}

async fn a_refused_key_is_forgotten_once_it_is_verified(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    refuse(f, Reason::KeyRefused).await;
    f.set_time(1_000_001).await;
    f.record_verification(&works()).await;
    assert_eq!(f.store().connection(&tenant()).await.unwrap().unwrap().refusal, None);
    assert_eq!(reported(f).await, ["failed", "restored 0"]);
}

async fn a_verified_connection_stays_in_force_beside_its_successor(f: &dyn Subject) {
    let in_force = connection("v1", true);
    let next = Successor::of(connection("v2", false), &in_force, fails(Reason::TargetMissing), 1_000_000);
    f.store().set_connection(&ConnectionRow { successor: Some(next.clone().into()), ..in_force }).await.unwrap();
    let row = async || f.store().connection(&tenant()).await.unwrap().unwrap();
    assert!(row().await.is_verified());
    assert_eq!(row().await.successor.as_deref(), Some(&next));
    let take = async || f.store().take_reverifications(Duration::from_secs(60), 10).await.unwrap().len();
    assert_eq!(take().await, 0);
    // What is found out about the one in force does not keep the successor from being verified.
    for finding in [works(), fails(Reason::KeyRefused)] {
        f.record_verification(&finding).await;
    }
    f.set_time(1_000_000 + 5 * 60_000).await;
    assert_eq!((take().await, take().await), (1, 0));
    let again = Successor::of(connection("v2", false), &row().await, fails(Reason::TargetMissing), 1_300_000);
    assert_eq!((again.checks, again.recheck_at), (2, Some(1_300_000 + 10 * 60_000)), "the pauses grow");
    let refused = Successor::of(connection("v2", false), &row().await, fails(Reason::KeyRefused), 1_300_000);
    assert_eq!(refused.recheck_at, None, "no request with a key that was refused");
}

async fn a_successor_of_another_version_is_outdated(f: &dyn Subject) {
    let in_force = connection("v1", true);
    let next = Successor::of(connection("v2", false), &in_force, fails(Reason::TargetMissing), 1_000_000);
    let row = ConnectionRow { successor: Some(next.into()), ..connection("v3", true) };
    f.store().set_connection(&row).await.unwrap();
    assert_eq!(f.store().connection(&tenant()).await.unwrap().unwrap().successor, None);
}

async fn a_connection_that_was_never_reported_as_failed_is_not_reported_as_restored(f: &dyn Subject) {
    let waiting = Some(shelving("b1", ShelvedUntil::Connection));
    for shelve in [None, waiting] {
        f.connect(&connection("v1", false)).await;
        f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
        f.record_verification(&works()).await;
        f.store().commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
        assert_eq!(reported(f).await, [""; 0]);
    }
    f.record_verification(&fails(Reason::Forbidden)).await;
    assert_eq!(reported(f).await, ["failed"], "now it has worked");
}

async fn events_of_a_connection_name_its_version_and_are_in_the_order_of_their_revisions(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for n in 0..3 {
        f.set_time(1_000_000 + 2 * n).await;
        f.record_verification(&fails(Reason::KeyRefused)).await;
        f.set_time(1_000_001 + 2 * n).await;
        f.record_verification(&works()).await;
    }
    let mut events = f.store().unsent(99, Duration::ZERO).await.unwrap();
    events.sort_by_key(|event| event.created_at);
    let bodies: Vec<serde_json::Value> =
        events.iter().map(|event| serde_json::from_str(&event.body).unwrap()).collect();
    let revisions: Vec<u64> = bodies.iter().map(|body| body["data"]["revision"].as_u64().unwrap()).collect();
    assert!(revisions.len() == 6 && revisions.windows(2).all(|pair| pair[0] < pair[1]), "{revisions:?}");
    assert!(bodies.iter().all(|body| body["data"]["version"] == "v1"));
}
