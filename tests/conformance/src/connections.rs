//! Checks concurrent changes of a connection, and how connections are counted.

use testmo_courier::batch::Reason;
use testmo_courier::batch::render::catalogue::{Catalogue, Field, FieldKind, Item};
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::store::connections::{ConnectionCount, ConnectionRow, FileSource, WriteOutcome};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::ShelvedUntil;

use crate::Subject;
use crate::values::{HOUR, connection, fails, shelving, tenant, works};
use crate::verification::reported;

cases! {
    ($) connections_cases in connections:
    connections_are_counted_by_expiry_and_verification,
    a_change_that_started_from_an_outdated_connection_changes_nothing,
    a_removed_connection_is_not_set_again_by_a_change_that_started_before,
    the_notes_of_a_worker_do_not_prevent_a_change,
    the_fields_of_a_project_are_kept_with_the_connection_that_they_were_read_for,
    the_file_of_a_connection_is_kept_until_the_connection_comes_from_elsewhere,
}

async fn connections_are_counted_by_expiry_and_verification(f: &dyn Subject) {
    assert_eq!(f.store().connection_counts().await.unwrap(), []);
    for (name, verified, expires_on) in
        [("a", true, None), ("b", true, Some("2027-01-01")), ("c", true, Some("2027-01-01")), ("d", false, None)]
    {
        let row = ConnectionRow {
            tenant: name.parse().unwrap(),
            expires_on: expires_on.map(Into::into),
            ..connection("v1", verified)
        };
        f.store().set_connection(&row).await.unwrap();
    }
    // One that was changed after it was verified.
    let changed = ConnectionRow { tenant: "e".parse().unwrap(), version: "v2".into(), ..connection("v1", true) };
    f.store().set_connection(&changed).await.unwrap();
    let mut counts = f.store().connection_counts().await.unwrap();
    counts.sort_by_key(|count| (count.expires_on.clone(), count.verified));
    let count =
        |day: Option<&str>, verified, count| ConnectionCount { expires_on: day.map(Into::into), verified, count };
    let day = Some("2027-01-01");
    assert_eq!(counts, [count(None, false, 1), count(None, true, 1), count(day, false, 1), count(day, true, 2)]);
}

async fn a_change_that_started_from_an_outdated_connection_changes_nothing(f: &dyn Subject) {
    let forbidden = || fails(Reason::Forbidden);
    assert_eq!(f.store().set_connection(&connection("v1", true)).await.unwrap(), WriteOutcome::Done);
    let row = async || f.store().connection(&tenant()).await.unwrap().unwrap();
    let changed = WriteOutcome::ChangedMeanwhile;
    assert_eq!(f.store().set_connection(&connection("v2", true)).await.unwrap(), changed, "it is not new");
    let read = row().await;
    // With the same content, so that its version is the same.
    let dated = ConnectionRow { expires_on: Some("2030-01-01".into()), ..read.clone() };
    f.connect(&dated).await;
    assert_eq!(f.store().set_connection(&read.clone().judged(works(), 7)).await.unwrap(), changed);
    assert_eq!(f.store().record_verification(&tenant(), "v1", read.epoch, &forbidden()).await.unwrap(), changed);
    assert_eq!((row().await.expires_on.as_deref(), row().await.is_verified()), (Some("2030-01-01"), true));
    // The result of another verification counts as a change, and so does the success that an arrived case proves.
    let read = row().await;
    f.record_verification(&forbidden()).await;
    assert_eq!(f.store().record_verification(&tenant(), "v1", read.epoch, &works()).await.unwrap(), changed);
    assert_eq!(f.store().set_connection(&read.judged(works(), 7)).await.unwrap(), changed);
    assert_eq!(row().await.finding, Some(forbidden()));
    let shelve = Some(shelving("b", ShelvedUntil::Connection));
    f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    f.record_verification(&works()).await;
    let read = row().await;
    f.set_time(1_000_001).await;
    f.store().commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store().record_verification(&tenant(), "v1", read.epoch, &forbidden()).await.unwrap(), changed);
    assert_eq!(reported(f).await, ["failed", "restored 1"]);
}

