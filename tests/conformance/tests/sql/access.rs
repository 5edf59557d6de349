//! Checks what is kept of tokens, links and repeated requests.

use testmo_conformance::values::{START, tenant};
use testmo_courier::store::access::{Answered, BeginRequest, NewLink, NewToken};
use testmo_courier::store::actor::{Actor, Face, Role};
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditFilter, AuditSubject};

use crate::stores::SqlStore;

on_both! {
    a_token_is_found_by_its_hash_and_its_name_is_used_once,
    the_use_of_a_token_is_written_once_a_minute,
    a_link_belongs_to_its_tenant_and_is_forgotten_a_day_after_its_end,
    a_request_is_begun_once_under_its_key_within_a_day,
}

const DAY: i64 = 86_400_000;

fn token(name: &str, hash: &str) -> NewToken {
    NewToken {
        name: name.into(),
        hash: hash.into(),
        role: Role::Operator,
        tenant: Some(tenant()),
        created_by: "anna".into(),
        valid_for: Some(DAY),
    }
}

fn entry(action: AuditAction) -> AuditEntry {
    AuditEntry::new(&Actor::new("anna", Role::Admin, Face::Api), action, AuditSubject::named("token a"))
}

async fn a_token_is_found_by_its_hash_and_its_name_is_used_once(f: SqlStore) {
    let (create, revoke) = (entry(AuditAction::CreateToken), entry(AuditAction::RevokeToken));
    let made = f.store.create_token(&token("a", "h1"), &create).await.unwrap().unwrap();
    assert_eq!((made.created_at, made.expires_at, made.role), (START, Some(START + DAY), Role::Operator));
    assert_eq!(f.store.token_of("h1").await.unwrap().unwrap(), made);
    assert_eq!(f.store.token_of("h2").await.unwrap(), None);
    assert!(f.store.create_token(&token("a", "h2"), &create).await.unwrap().is_none());
    assert!(f.store.create_token(&token("b", "h3"), &create).await.unwrap().is_some());
    let names = async |after: &str, most| {
        let page = f.store.tokens_after(after, most).await.unwrap();
        page.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(
        (names("", 9).await, names("", 1).await, names("a", 9).await),
        (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()], vec!["b".to_owned()],)
    );
    f.set_time(START + 5).await;
    assert_eq!(f.store.revoke_token("a", &revoke).await.unwrap().unwrap().revoked_at, Some(START + 5));
    assert!(f.store.revoke_token("a", &revoke).await.unwrap().is_none());
    assert_eq!(f.store.token_of("h1").await.unwrap().unwrap().revoked_at, Some(START + 5));
    assert!(f.store.create_token(&token("a", "h4"), &create).await.unwrap().is_none(), "a name is never used again");
    let kept = f.store.audit(&AuditFilter::default(), 10).await.unwrap();
    let kept: Vec<&str> = kept.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(kept, ["token.revoke", "token.create", "token.create"], "only what was done");
}

async fn the_use_of_a_token_is_written_once_a_minute(f: SqlStore) {
    f.store.create_token(&token("a", "h"), &entry(AuditAction::CreateToken)).await.unwrap();
    for (at, noted) in [(START, START), (START + 59_999, START), (START + 60_000, START + 60_000)] {
        let row = f.store.token_of("h").await.unwrap().unwrap();
        f.store.note_token_use(&row, at).await.unwrap();
        assert_eq!(f.store.token_of("h").await.unwrap().unwrap().last_used_at, Some(noted), "{at}");
    }
}

async fn a_link_belongs_to_its_tenant_and_is_forgotten_a_day_after_its_end(f: SqlStore) {
    let link = |id: &str| NewLink {
        id: id.into(),
        hash: format!("h-{id}"),
        tenant: tenant(),
        created_by: "anna".into(),
        valid_for: 1_000,
    };
    let create = entry(AuditAction::CreateLink);
    let made = f.store.create_link(&link("a"), &create).await.unwrap();
    assert_eq!((made.created_at, made.expires_at), (START, START + 1_000));
    assert_eq!(f.store.link_of("h-a").await.unwrap().unwrap(), made);
    let other = "other".parse().unwrap();
    let revoke = entry(AuditAction::RevokeLink);
    assert!(f.store.revoke_link(&other, "a", &revoke).await.unwrap().is_none());
    assert!(f.store.revoke_link(&tenant(), "a", &revoke).await.unwrap().is_some());
    assert!(f.store.revoke_link(&tenant(), "a", &revoke).await.unwrap().is_none());
    f.set_time(START + 1_000 + DAY + 1).await;
    f.store.create_link(&link("b"), &create).await.unwrap();
    assert_eq!(f.store.link_of("h-a").await.unwrap(), None);
    assert_eq!(f.store.links_of(&tenant(), 10).await.unwrap().len(), 1);
    assert!(f.store.links_of(&other, 10).await.unwrap().is_empty());
}

async fn a_request_is_begun_once_under_its_key_within_a_day(f: SqlStore) {
    let begin = async |token: &str, hash: &str| f.store.begin_request(token, "k", hash).await.unwrap();
    let answer = Answered { status: 201, body: "{}".into() };
    assert_eq!(begin("a", "h").await, BeginRequest::Begun);
    assert_eq!(begin("a", "h").await, BeginRequest::UnderWay);
    assert_eq!(begin("a", "other").await, BeginRequest::OtherRequest);
    assert_eq!(begin("b", "other").await, BeginRequest::Begun, "keys are those of a token");
    f.store.end_request("a", "k", &answer).await.unwrap();
    assert_eq!(begin("a", "h").await, BeginRequest::Answered(answer));
    assert_eq!(begin("a", "other").await, BeginRequest::OtherRequest);
    f.store.forget_request("b", "k").await.unwrap();
    assert_eq!(begin("b", "third").await, BeginRequest::Begun);
    // What a worker that died has left is taken over after some minutes, and an answer after a day.
    f.set_time(START + 300_001).await;
    assert_eq!(begin("b", "third").await, BeginRequest::Begun);
    assert!(matches!(begin("a", "h").await, BeginRequest::Answered(_)));
    f.set_time(START + DAY + 1).await;
    assert_eq!(begin("a", "other").await, BeginRequest::Begun);
}
