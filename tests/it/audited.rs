//! Checks that every change by a person leaves its entry in the audit, and that what is not done leaves none.

use secrecy::SecretString;
use testmo_courier::app::AppContext;
use testmo_courier::app::actor::{ActionError, Actor, Face, NotAllowed, Role};
use testmo_courier::app::audit::{AuditAction, AuditFilter, AuditRow, list};
use testmo_courier::app::connections::connection;
use testmo_courier::app::connections::probe::{ProbeError, probe};
use testmo_courier::app::connections::remove::{RemoveError, remove};
use testmo_courier::app::connections::set::{ConnectionInput, Expiry, SetError, discard_change, prepare};
use testmo_courier::app::connections::verify::verify;
use testmo_courier::app::lanes::{LaneError, LaneOrder, order};
use testmo_courier::app::messages::{Message, OtherUser, publish};
use testmo_courier::app::replays::{self, ReplayAction, ReplayError, ReplayRequest};
use testmo_courier::app::shelf::{CauseId, EntryName, NoteError, Selection, ShelfFilter, remove_note, write_note};
use testmo_courier::app::{PublishError, discard};
use testmo_courier::batch::{BatchId, Reason};
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::shelf::ShelfId;

use crate::support::batches::{batch, key_of, tenant_id};
use crate::support::postgres::Postgres;
use crate::support::stage::{LeftOver, Stage};

/// A key that must not be in the audit.
const NEW_KEY: &str = "s3cret-second-key";

/// Where the test of an action is that this file does not carry out.
fn is_carried_out_here(action: AuditAction) -> bool {
    match action {
        AuditAction::SetConnection
        | AuditAction::DiscardConnectionChange
        | AuditAction::VerifyConnection
        | AuditAction::ProbeConnection
        | AuditAction::RemoveTenant
        | AuditAction::PauseLane
        | AuditAction::ResumeLane
        | AuditAction::SetLane
        | AuditAction::DiscardEntry
        | AuditAction::NoteCause
        | AuditAction::PlanReplay
        | AuditAction::StartReplay
        | AuditAction::PauseReplay
        | AuditAction::ResumeReplay
        | AuditAction::CancelReplay
        | AuditAction::PublishMessage => true,
        // They are tested beside their use cases.
        AuditAction::RestoreEntry
        | AuditAction::EditEntry
        | AuditAction::DecideCandidates
        | AuditAction::UndoBatch
        | AuditAction::RestoreBatch
        | AuditAction::RemoveDuplicates
        | AuditAction::ReplayEntry
        | AuditAction::EndReplay
        | AuditAction::CreateToken
        | AuditAction::RevokeToken
        | AuditAction::CreateLink
        | AuditAction::RevokeLink
        | AuditAction::RestoreStore
        | AuditAction::MoveStore
        | AuditAction::RotateMasterKey => false,
    }
}

fn anna(role: Role) -> Actor {
    Actor::new("anna", role, Face::Api)
}

/// The audit from its beginning on.
async fn audit(context: &AppContext) -> Vec<AuditRow> {
    let page = list(&context.store, &AuditFilter::default(), None, 0).await.expect("a store");
    page.entries.into_iter().map(|item| item.row).rev().collect()
}

/// What a person enters to change the folder of a tenant's connection.
fn folder(tenant: &str, folder: u64) -> ConnectionInput {
    ConnectionInput {
        tenant: tenant_id(tenant),
        base_url: None,
        project: None,
        folder: Some(folder),
        expires: Expiry::Kept,
        mapping: None,
        new_api_key: false,
        discard_change: false,
        source: None,
    }
}

/// What replays one entry.
fn replay_of(entry: ShelfId) -> ReplayRequest {
    let selection = Selection::Named(vec![EntryName::Id(entry)]);
    ReplayRequest { selection, name: None, reason: None, per_minute: None, most: None, unchanged_too: false }
}