async fn a_removed_connection_is_not_set_again_by_a_change_that_started_before(f: &dyn Subject) {
    let forbidden = fails(Reason::Forbidden);
    f.connect(&connection("v1", true)).await;
    let read = f.store().connection(&tenant()).await.unwrap().unwrap();
    f.remove_tenant("v1").await;
    assert_eq!(f.store().set_connection(&read).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    assert!(f.store().connection(&tenant()).await.unwrap().is_none());
    f.set_time(1_000_001).await;
    f.connect(&connection("v1", true)).await;
    assert_eq!(f.store().set_connection(&read).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    let noted = f.store().record_verification(&tenant(), "v1", read.epoch, &forbidden).await.unwrap();
    assert_eq!(noted, WriteOutcome::ChangedMeanwhile, "it is another one, although it looks the same");
}

async fn the_notes_of_a_worker_do_not_prevent_a_change(f: &dyn Subject) {
    let forbidden = fails(Reason::Forbidden);
    f.connect(&connection("v1", true)).await;
    let read = f.store().connection(&tenant()).await.unwrap().unwrap();
    f.store().commit(Commit { success: Some(tenant()), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store().set_connection(&read.judged(forbidden, 7)).await.unwrap(), WriteOutcome::Done);
    let read = f.store().connection(&tenant()).await.unwrap().unwrap();
    assert_eq!(read.last_success_at, Some(1_000_000));
    f.set_time(1_000_000 + 5 * 60_000).await;
    let taken = f.store().take_reverifications(HOUR, 9).await.unwrap().remove(0);
    assert_eq!(f.store().set_connection(&read).await.unwrap(), WriteOutcome::Done);
    // The result of the verification that was taken comes too late.
    let noted = f.store().record_verification(&tenant(), "v1", taken.epoch, &works()).await.unwrap();
    assert_eq!(noted, WriteOutcome::ChangedMeanwhile);
}

async fn the_fields_of_a_project_are_kept_with_the_connection_that_they_were_read_for(f: &dyn Subject) {
    let fields = |column: &str| {
        let (label, kind) = (column.into(), FieldKind::RichText);
        let options = vec![Item { id: 7, name: "High".into() }];
        let field = Field { id: Some(1), column: column.into(), label, options, required: true, kind };
        let templates = Some(vec![Item { id: 4, name: "Case (BDD)".into() }]);
        FieldKinds::of(&Catalogue { fields: Some(vec![field]), templates, ..Catalogue::default() }).read_at(1)
    };
    f.connect(&ConnectionRow { fields: fields("custom_a"), ..connection("v1", true) }).await;
    let row = async || f.store().connection(&tenant()).await.unwrap().unwrap();
    let read = row().await;
    assert_eq!(read.fields, fields("custom_a"));
    let note = async |version: &str, epoch: u64| {
        f.store().note_fields(&tenant(), version, epoch, &fields("custom_b")).await.unwrap()
    };
    assert_eq!(note("v2", read.epoch).await, WriteOutcome::ChangedMeanwhile);
    assert_eq!(note("v1", read.epoch + 1).await, WriteOutcome::ChangedMeanwhile);
    assert_eq!(row().await.fields, fields("custom_a"));
    assert_eq!(note("v1", read.epoch).await, WriteOutcome::Done);
    f.record_verification(&fails(Reason::Forbidden)).await;
    let noted = row().await;
    assert_eq!((noted.fields, noted.epoch), (fields("custom_b"), read.epoch + 1), "only the verification counts");
    f.connect(&connection("v2", true)).await;
    assert_eq!(row().await.fields, FieldKinds::default());
}

async fn the_file_of_a_connection_is_kept_until_the_connection_comes_from_elsewhere(f: &dyn Subject) {
    let source = FileSource { file: "acme.toml".into(), digest: "d1".into() };
    f.connect(&ConnectionRow { source: Some(source.clone()), ..connection("v1", true) }).await;
    let kept = async || f.store().connection(&tenant()).await.unwrap().unwrap().source;
    f.record_verification(&fails(Reason::Forbidden)).await;
    assert_eq!(kept().await, Some(source), "what is found out about it does not matter");
    f.connect(&connection("v2", true)).await;
    assert_eq!(kept().await, None);
}
