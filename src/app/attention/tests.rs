use super::super::fixture::{acme, own, with_acme};
use super::*;
use crate::batch::Reason;
use crate::batch::ledger::BatchState;
use crate::store::LedgerStore;
use crate::store::ledger::{Commit, RecordUpdate};
use crate::store::shelf::{ShelvedUntil, Shelving};

async fn shelve(store: &Store, reason: Reason, until: ShelvedUntil, at: i64) {
    let mut content = Shelving { reason, until, arrived_at: at, ..own().content };
    content.identity = crate::store::shelf::ShelfIdentity::Raw(format!("{reason}-{at}"), Some(acme()), None);
    store.commit(Commit { shelve: Some(content), ..Commit::default() }.into()).await.unwrap();
}

#[tokio::test]
async fn each_cause_says_who_acts_and_what_is_next_and_what_is_retried_is_none() {
    let (store, _dir) = with_acme().await;
    assert!(attention(&store, None).await.unwrap().causes.is_empty());
    for at in [5, 3] {
        shelve(&store, Reason::CaseRefused, ShelvedUntil::Person, at).await;
    }
    shelve(&store, Reason::KeyRefused, ShelvedUntil::Connection, 4).await;
    shelve(&store, Reason::NoRoom, ShelvedUntil::After(std::time::Duration::ZERO), 9).await;
    let found = attention(&store, None).await.unwrap();
    let shown = |cause: &Cause| {
        (
            cause.group.reason.unwrap(),
            cause.who_acts,
            cause.group.entries(),
            cause.group.first_at,
            cause.group.tenants.len(),
        )
    };
    let shown: Vec<_> = found.causes.iter().map(shown).collect();
    let expected = [(Reason::CaseRefused, Party::Generator, 2, 3, 1), (Reason::KeyRefused, Party::Tenant, 1, 4, 1)];
    assert_eq!(shown, expected);
    assert_eq!(found.causes[0].sentence(), Reason::CaseRefused.cause());
    let next = found.causes[1].next().map(|command| command.line.clone());
    assert_eq!(next.as_deref(), Some("testmo-courier tenants set acme --new-api-key"));
    assert!(!found.is_empty());
    let other: TenantId = "birch".parse().unwrap();
    assert!(attention(&store, Some(&other)).await.unwrap().is_empty());
    assert_eq!(attention(&store, Some(&acme())).await.unwrap().causes.len(), 2);
}

#[tokio::test]
async fn a_tenant_has_the_light_that_its_status_has() {
    let (store, _dir) = with_acme().await;
    // Waiting since 1970 is long.
    shelve(&store, Reason::NoRoom, ShelvedUntil::After(std::time::Duration::ZERO), 1).await;
    let row = store.connection(&acme()).await.unwrap().unwrap();
    let status = super::super::connections::status(&store, &row).await.unwrap();
    assert_ne!(status.light, StatusLight::Green);
    let found = attention(&store, None).await.unwrap();
    let [(_, shown)] = &found.connections[..] else { panic!("{found:?}") };
    assert_eq!(*shown, status);
}

#[tokio::test]
async fn batches_that_were_delivered_lately_are_counted_up_to_a_bound() {
    let (store, _dir) = with_acme().await;
    for (n, state) in [BatchState::Delivered, BatchState::Delivered, BatchState::Failed].into_iter().enumerate() {
        let mut record = super::super::fixture::record(state);
        record.key.batch = crate::batch::BatchId::new(&format!("b-{n}")).unwrap();
        record.settled_at = Some(store.now() - 1_000);
        record.epoch = 1;
        let batch = Some(RecordUpdate { record, from_epoch: 0 });
        store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
    }
    let counted = attention(&store, None).await.unwrap().delivered;
    assert_eq!(counted, DeliveredSince { batches: 2, is_all: true });
    let other: TenantId = "birch".parse().unwrap();
    assert_eq!(attention(&store, Some(&other)).await.unwrap().delivered.batches, 0);
    let since = store.now() - 10_000;
    assert!(!store.delivered_since(since, None, 1).await.unwrap().is_all);
    assert_eq!(store.delivered_since(store.now(), None, 1).await.unwrap().batches, 0);
}