struct Audited {
    stage: Stage,
    context: AppContext,
    seen: usize,
    done: Vec<String>,
}

impl Audited {
    async fn on(stage: Stage) -> Self {
        let context = AppContext::open(stage.config.clone()).await.expect("a store and its key");
        Self { stage, context, seen: 0, done: Vec::new() }
    }

    /// Checks that exactly these actions, each with its subject, were kept since the last call.
    async fn left(&mut self, what: &str, expected: &[(AuditAction, &str)]) -> Vec<AuditRow> {
        let rows = audit(&self.context).await.split_off(self.seen);
        let kept: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.subject.as_str())).collect();
        let expected: Vec<_> = expected.iter().map(|(action, subject)| (action.name(), *subject)).collect();
        assert_eq!(kept, expected, "{what}");
        for row in &rows {
            assert_eq!((row.actor.as_str(), row.face.as_str()), ("anna", "api"), "{what}");
        }
        self.seen += rows.len();
        self.done.extend(rows.iter().map(|row| row.action.clone()));
        rows
    }

    /// Puts a batch of the tenant on the shelf, and returns its id there.
    async fn shelve(&self, tenant: &str, id: &str) -> ShelfId {
        self.stage.shelve(&batch(tenant, id, 1), Reason::RetriesExhausted).await;
        let filter = ShelfFilter {
            tenant: Some(tenant_id(tenant)),
            batch: Some(BatchId::new(id).expect("an id")),
            ..ShelfFilter::default()
        };
        self.context.store.shelf_ids(&filter).await.expect("a store")[0]
    }

    async fn set(&self, actor: &Actor, input: ConnectionInput, key: Option<&str>) -> Result<(), SetError> {
        let prepared = prepare(&self.context, input).await?;
        prepared.save(&self.context, actor, key.map(SecretString::from)).await.map(drop)
    }

    async fn connections(&mut self, admin: &Actor) {
        self.set(
            admin,
            ConnectionInput { expires: Expiry::On("2999-01-31".parse().expect("a value")), ..folder("acme", 1) },
            None,
        )
        .await
        .expect("a connection");
        let rows = self.left("another day", &[(AuditAction::SetConnection, "tenant acme")]).await;
        assert!(rows[0].before.as_ref().expect("a value").contains(r#""expires_on":null"#), "{rows:?}");
        assert!(rows[0].after.as_ref().expect("a value").contains(r#""expires_on":"2999-01-31""#), "{rows:?}");
        assert!(!rows[0].after.as_ref().expect("a value").contains("api_key"), "{rows:?}");
        let input = ConnectionInput { new_api_key: true, ..folder("acme", 999) };
        self.set(admin, input, Some(NEW_KEY)).await.expect("a change");
        let rows = self.left("a change that does not work", &[(AuditAction::SetConnection, "tenant acme")]).await;
        let after = rows[0].after.as_ref().expect("a value");
        assert!(after.contains(r#""in_force":false"#) && after.contains(r#""api_key":"changed""#), "{after}");
        let client = self.context.client().expect("a client");
        verify(&self.context, admin, &client, &tenant_id("acme")).await.expect("a store").expect("a connection");
        let verified = (AuditAction::VerifyConnection, "tenant acme");
        let rows = self.left("the change, and what is in force", &[verified, verified]).await;
        assert!(rows[0].after.as_ref().expect("a value").contains(r#""works":false"#), "{rows:?}");
        assert!(rows[1].after.as_ref().expect("a value").contains(r#""works":true"#), "{rows:?}");
        let seen = connection(&self.context.store, &tenant_id("acme")).await.expect("a connection");
        assert!(discard_change(&self.context, admin, &seen).await.expect("a store"));
        self.left("the change is dropped", &[(AuditAction::DiscardConnectionChange, "tenant acme")]).await;
        let outdated = discard_change(&self.context, admin, &seen).await;
        assert!(matches!(outdated, Err(SetError::Changed(_))), "{outdated:?}");
        let seen = connection(&self.context.store, &tenant_id("acme")).await.expect("a connection");
        assert!(!discard_change(&self.context, admin, &seen).await.expect("a store"));
        self.left("there is no change", &[]).await;
        let probed = (AuditAction::ProbeConnection, "tenant acme");
        probe(&self.context, admin, &tenant_id("acme"), None).await.expect("a probe");
        self.left("a probe that reads", &[verified, probed]).await;
        probe(&self.context, admin, &tenant_id("acme"), Some(1)).await.expect("a probe");
        self.left("a probe that writes says so before", &[verified, probed, probed]).await;
    }

    async fn lanes(&mut self, operator: &Actor) {
        let origin = self.stage.testmo.origin("acme");
        let subject = format!("lane {origin}");
        for (wanted, lane, expected, before, after) in [
            (LaneOrder::Pause, "acme", (AuditAction::PauseLane, "lane acme"), "false", "true"),
            (LaneOrder::Limit(Some(2)), origin.as_str(), (AuditAction::SetLane, subject.as_str()), "null", "2"),
            (LaneOrder::Resume { now: true }, "acme", (AuditAction::ResumeLane, "lane acme"), "true", "false"),
        ] {
            let (store, testmo) = (&self.context.store, &self.context.config.testmo);
            order(store, operator, testmo, lane, wanted, Some("a test")).await.expect("a lane");
            let rows = self.left("a lane", &[expected]).await;
            assert_eq!(rows[0].reason.as_deref(), Some("a test"));
            assert!(rows[0].before.as_ref().expect("a value").contains(before), "{rows:?}");
            assert!(rows[0].after.as_ref().expect("a value").contains(after), "{rows:?}");
        }
    }

    async fn shelf(&mut self, operator: &Actor) {
        let (replayed, discarded) = (self.shelve("acme", "b-1").await, self.shelve("acme", "b-2").await);
        let store = &self.context.store;
        let config = &self.context.config;
        let planned = replays::plan(store, config, operator, replay_of(replayed)).await.expect("a plan");
        let subject = format!("replay {}", planned.id);
        let act = |action| replays::act(store, operator, planned.id, action, Some("a test"));
        for action in [ReplayAction::Start, ReplayAction::Pause, ReplayAction::Resume, ReplayAction::Cancel] {
            act(action).await.expect("a replay");
        }
        let expected = [
            AuditAction::PlanReplay,
            AuditAction::StartReplay,
            AuditAction::PauseReplay,
            AuditAction::ResumeReplay,
            AuditAction::CancelReplay,
        ];
        let rows = self.left("a replay", &expected.map(|action| (action, subject.as_str()))).await;
        assert!(rows[0].after.as_ref().is_some_and(|after| after.contains(&replayed.to_string())), "{rows:?}");
        assert_eq!((rows[1].before.as_deref(), rows[1].after.as_deref()), (Some("\"planned\""), Some("\"running\"")));
        assert_eq!(rows[4].reason.as_deref(), Some("a test"));
        let store = &self.context.store;
        let plan = discard::plan(store, &[discarded]).await.expect("a store");
        plan.carry_out(store, operator, Some("withdrawn")).await.expect("a store");
        let subject = format!("shelf {discarded}");
        let rows = self.left("a discard", &[(AuditAction::DiscardEntry, &subject)]).await;
        assert_eq!(rows[0].reason.as_deref(), Some("withdrawn"));
        let cause = CauseId::of(Reason::RetriesExhausted.code(), None);
        let subject = format!("group {cause}");
        write_note(&self.context.store, operator, cause, "known").await.expect("a group");
        self.left("a note", &[(AuditAction::NoteCause, &subject)]).await;
        remove_note(&self.context.store, operator, cause).await.expect("a note");
        self.left("a note is removed", &[(AuditAction::NoteCause, &subject)]).await;
        assert!(matches!(remove_note(&self.context.store, operator, cause).await, Err(NoteError::NoNote(_))));
        self.left("there is no note", &[]).await;
    }

    async fn publish(&mut self, operator: &Actor) -> Result<(), Refusal> {
        let message = Message::of(batch("acme", "p-1", 2).to_string().into_bytes());
        publish(Some(&self.context.store), operator, &self.context.config.amqp, [&message], |_| Ok(())).await
    }

    async fn removal(&mut self, admin: &Actor, agreed: bool) -> Result<usize, RemoveError> {
        remove(
            (&self.context.store, &self.context.config.tenants),
            admin,
            &tenant_id("acme"),
            true,
            Some("gone"),
            async |_| Ok(agreed),
        )
        .await
        .result
    }
}

#[derive(Debug)]
enum Refusal {
    NotAllowed,
    Other,
}

impl From<PublishError> for Refusal {
    fn from(_: PublishError) -> Self {
        Self::Other
    }
}

impl From<OtherUser> for Refusal {
    fn from(_: OtherUser) -> Self {
        Self::Other
    }
}

impl From<ActionError> for Refusal {
    fn from(error: ActionError) -> Self {
        if matches!(error, ActionError::NotAllowed(_)) { Self::NotAllowed } else { Self::Other }
    }
}

async fn every_change_leaves_its_entry(stage: Stage) {
    let mut audited = Audited::on(stage).await;
    let (operator, admin) = (anna(Role::Operator), anna(Role::Admin));
    audited.connections(&admin).await;
    audited.lanes(&operator).await;
    audited.shelf(&operator).await;
    audited.publish(&operator).await.expect("a broker");
    audited.left("a message", &[(AuditAction::PublishMessage, "batch acme/p-1")]).await;
    audited.removal(&admin, true).await.expect("a tenant");
    let rows = audit(&audited.context).await.split_off(audited.seen);
    let subject = rows[0].subject.clone();
    audited
        .left("a tenant", &[(AuditAction::DiscardEntry, &subject), (AuditAction::RemoveTenant, "tenant acme")])
        .await;
    for action in AuditAction::ALL.iter().filter(|action| is_carried_out_here(**action)) {
        assert!(audited.done.iter().any(|done| done == action.name()), "{} was not carried out", action.name());
    }
    let whole = format!("{:?}", audit(&audited.context).await);
    for secret in [NEW_KEY, &key_of("acme"), "ciphertext", "nonce"] {
        assert!(!whole.contains(secret), "{secret} is in the audit");
    }
    let of_acme = AuditFilter { tenant: Some(tenant_id("acme")), ..AuditFilter::default() };
    let page = list(&audited.context.store, &of_acme, None, 0).await.expect("a store");
    assert!(page.entries.len() > 10, "the entries of a removed tenant stay");
    audited.stage.end_leaving(&[LeftOver::Messages, LeftOver::Events]).await;
}

async fn what_is_not_done_leaves_no_entry(stage: Stage) {
    let mut audited = Audited::on(stage).await;
    let (viewer, operator, admin) = (anna(Role::Viewer), anna(Role::Operator), anna(Role::Admin));
    let acme = tenant_id("acme");
    let entry = audited.shelve("acme", "b-1").await;
    let cause = CauseId::of(Reason::RetriesExhausted.code(), None);
    let client = audited.context.client().expect("a client");

    let refused = |error: &NotAllowed, needs: Role| assert_eq!(error.needs, needs, "{error}");
    for person in [&viewer, &operator] {
        let Err(SetError::NotAllowed(error)) = audited.set(person, folder("acme", 1), None).await else { panic!() };
        refused(&error, Role::Admin);
        let seen = connection(&audited.context.store, &acme).await.expect("a connection");
        let dropped = discard_change(&audited.context, person, &seen).await;
        assert!(matches!(dropped, Err(SetError::NotAllowed(_))), "{dropped:?}");
        let removed = audited.removal(person, true).await;
        assert!(matches!(removed, Err(RemoveError::NotAllowed(_))), "{removed:?}");
    }
    let verified = verify(&audited.context, &viewer, &client, &acme).await;
    assert!(matches!(verified, Err(ActionError::NotAllowed(_))));
    let probed = probe(&audited.context, &viewer, &acme, Some(1)).await;
    assert!(matches!(probed, Err(ProbeError::NotAllowed(_))), "{probed:?}");
    let testmo = audited.context.config.testmo.clone();
    let store = audited.context.store.clone();
    let ordered = order(&store, &viewer, &testmo, "acme", LaneOrder::Pause, None).await;
    assert!(matches!(ordered, Err(LaneError::NotAllowed(_))), "{ordered:?}");
    let noted = write_note(&store, &viewer, cause, "x").await;
    assert!(matches!(noted, Err(NoteError::NotAllowed(_))), "{noted:?}");
    let config = audited.context.config.clone();
    let replayed = replays::plan_and_start(&store, &config, &viewer, replay_of(entry)).await;
    assert!(matches!(replayed, Err(ReplayError::NotAllowed(_))), "{replayed:?}");
    assert!(matches!(audited.publish(&viewer).await, Err(Refusal::NotAllowed)));
    audited.left("what a role does not allow", &[]).await;

    let planned = replays::plan(&store, &config, &operator, replay_of(entry)).await.expect("a plan");
    let start = || replays::act(&store, &operator, planned.id, ReplayAction::Start, None);
    start().await.expect("a replay");
    let late = start().await;
    assert!(matches!(late, Err(ReplayError::WrongState { .. })), "{late:?}");
    let subject = format!("replay {}", planned.id);
    let both = [(AuditAction::PlanReplay, subject.as_str()), (AuditAction::StartReplay, subject.as_str())];
    audited.left("only the first of two starts", &both).await;

    let outdated = prepare(&audited.context, folder("acme", 1)).await.expect("a connection");
    let input = ConnectionInput { expires: Expiry::On("2999-01-31".parse().expect("a value")), ..folder("acme", 1) };
    audited.set(&admin, input, None).await.expect("a connection");
    let saved = outdated.save(&audited.context, &admin, None).await;
    assert!(matches!(saved, Err(SetError::Changed(_))), "{saved:?}");
    audited.left("only the first of two changes", &[(AuditAction::SetConnection, "tenant acme")]).await;

    let ordered = order(&store, &operator, &testmo, "nobody", LaneOrder::Pause, None).await;
    assert!(matches!(ordered, Err(LaneError::Unknown { .. })), "{ordered:?}");
    let noted = write_note(&store, &operator, CauseId::of("x", None), "x").await;
    assert!(matches!(noted, Err(NoteError::NoGroup(_))), "{noted:?}");
    let noted = write_note(&store, &operator, cause, "  ").await;
    assert!(matches!(noted, Err(NoteError::Length(0))), "{noted:?}");
    let removed = audited.removal(&admin, false).await;
    assert!(matches!(removed, Err(RemoveError::Cancelled)), "{removed:?}");
    let tried = prepare(&audited.context, folder("acme", 1)).await.expect("a connection");
    tried.try_out(&audited.context, &admin, None).await.expect("a connection that is only tried");
    audited.left("what fails, is cancelled or only tried", &[]).await;
    assert!(store.connection(&acme).await.expect("a store").is_some());
    audited.stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_its_entry_in_a_file() {
    every_change_leaves_its_entry(Stage::with_tenants(&["acme"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_its_entry_on_postgres() {
    every_change_leaves_its_entry(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_leaves_no_entry_in_a_file() {
    what_is_not_done_leaves_no_entry(Stage::with_tenants(&["acme"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_leaves_no_entry_on_postgres() {
    what_is_not_done_leaves_no_entry(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
}
