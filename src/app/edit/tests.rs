//! Checks edits of entries in a store.

use std::time::Duration;

use serde_json::json;

use super::super::fixture::{anna, message, own, raw, record, with_acme};
use super::*;
use crate::app::actor::Face;
use crate::batch::ledger::{CaseState, OpenPush, Refusal, Target};
use crate::store::audit::AuditFilter;
use crate::store::shelf::{Action, OperatorAction, ShelvedUntil, Shelving};

const MOST: usize = 100_000;

async fn shelved(store: &Store, content: Shelving) -> ShelfId {
    store.commit(Commit { shelve: Some(content), ..Commit::default() }.into()).await.unwrap();
    *store.shelf_ids(&Default::default()).await.unwrap().last().unwrap()
}

async fn recorded(store: &Store, record: BatchRecord) {
    let batch = Some(RecordUpdate { record: BatchRecord { epoch: 1, ..record }, from_epoch: 0 });
    assert!(store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
}

fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&message()).unwrap();
    edit(&mut json);
    json.to_string().into_bytes()
}

fn refused(reason: Reason) -> CaseState {
    CaseState::Refused(Box::new(Refusal { reason, said: vec![] }))
}

#[tokio::test]
async fn an_edited_message_is_the_same_batch_and_so_is_the_one_before() {
    let (store, _dir) = with_acme().await;
    let id = shelved(&store, own().content).await;
    let mut before = record(BatchState::Partial);
    before.cases[0].state = CaseState::Created(7);
    before.cases[1].state = refused(Reason::CaseRefused);
    recorded(&store, before).await;
    let draft = open(&store, id, MOST).await.unwrap();
    assert_eq!(draft.locks(), [(0, "is in Testmo already")]);
    let checked = draft.check(edited(|m| m["cases"][1]["tags"] = json!(["smoke"]))).unwrap();
    assert_eq!(checked.changes.len(), 1);
    draft.store(&checked, &store, &anna(), Some("the tag was missing")).await.unwrap();

    let row = store.shelved(id).await.unwrap().unwrap();
    assert_eq!((&*row.content.body, row.id), (&checked.body, id));
    let stored = store.batch(&checked.batch.key).await.unwrap().unwrap().record;
    let before = decode(&message()).unwrap();
    assert_eq!(stored.standing(&fingerprint(&checked.batch)), Standing::Present);
    assert_eq!(stored.standing(&fingerprint(&before)), Standing::Earlier);
    assert_eq!((&stored.cases[1].state, stored.state), (&CaseState::Waiting, BatchState::Partial));
    assert_eq!(row.content.identity, ShelfIdentity::Batch(before.key.clone(), fingerprint(&checked.batch)));
    let [entry] = &store.audit(&AuditFilter::default(), 9).await.unwrap()[..] else { panic!() };
    assert_eq!((entry.action.as_str(), entry.reason.as_deref()), ("shelf.edit", Some("the tag was missing")));
    assert_eq!(entry.after.as_deref(), Some(r#"{"/cases/1/tags":["smoke"]}"#));
    assert_eq!(entry.batch.as_deref(), Some("b-1"));

    // Of two edits of the same draft only the first one is stored.
    let second = draft.check(edited(|m| m["cases"][1]["tags"] = json!(["other"]))).unwrap();
    let error = draft.store(&second, &store, &anna(), None).await.unwrap_err();
    assert!(matches!(error, EditError::Changed), "{error}");
    assert_eq!(store.audit(&AuditFilter::default(), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_edit_races_a_replay_and_one_of_them_is_reported() {
    let (store, _dir) = with_acme().await;
    let id = shelved(&store, own().content).await;
    let draft = open(&store, id, MOST).await.unwrap();
    let checked = draft.check(edited(|m| m["cases"][1]["name"] = json!("z"))).unwrap();
    let generation = store.shelved(id).await.unwrap().unwrap().generation;
    let replay = OperatorAction { id, generation, action: Action::Replay, batch: None, item: None };
    let replay = Commit { operator_action: Some(replay), ..Commit::default() };
    let anna = anna();
    let (replayed, stored) = tokio::join!(store.commit(replay.into()), draft.store(&checked, &store, &anna, None));
    assert!(replayed.unwrap().is_done());
    assert!(matches!(stored, Err(EditError::Changed)), "{stored:?}");
    assert_eq!(*store.shelved(id).await.unwrap().unwrap().content.body, message());
}

#[tokio::test]
async fn what_a_worker_has_in_hand_or_has_ended_is_not_edited() {
    let (store, _dir) = with_acme().await;
    let parked = Shelving { until: ShelvedUntil::After(Duration::ZERO), ..own().content };
    let id = shelved(&store, parked).await;
    use crate::store::ShelfStore;
    let lease = Duration::from_secs(60);
    let asks = [(super::super::fixture::acme(), 9)];
    assert_eq!(store.lease_due("w", lease, &asks, MOST).await.unwrap().len(), 1);
    let error = open(&store, id, MOST).await.unwrap_err();
    assert!(matches!(error, EditError::Unfinished(Unfinished::InHand)), "{error}");

    for (state, said) in [(BatchState::Delivered, "already in Testmo"), (BatchState::Discarded, "ended as discarded")] {
        let (store, _dir) = with_acme().await;
        let id = shelved(&store, own().content).await;
        recorded(&store, record(state)).await;
        let error = open(&store, id, MOST).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let error = open(&store, ShelfId(99), MOST).await.unwrap_err();
    assert!(matches!(error, EditError::Gone), "{error}");
}

#[tokio::test]
async fn a_message_that_is_no_batch_becomes_one_of_its_own_tenant() {
    let (store, _dir) = with_acme().await;
    let tenant = Some(super::super::fixture::acme());
    let faulty = b"{\"tenant_id\": \"acme\", \"cases\": []}".to_vec();
    let identity = ShelfIdentity::Raw("h".into(), tenant, None);
    let id = shelved(&store, Shelving { identity, body: faulty.into(), ..raw(Reason::InvalidMessage).content }).await;
    let draft = open(&store, id, MOST).await.unwrap();
    assert_eq!(draft.text(), "{\n  \"tenant_id\": \"acme\",\n  \"cases\": []\n}\n");
    let EditError::Faulty(faults) = draft.check(draft.text().into_bytes()).unwrap_err() else { panic!() };
    assert!(faults.iter().any(|fault| fault.pointer == "/cases"), "{faults:?}");
    let error = draft.check(edited(|m| m["tenant_id"] = json!("birch"))).unwrap_err().to_string();
    assert!(error.starts_with("/tenant_id cannot be edited"), "{error}");
    let checked = draft.check(message()).unwrap();
    draft.store(&checked, &store, &anna(), None).await.unwrap();
    let row = store.shelved(id).await.unwrap().unwrap();
    assert_eq!(row.content.identity, own().content.identity);
    assert_eq!(store.batch(&checked.batch.key).await.unwrap().map(|stored| stored.record), None, "nothing was sent");
}

#[tokio::test]
async fn an_id_that_another_batch_has_is_taken() {
    let (store, _dir) = with_acme().await;
    let id = shelved(&store, raw(Reason::BatchConflict).content).await;
    recorded(&store, BatchRecord { fingerprint: "1:other".into(), ..record(BatchState::Delivered) }).await;
    let draft = open(&store, id, MOST).await.unwrap();
    let error = draft.check(edited(|m| m["cases"][0]["name"] = json!("z"))).unwrap_err().to_string();
    assert!(error.contains("another batch with the batch_id b-1 was received before"), "{error}");
    let checked = draft.check(edited(|m| m["batch_id"] = json!("b-2"))).unwrap();
    draft.store(&checked, &store, &anna(), None).await.unwrap();
    assert_eq!(super::super::plan::batch_label(&store.shelved(id).await.unwrap().unwrap()), "acme/b-2");

    // A message without a readable id that is given one of a known batch.
    let body = b"{".to_vec().into();
    let id = shelved(
        &store,
        Shelving { body, identity: ShelfIdentity::Raw("i".into(), None, None), ..raw(Reason::NotJson).content },
    )
    .await;
    let draft = open(&store, id, MOST).await.unwrap();
    assert_eq!(draft.text(), "{");
    let error = draft.store(&draft.check(message()).unwrap(), &store, &anna(), None).await.unwrap_err();
    assert!(matches!(error, EditError::Taken(_)), "{error}");
}

#[tokio::test]
async fn nothing_that_is_locked_or_faulty_is_stored_and_a_viewer_edits_nothing() {
    let (store, _dir) = with_acme().await;
    let id = shelved(&store, own().content).await;
    let mut before = record(BatchState::Partial);
    before.cases[0].state = CaseState::Adopted(7);
    recorded(&store, before).await;
    let draft = open(&store, id, MOST).await.unwrap();
    let table = [
        (
            edited(|m| m["cases"][0]["name"] = json!("z")),
            "/cases/0/name cannot be edited: case #1 is in Testmo already",
        ),
        (edited(|m| m["cases"][1]["nmae"] = json!("z")), "/cases/1/nmae (case #2) is not a known key"),
        (edited(|m| m["batch_id"] = json!("b-9")), "/batch_id cannot be edited: the generator knows this batch as b-1"),
        (b"{".to_vec(), "the message is not valid JSON"),
        (edited(|m| m["cases"][1]["description"] = json!("x".repeat(MOST))), "the worker accepts at most 100000"),
    ];
    for (body, said) in table {
        let error = draft.check(body).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let checked = draft.check(edited(|m| m["cases"][1]["name"] = json!("z"))).unwrap();
    let viewer = Actor::new("bert", Role::Viewer, Face::Api);
    let error = draft.store(&checked, &store, &viewer, None).await.unwrap_err();
    assert!(matches!(error, EditError::NotAllowed(_)), "{error}");
    assert_eq!(*store.shelved(id).await.unwrap().unwrap().content.body, message());
    let binary = Shelving {
        body: vec![0xff, 0xfe].into(),
        identity: ShelfIdentity::Raw("b".into(), None, None),
        ..raw(Reason::NotJson).content
    };
    let id = shelved(&store, binary).await;
    assert!(matches!(open(&store, id, MOST).await.unwrap_err(), EditError::NotText));
}

#[tokio::test]
async fn a_request_that_may_be_under_way_keeps_the_message_as_it_is() {
    let (store, _dir) = with_acme().await;
    let id = shelved(&store, own().content).await;
    let mut claimed = record(BatchState::Open);
    let push = OpenPush { id: "p".into(), connection: "v1".into(), batch_tag: None, committed: false };
    claimed.claim(&[0], push, &Target { account: "https://acme.testmo.net".into(), project: 1, folder: 1 });
    let batch = Some(RecordUpdate { record: BatchRecord { epoch: 1, ..claimed }, from_epoch: 0 });
    store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
    let draft = open(&store, id, MOST).await.unwrap();
    assert_eq!(draft.locks(), [(0, "is part of a request whose outcome is not known")]);
}

#[tokio::test]
async fn a_setting_is_planned_for_a_selection_and_reports_each_entry() {
    let (store, _dir) = with_acme().await;
    let content = |batch: &str, tags: &[&str]| {
        let body = edited(|m| {
            m["batch_id"] = json!(batch);
            m["cases"][0]["tags"] = json!(tags);
            m["cases"][1]["tags"] = json!(["smoke"]);
        });
        let decoded = decode(&body).unwrap();
        let identity = ShelfIdentity::Batch(decoded.key.clone(), fingerprint(&decoded));
        Shelving { identity, body: body.into(), ..own().content }
    };
    let ids = [
        shelved(&store, content("b-1", &["a"])).await,
        shelved(&store, content("b-2", &["smoke"])).await,
        shelved(&store, content("b-3", &["b"])).await,
        shelved(&store, Shelving { body: b"{".to_vec().into(), ..raw(Reason::NotJson).content }).await,
    ];
    let settings = || vec!["tags=[\"smoke\"]".parse().unwrap()];
    let planned = plan(&store, &ids, settings(), MOST).await.unwrap();
    assert_eq!((planned.len(), planned.changes, planned.unaffected.len(), planned.refused.len()), (2, 2, 1, 1));
    assert!(planned.refused[0].why.to_string().contains("not JSON"), "{}", planned.refused[0].why);
    assert_eq!(planned.samples[0].changes[0].pointer, "/cases/0/tags/0");
    // One of them is edited by another person between the plan and its confirmation.
    let draft = open(&store, ids[2], MOST).await.unwrap();
    draft.store(&draft.set(&["priority=high".parse().unwrap()]).unwrap(), &store, &anna(), None).await.unwrap();
    let outcome = planned.carry_out(&store, &anna(), Some("all are smoke tests"), MOST).await.unwrap();
    let done: Vec<&str> = outcome.done.iter().map(|entry| entry.batch.as_str()).collect();
    assert_eq!((done, outcome.refused.len(), outcome.gone.len()), (vec!["acme/b-1"], 2, 0));
    assert!(matches!(outcome.refused[1].why, EditError::Changed));
    let again = plan(&store, &ids[..2], settings(), MOST).await.unwrap();
    assert!(again.is_empty() && again.unaffected.len() == 2);
    let not_there = plan(&store, &ids[..1], vec!["/cases/9/name=x".parse().unwrap()], MOST).await.unwrap();
    assert!(not_there.refused[0].why.to_string().contains("no entry 9"));
}
