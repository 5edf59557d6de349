//! Connections, their verification and the events about them.

use super::*;

on_both! {
    connections_are_counted_by_expiry_and_by_whether_they_may_be_used,
    a_failed_connection_is_looked_at_again_when_it_is_due_and_by_one_worker_alone,
    a_connection_that_fails_when_it_is_entered_is_looked_at_again_unless_its_key_is_refused,
    a_testmo_that_is_not_well_says_nothing_against_a_connection_that_worked,
    a_connection_is_told_to_be_restored_once_a_case_has_arrived_and_its_failing_before_is_no_news,
    a_connection_that_nothing_waits_for_is_told_to_be_restored_at_once,
    what_was_read_before_a_connection_changed_changes_nothing_of_it,
    a_connection_that_was_removed_is_not_entered_again_by_what_was_read_before,
    what_a_worker_notes_in_passing_does_not_hinder_a_change,
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

async fn a_failed_connection_is_looked_at_again_when_it_is_due_and_by_one_worker_alone(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let fails = Verification::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.found(&fails).await;
    let take = async || f.store.take_reverifications(Duration::from_secs(60), 10).await.unwrap().len();
    assert_eq!(take().await, 0);
    f.set_time(1_000_000 + 5 * 60_000).await;
    assert_eq!((take().await, take().await), (1, 0));
    f.found(&fails).await;
    f.set_time(1_000_000 + 14 * 60_000).await;
    assert_eq!(take().await, 0, "the pauses grow");
    f.set_time(1_000_000 + 15 * 60_000).await;
    assert_eq!(take().await, 1);
    let refused = Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    f.found(&refused).await;
    f.set_time(1_000_000 + 999 * 60_000).await;
    assert_eq!(take().await, 0, "no call with a key that is known to be refused");
}

async fn a_connection_that_fails_when_it_is_entered_is_looked_at_again_unless_its_key_is_refused(f: Fixture) {
    let take = async || f.store.take_reverifications(Duration::from_secs(60), 10).await.unwrap().len();
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
        let finding = Some(Verification::Fails { reason, detail: "d".into() });
        f.connect(&ConnectionRow { finding, ..connection(&n.to_string(), false) }).await;
        assert_eq!(take().await, 0, "{reason}");
        f.set_time(1_000_000 + (i64::try_from(n).unwrap() + 1) * 5 * 60_000).await;
        assert_eq!(take().await, looked_at, "{reason}");
    }
}

