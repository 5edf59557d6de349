//! Checks that no account received create requests during its rate-limit pause.
//!
//! The ledger records when each create request was granted its permit and, in the transaction that begins the
//! rate-limit pause, that the request ended with 429. No permit may be granted from then on until the pause ends, and
//! the account may not receive more create requests meanwhile than had their permits before.

use anyhow::Context;
use sqlx::{AnyPool, Row};
use testmo_sim::Method;

use crate::plan::{Plan, TENANTS};
use crate::stage::Stage;

/// How long after its permit a request may still arrive, in milliseconds: it begins within the margin, and may be
/// delayed on its way.
const ON_ITS_WAY_MS: i64 = 5_000;

struct Push {
    tenant: String,
    granted_at: i64,
    ended_at: Option<i64>,
    throttled: bool,
}

pub(super) async fn check(plan: &Plan, stage: &Stage) -> anyhow::Result<Vec<String>> {
    let pushes = pushes(stage).await?;
    let mut broken = Vec::new();
    for (tenant, wait) in TENANTS.iter().zip(plan.waits) {
        let wait = i64::try_from(wait.at_least().as_millis())?;
        let of_account: Vec<&Push> = pushes.iter().filter(|push| push.tenant == *tenant).collect();
        let received: Vec<i64> = stage
            .testmo
            .account(tenant)
            .requests()
            .iter()
            .filter(|request| request.method == Method::Post && !request.case_names.is_empty())
            .map(|request| request.received_at.0)
            .collect();
        if received.len() > of_account.len() {
            broken.push(format!("{tenant}: {} requests with {} permits", received.len(), of_account.len()));
        }
        for paused_at in of_account.iter().filter(|push| push.throttled).filter_map(|push| push.ended_at) {
            let pause = paused_at..paused_at + wait;
            let granted = of_account.iter().filter(|push| pause.contains(&push.granted_at)).count();
            let on_their_way = of_account
                .iter()
                .filter(|push| (paused_at - ON_ITS_WAY_MS..paused_at).contains(&push.granted_at))
                .count();
            let came = received.iter().filter(|at| pause.contains(*at)).count();
            if granted > 0 || came > on_their_way {
                broken.push(format!(
                    "{tenant}: during its rate-limit pause {granted} permits were granted and {came} requests came"
                ));
            }
        }
    }
    Ok(broken)
}

async fn pushes(stage: &Stage) -> anyhow::Result<Vec<Push>> {
    let pool = AnyPool::connect(&stage.store_url).await?;
    let rows = sqlx::query("SELECT tenant_id, claimed_at, ended_at, answer FROM pushes").fetch_all(&pool).await;
    pool.close().await;
    let push = |row: &sqlx::any::AnyRow| {
        let answer: Option<String> = row.try_get("answer")?;
        Ok(Push {
            tenant: row.try_get("tenant_id")?,
            granted_at: row.try_get("claimed_at")?,
            ended_at: row.try_get("ended_at")?,
            throttled: answer.as_deref() == Some("429"),
        })
    };
    let pushes: Result<Vec<Push>, sqlx::Error> = rows.context("the pushes")?.iter().map(push).collect();
    Ok(pushes?)
}
