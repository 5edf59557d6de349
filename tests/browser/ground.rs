//! Prepares a console with a worker, tenants, and batches that wait for a person.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_courier::store::StoreHealth;
use testmo_courier::store::shelf::{ShelfIdentity, Shelved};
use testmo_courier::store::trend::Counts;

use crate::api::support::Api;
use crate::support::batches::{batch, tenant_id};
use crate::support::stage::{LeftOver, Stage};

/// A console beside a running worker.
pub(crate) struct Ground {
    pub(crate) api: Api,
    /// A token with every right.
    pub(crate) token: String,
}

impl Ground {
    /// Starts a worker and a console on a stage.
    pub(crate) async fn of(mut stage: Stage) -> Self {
        stage.start_worker();
        let api = Api::of(stage).await;
        let token = api.token("anna", Role::Admin, None).await;
        Self { api, token }
    }

    /// Returns the origin of the console.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.api.address
    }

    /// Carries out a request of the API.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.api.post(path, &self.token, body);
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Stops everything.
    pub(crate) async fn end_leaving(self, wanted: &[LeftOver]) {
        self.api.end().await.end_leaving(wanted).await;
    }
}

/// Puts so many batches of a tenant on the shelf whose Testmo failed for too long, and works now.
pub(crate) async fn exhausted(stage: &Stage, tenant: &str, count: usize) {
    for n in 1..=count {
        stage.shelve_for_person(&batch(tenant, &format!("b-{n}"), 1), Reason::RetriesExhausted).await;
    }
}

/// Puts a batch on the shelf of which Testmo refused every case.
pub(crate) async fn refused(stage: &Stage, tenant: &str, id: &str) {
    stage.shelve_for_person(&batch(tenant, id, 2), Reason::AllRefused).await;
}

/// Returns the id of the entry of a batch.
pub(crate) async fn entry_of(stage: &Stage, subject: &str) -> String {
    let of_batch =
        |row: &Shelved| matches!(&row.content.identity, ShelfIdentity::Batch(key, _) if key.to_string() == subject);
    stage.shelf().await.into_iter().find(of_batch).expect("an entry").id.to_string()
}

/// Discards an entry, as the API does.
pub(crate) fn discard(ground: &Ground, subject: &str) {
    ground.post("/api/v1/shelf/discard", &json!({"ids": [subject], "reason": "published again by mistake"}));
}

/// Has workers have counted for some hours: less at night, and more that failed during an outage.
pub(crate) async fn counted(stage: &Stage) {
    for minutes in (0..3_000_u32).step_by(15) {
        let hour = (minutes / 60) % 24;
        let delivered = if hour < 10 { 12 + u64::from(hour % 3) * 4 } else { 3 };
        let is_outage = (120..200).contains(&minutes);
        let (failed, waiting) = if is_outage { (5, 40) } else { (0, 2) };
        let counts = Counts { delivered: if is_outage { 1 } else { delivered }, failed, waiting };
        let at = stage.store.now() - i64::from(minutes) * 60_000;
        stage.add_to_trend(at, counts).await;
    }
}

/// A console with something on every page: a delivered batch, causes, a case that somebody has renamed in Testmo, a discarded
/// entry, a tenant whose key is refused, a paused lane and a planned replay.
pub(crate) async fn filled() -> Ground {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    counted(&stage).await;
    exhausted(&stage, "acme", 3).await;
    refused(&stage, "acme", "b-refused").await;
    refused(&stage, "acme", "b-twice").await;
    assert!(!stage.connect("birch", "birch", "testmo_api_revoked").await);
    let ground = Ground::of(stage).await;
    let stage = &ground.api.stage;
    stage.publish_and_rename("acme", "b-renamed", "renamed by a person").await;
    stage.shelf_until(|rows| rows.iter().any(|row| row.content.reason == Reason::UnclearInTestmo)).await;
    stage.publish(&batch("acme", "b-delivered", 3)).await;
    stage.settled("acme/b-delivered").await;
    stage.publish(&batch("birch", "b-waits", 2)).await;
    stage.shelf_until(|rows| rows.iter().any(|row| row.tenant() == Some(&tenant_id("birch")))).await;
    discard(&ground, "acme/b-twice");
    ground.post("/api/v1/replays", &json!({"selection": {"reason": "retries_exhausted"}, "name": "after the outage"}));
    ground.post("/api/v1/lanes/pause", &json!({"lane": "birch", "reason": "they upgrade"}));
    ground
}
