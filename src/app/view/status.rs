//! Shows programs in a few words whether a tenant's connection works.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::connections::{ConnectionRow, Status, days_until_expiry};
use super::super::time::{day_of, rfc3339};
use crate::batch::TenantId;
use crate::store::connections::Verification;
use crate::store::shelf::Waiting;

/// Whether a tenant's connection works.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StatusView {
    tenant_id: String,
    /// `green`: it works; `amber`: it works, and somebody should act soon; `red`: it does not work; `grey`: none was entered.
    light: &'static str,
    /// Why the light is as it is.
    sentence: String,
    /// What to do; null where nothing has to be done, or the sentence says it.
    remedy: Option<String>,
    /// Everything that is known, the most important first.
    remarks: Vec<String>,
    /// When a case last arrived in Testmo.
    last_success_at: Option<String>,
    api_key_expires_on: Option<String>,
    api_key_days_left: Option<i32>,
    /// How many batches wait on the shelf and are retried automatically, of at most 10,000.
    waiting_batches: usize,
    /// Whether all of them are counted.
    waiting_is_complete: bool,
    /// When the oldest of them arrived.
    waiting_since: Option<String>,
}

impl StatusView {
    /// Shows the state of a connection at `now`, in milliseconds since 1970.
    pub fn of(row: &ConnectionRow, status: &Status, waiting: Waiting, now: i64) -> Self {
        let sentence = status.remarks.first().cloned().unwrap_or_else(|| "The connection works.".into());
        let reason = match &row.finding {
            Some(Verification::Fails { reason, .. }) if !row.is_verified() => Some(*reason),
            Some(_) | None => row.refusal.as_ref().map(|refusal| refusal.reason),
        };
        Self {
            tenant_id: row.tenant.to_string(),
            light: status.light.name(),
            sentence,
            remedy: reason.map(|reason| reason.remedy().to_owned()),
            remarks: status.remarks.clone(),
            last_success_at: row.last_success_at.and_then(rfc3339),
            api_key_expires_on: row.expires_on.clone(),
            api_key_days_left: days_until_expiry(row, day_of(now)),
            waiting_batches: waiting.batches,
            waiting_is_complete: !waiting.is_more,
            waiting_since: waiting.since.and_then(rfc3339),
        }
    }

    /// Returns the word for the light.
    pub fn light(&self) -> &'static str {
        self.light
    }

    /// Says why the light is as it is.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Returns what to do, where something has to be done that the sentence does not say.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Shows that a tenant has no connection.
    pub fn of_none(tenant: &TenantId, waiting: Waiting) -> Self {
        let sentence = "No connection to Testmo has been entered yet.".to_owned();
        Self {
            tenant_id: tenant.to_string(),
            light: "grey",
            remedy: Some("Enter the base URL, the project, the folder and the API key.".into()),
            remarks: vec![sentence.clone()],
            sentence,
            last_success_at: None,
            api_key_expires_on: None,
            api_key_days_left: None,
            waiting_batches: waiting.batches,
            waiting_is_complete: !waiting.is_more,
            waiting_since: waiting.since.and_then(rfc3339),
        }
    }
}
