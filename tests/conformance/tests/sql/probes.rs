//! Checks how what probes found is kept beside connections.

use sqlx::Executor;
use testmo_conformance::Subject;
use testmo_conformance::values::connection;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::connections::{Assumption, Finding, Found, LeftCase, Probe, Verification};

use crate::stores::{SqlStore, connect};

on_both! {
    what_a_probe_found_stays_through_changes_of_the_connection_and_is_none,
    a_probe_that_cannot_be_read_does_not_stop_the_connection,
}

fn probe(version: &str) -> Probe {
    let left = LeftCase { project: 1, folder: 7, case: Some(9), name: "n".into(), why: "w".into() };
    let finding = Finding { assumption: Assumption::ListOrder, result: Found::DoesNotHold, observed: "o".into() };
    Probe { version: version.into(), at: 5, created_at: Some(5), left: Some(left), findings: vec![finding] }
}

async fn what_a_probe_found_stays_through_changes_of_the_connection_and_is_none(f: SqlStore) {
    let tenant = connection("v1", true).tenant;
    assert!(!f.store.record_probe(&tenant, &probe("v1"), &[]).await.unwrap(), "there is no connection");
    f.connect(&connection("v1", true)).await;
    let before = f.store.connection(&tenant).await.unwrap().unwrap();
    assert!(before.probe.is_none());
    assert!(f.store.record_probe(&tenant, &probe("v1"), &[]).await.unwrap());
    let probed = f.store.connection(&tenant).await.unwrap().unwrap();
    assert_eq!((probed.probed(), probed.epoch), (Some(&probe("v1")), before.epoch));
    let fails = Verification::Fails { reason: testmo_courier::batch::Reason::Forbidden, detail: "403".into() };
    let noted = f.store.record_verification(&tenant, "v1", before.epoch, &fails).await.unwrap();
    assert!(noted.is_done(), "what was read before the probe is still the present connection");
    f.connect(&connection("v2", true)).await;
    let changed = f.store.connection(&tenant).await.unwrap().unwrap();
    assert_eq!(changed.probe.as_deref(), Some(&probe("v1")), "what was left is still known");
    assert!(changed.probed().is_none(), "what was found says nothing of another version");
}

async fn a_probe_that_cannot_be_read_does_not_stop_the_connection(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    connect(&f.config.url).await.execute("UPDATE connections SET probe = '{\"version\": 7}'").await.unwrap();
    let row = f.store.connection(&connection("v1", true).tenant).await.unwrap().unwrap();
    assert!(row.is_verified() && row.probe.is_none());
}
