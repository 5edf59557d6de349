//! Makes batches, and names the keys and cases of tests.

use serde_json::{Value, json};
use testmo_courier::batch::TenantId;
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, Rule};

pub(crate) fn tenant_id(text: &str) -> TenantId {
    text.parse().expect("a tenant id")
}

/// Returns the API key of a tenant's user at the stand-in.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("testmo_api_secret_of_{tenant}")
}

/// Returns a rule that applies a fault to case create requests.
pub(crate) fn on_create(fault: Fault) -> Rule {
    Rule::always(fault).on(Method::Post, PathKind::Cases)
}

/// Returns a batch with `count` cases named after it.
pub(crate) fn batch(tenant: &str, id: &str, count: usize) -> Value {
    let case = |n: usize| {
        json!({"external_id": format!("TC-{n}"), "name": format!("{id} case {n}"),
               "steps": [{"action": "Open the page", "expected": "It is <b>open</b> & green"}]})
    };
    json!({"schema_version": 1, "batch_id": id, "tenant_id": tenant, "generated_at": "2026-11-23T09:30:00Z",
           "cases": (1..=count).map(case).collect::<Vec<_>>()})
}

/// Returns the names of a batch's cases, in order.
pub(crate) fn names(id: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{id} case {n}")).collect()
}

/// Returns the day that is `days` days from now, as `2026-12-31`.
pub(crate) fn in_days(days: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    then.to_string()[..10].to_owned()
}