async fn a_testmo_that_is_not_well_says_nothing_against_a_connection_that_worked(f: Fixture) {
    let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let entered = ConnectionRow { finding: Some(works.clone()), ..connection("v1", true) };
    f.store.set_connection(&entered).await.unwrap();
    let row = async || f.store.connection(&tenant()).await.unwrap().unwrap();
    for reason in [Reason::ServerError, Reason::Throttled, Reason::NoAnswer, Reason::Unreachable, Reason::WrongHost] {
        let fails = Verification::Fails { reason, detail: "d".into() };
        f.found(&fails).await;
        assert!(row().await.is_verified(), "{reason}");
        // A person gives its key another date just then.
        let dated = ConnectionRow { expires_on: Some("2027-01-01".into()), ..entered.clone() };
        f.connect(&dated.judged(fails.clone(), 7)).await;
        assert!(row().await.is_verified(), "{reason}");
        assert_eq!((row().await.finding, row().await.expires_on.as_deref()), (Some(works.clone()), Some("2027-01-01")));
        f.connect(&connection("v2", false).judged(fails, 7)).await;
        assert!(!row().await.is_verified(), "other content has not worked yet");
        f.connect(&entered).await;
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
    let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let fails = Verification::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for (n, batch) in ["b1", "b2"].iter().enumerate() {
        let shelving = Shelving { arrived_at: i64::try_from(n).unwrap(), ..shelving(batch, ShelvedUntil::Connection) };
        f.store.commit(Commit { shelve: Some(shelving), ..Commit::default() }.into()).await.unwrap();
    }
    let mut minutes = 0;
    for (n, pause) in [5, 10, 20, 40].into_iter().enumerate() {
        f.found(&fails).await;
        assert_eq!(told_of_connections(&f.store).await, ["failed"], "time {n}");
        f.set_time(1_000_000 + (minutes + pause) * 60_000 - 1).await;
        assert!(f.store.take_reverifications(Duration::from_secs(60), 10).await.unwrap().is_empty(), "{pause} minutes");
        minutes += pause;
        f.set_time(1_000_000 + minutes * 60_000).await;
        assert_eq!(
            f.store.take_reverifications(Duration::from_secs(60), 10).await.unwrap().len(),
            1,
            "{pause} minutes"
        );
        // Reading is allowed, so the look finds nothing wrong and the work goes out.
        f.found(&works).await;
        assert!(f.store.connection(&tenant()).await.unwrap().unwrap().is_verified());
        assert_eq!(f.store.lease_due("w", Duration::from_secs(0), &[(tenant(), 9)]).await.unwrap().len(), 2);
    }
    f.set_time(1_000_000 + minutes * 60_000 + 1_000).await;
    let leased = f.store.lease_due("w", Duration::from_secs(9), &[(tenant(), 1)]).await.unwrap().remove(0);
    let arrived =
        Commit { unshelve: Some((leased.id.0, leased.generation)), success: Some(tenant()), ..Commit::default() };
    f.store.commit(arrived.clone().into()).await.unwrap();
    f.store.commit(arrived.into()).await.unwrap();
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 2"]);
    f.set_time(1_000_000 + minutes * 60_000 + 2_000).await;
    f.found(&fails).await;
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 2", "failed"]);
}

async fn a_connection_that_nothing_waits_for_is_told_to_be_restored_at_once(f: Fixture) {
    let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let fails = Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.found(&fails).await;
    f.set_time(1_000_001).await;
    f.found(&works).await;
    f.set_time(1_000_002).await;
    f.found(&works).await;
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 0"]);
}

async fn what_was_read_before_a_connection_changed_changes_nothing_of_it(f: Fixture) {
    let works = || Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let fails = || Verification::Fails { reason: Reason::Forbidden, detail: "d".into() };
    assert_eq!(f.store.set_connection(&connection("v1", true)).await.unwrap(), WriteOutcome::Done);
    let row = async || f.store.connection(&tenant()).await.unwrap().unwrap();
    let changed = WriteOutcome::ChangedMeanwhile;
    assert_eq!(f.store.set_connection(&connection("v2", true)).await.unwrap(), changed, "it is not new");
    let read = row().await;
    // With the same content, so that its version is the same.
    let dated = ConnectionRow { expires_on: Some("2030-01-01".into()), ..read.clone() };
    f.connect(&dated).await;
    assert_eq!(f.store.set_connection(&read.clone().judged(works(), 7)).await.unwrap(), changed);
    assert_eq!(f.store.record_verification(&tenant(), "v1", read.epoch, &fails()).await.unwrap(), changed);
    assert_eq!((row().await.expires_on.as_deref(), row().await.is_verified()), (Some("2030-01-01"), true));
    // And a finding of somebody else counts as a change, as does what a case that arrives proves.
    let read = row().await;
    f.found(&fails()).await;
    assert_eq!(f.store.record_verification(&tenant(), "v1", read.epoch, &works()).await.unwrap(), changed);
    assert_eq!(f.store.set_connection(&read.judged(works(), 7)).await.unwrap(), changed);
    assert_eq!(row().await.finding, Some(fails()));
    let shelve = Some(shelving("b", ShelvedUntil::Connection));
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    f.found(&works()).await;
    let read = row().await;
    f.store.commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store.record_verification(&tenant(), "v1", read.epoch, &fails()).await.unwrap(), changed);
    assert_eq!(told_of_connections(&f.store).await, ["failed", "restored 1"]);
}

async fn a_connection_that_was_removed_is_not_entered_again_by_what_was_read_before(f: Fixture) {
    let finding = Verification::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.connect(&connection("v1", true)).await;
    let read = f.store.connection(&tenant()).await.unwrap().unwrap();
    f.store.remove_tenant(&tenant(), "v1").await.unwrap();
    assert_eq!(f.store.set_connection(&read).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    assert!(f.store.connection(&tenant()).await.unwrap().is_none());
    f.set_time(1_000_001).await;
    f.connect(&connection("v1", true)).await;
    assert_eq!(f.store.set_connection(&read).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    let noted = f.store.record_verification(&tenant(), "v1", read.epoch, &finding).await.unwrap();
    assert_eq!(noted, WriteOutcome::ChangedMeanwhile, "it is another one, although it looks the same");
}

async fn what_a_worker_notes_in_passing_does_not_hinder_a_change(f: Fixture) {
    let fails = Verification::Fails { reason: Reason::Forbidden, detail: "d".into() };
    f.connect(&connection("v1", true)).await;
    let read = f.store.connection(&tenant()).await.unwrap().unwrap();
    f.store.commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store.set_connection(&read.judged(fails, 7)).await.unwrap(), WriteOutcome::Done);
    let read = f.store.connection(&tenant()).await.unwrap().unwrap();
    assert_eq!(read.last_success_at, Some(1_000_000));
    f.set_time(1_000_000 + 5 * 60_000).await;
    let taken = f.store.take_reverifications(HOUR, 9).await.unwrap().remove(0);
    assert_eq!(f.store.set_connection(&read).await.unwrap(), WriteOutcome::Done);
    // Whoever verifies it now is the one that comes too late.
    let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    let noted = f.store.record_verification(&tenant(), "v1", taken.epoch, &works).await.unwrap();
    assert_eq!(noted, WriteOutcome::ChangedMeanwhile);
}
