//! Provides the request and the event of a batch, the same for all peers in Rust.

use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use serde::{Deserialize, Serialize};

/// How often a request is sent in total if it is answered 5xx.
const TRIES: u32 = 5;
/// The pause before the second try; it doubles with each further try.
const PAUSE: Duration = Duration::from_millis(100);

/// The sent part of a batch.
#[derive(Debug, Deserialize)]
pub struct Batch {
    tenant_id: String,
    batch_id: String,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    external_id: String,
    name: String,
    steps: Vec<Step>,
    priority: String,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Step {
    action: String,
    data: Option<String>,
    expected: Option<String>,
}

#[derive(Debug, Serialize)]
struct Push<'a> {
    cases: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    folder_id: u64,
    custom_steps: Vec<SentStep<'a>>,
    custom_priority: u64,
    tags: &'a [String],
}

#[derive(Debug, Serialize)]
struct SentStep<'a> {
    text1: &'a str,
    text2: Option<&'a str>,
    text3: Option<&'a str>,
    display_order: usize,
}

/// The part of the answer that is read.
#[derive(Debug, Deserialize)]
pub struct Created {
    result: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: u64,
}

#[derive(Debug, Serialize)]
struct Delivered<'a> {
    tenant_id: &'a str,
    batch_id: &'a str,
    outcome: &'static str,
    cases: Vec<DeliveredCase<'a>>,
}

#[derive(Debug, Serialize)]
struct DeliveredCase<'a> {
    external_id: &'a str,
    testmo_id: u64,
}

impl Batch {
    /// Returns the event that names the id of every case.
    pub fn delivered(&self, created: &Created) -> serde_json::Result<Vec<u8>> {
        let pairs = self.cases.iter().zip(&created.result);
        let cases = pairs.map(|(case, row)| DeliveredCase { external_id: &case.external_id, testmo_id: row.id });
        serde_json::to_vec(&Delivered {
            tenant_id: &self.tenant_id,
            batch_id: &self.batch_id,
            outcome: "delivered",
            cases: cases.collect(),
        })
    }
}

/// Sends all cases of a batch in one request, and sends the request again after a 5xx.
pub async fn post(client: &Client, url: &str, key: &str, folder: u64, batch: &Batch) -> anyhow::Result<Created> {
    let push = Push { cases: batch.cases.iter().map(|case| entry(case, folder)).collect() };
    for attempt in 0..TRIES {
        let answer = client.post(url).bearer_auth(key).json(&push).send().await?;
        if !answer.status().is_server_error() {
            return Ok(answer.error_for_status()?.json().await?);
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
    }
    anyhow::bail!("5xx {TRIES} times")
}

fn entry(case: &Case, folder_id: u64) -> Entry<'_> {
    let custom_steps = case.steps.iter().enumerate().map(|(n, step)| SentStep {
        text1: &step.action,
        text2: step.data.as_deref(),
        text3: step.expected.as_deref(),
        display_order: n + 1,
    });
    Entry {
        name: &case.name,
        folder_id,
        custom_steps: custom_steps.collect(),
        custom_priority: match case.priority.as_str() {
            "critical" | "high" => 1,
            "low" => 3,
            _ => 2,
        },
        tags: &case.tags,
    }
}

/// Returns the harness's setting with this name.
pub fn setting(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}
