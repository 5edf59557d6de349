//! Draws the batches that publishers send in a run, and whether Testmo accepts each case.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::plan::{TenantPlan, millis, ms};

/// The longest case name that Testmo accepts, in characters; the worker accepts longer ones.
const LONGEST_NAME: usize = 512;
/// The largest request that Testmo accepts in these runs, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 4_000;

/// What the names of cases begin with that a person has corrected.
const CORRECTED: &str = "corrected ";

/// A batch, and when it is published.
#[derive(Clone, Debug)]
pub(crate) struct BatchPlan {
    pub(crate) tenant: usize,
    pub(crate) id: String,
    pub(crate) cases: Vec<CasePlan>,
    /// The folders below the tenant's folder.
    pub(crate) path: Vec<String>,
    /// The times at which the batch is published, since publishers may send the same message several times.
    pub(crate) at: Vec<Duration>,
    /// The position of a batch that must be finished first, because its cases have the same names.
    pub(crate) after: Option<usize>,
    /// Whether the batch has a wrong routing key, so that no queue is bound for it.
    pub(crate) astray: bool,
}

/// A case, and whether Testmo accepts it.
#[derive(Clone, Debug)]
pub(crate) struct CasePlan {
    pub(crate) name: String,
    pub(crate) fate: CaseFate,
    /// The folders below the tenant's folder, if the case names them.
    pub(crate) path: Option<Vec<String>>,
}

/// Whether Testmo accepts a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseFate {
    Taken,
    /// A 422 names the case.
    Refused,
    /// A 413 refuses each request that contains the case.
    TooLarge,
}

impl BatchPlan {
    /// Returns the message that is published.
    pub(crate) fn body(&self, tenants: &[TenantPlan]) -> Vec<u8> {
        let case = |case: &CasePlan| {
            let mut sent = json!({"name": case.name});
            if case.fate == CaseFate::TooLarge {
                sent["description"] = json!("x".repeat(LARGEST_REQUEST));
            }
            if let Some(path) = &case.path {
                sent["folder_path"] = json!(path);
            }
            sent
        };
        let cases: Vec<Value> = self.cases.iter().map(case).collect();
        let mut batch = json!({"schema_version": 1, "batch_id": self.id, "tenant_id": tenants[self.tenant].name,
                               "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        if !self.path.is_empty() {
            batch["folder_path"] = json!(self.path);
        }
        batch.to_string().into_bytes()
    }

    /// Returns the folders below the tenant's folder for a case.
    pub(crate) fn path_of<'a>(&'a self, case: &'a CasePlan) -> &'a [String] {
        case.path.as_ref().unwrap_or(&self.path)
    }

    /// Returns the batch as it is once a person has corrected what Testmo refuses.
    pub(crate) fn corrected(&self) -> Self {
        let corrected = |case: &CasePlan| match case.fate {
            CaseFate::Taken => case.clone(),
            CaseFate::Refused | CaseFate::TooLarge => {
                CasePlan { name: corrected_name(&case.name), fate: CaseFate::Taken, ..case.clone() }
            }
        };
        Self { cases: self.cases.iter().map(corrected).collect(), ..self.clone() }
    }

    /// Returns the names of the cases that must be in Testmo at the end, in order.
    pub(crate) fn taken(&self) -> Vec<&str> {
        let taken = self.cases.iter().filter(|case| case.fate == CaseFate::Taken);
        taken.map(|case| case.name.as_str()).collect()
    }
}

impl CasePlan {
    /// Returns whether a person has corrected it.
    pub(crate) fn is_corrected(&self) -> bool {
        self.name.starts_with(CORRECTED)
    }
}

/// Returns a message as a person corrects it, or `None` if Testmo accepts each of its cases.
pub(crate) fn corrected(body: &[u8]) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(body).ok()?;
    let mut is_corrected = false;
    for case in message["cases"].as_array_mut()?.iter_mut().filter_map(Value::as_object_mut) {
        let name = case.get("name")?.as_str()?.to_owned();
        let is_large = case.remove("description").is_some();
        if is_large || name.len() > LONGEST_NAME {
            case.insert("name".into(), corrected_name(&name).into());
            is_corrected = true;
        }
    }
    is_corrected.then(|| message.to_string().into_bytes())
}

fn corrected_name(name: &str) -> String {
    format!("{CORRECTED}{}", name.trim_end_matches('x').trim_end())
}

/// Draws the batches of one run.
pub(crate) fn batches(rng: &mut Rng, tenants: &[TenantPlan], healed: Duration, many: bool) -> Vec<BatchPlan> {
    let span = millis(healed) * 2 / 3;
    // With `many`, batches arrive in a few crowds, each within a second.
    let crowds = [0, rng.u64(..span), rng.u64(..span)];
    let count = if many { rng.usize(8..25) } else { rng.usize(1..9) };
    let mut all: Vec<BatchPlan> = Vec::new();
    // If all cases of a request are refused alike, the worker blames the connection, so each tenant has at most one
    // such case.
    let mut refused = vec![false; tenants.len()];
    for number in 0..count {
        // Most batches of a crowd belong to one tenant.
        let tenant = if many && rng.u8(..4) > 0 { 0 } else { rng.usize(..tenants.len()) };
        let cases = cases(rng, number, &mut refused[tenant], many);
        let path = path(rng);
        let mut at = vec![ms(rng, 0..span)];
        if many {
            at = vec![Duration::from_millis(crowds[rng.usize(..crowds.len())] + rng.u64(..1_000))];
        }
        while at.len() < 3 && rng.u8(..4) == 0 {
            // Copies arrive at the same moment, shortly after, or long after the batch is finished.
            let later = [0, rng.u64(..2_000), rng.u64(..span)][rng.usize(..3)];
            at.push(at[0] + Duration::from_millis(later));
        }
        let astray = rng.u8(..30) == 0;
        let id = format!("b{number}");
        let batch = BatchPlan { tenant, id, cases, path, at, after: None, astray };
        let draw = rng.u8(..12);
        let twin = match draw {
            0 if !astray => Some(conflicting(rng, &batch, number)),
            1..=5 if !astray && !tenants[tenant].batch_tag => echo(&batch, all.len(), number),
            _ => None,
        };
        all.push(batch);
        all.extend(twin);
    }
    all
}

fn path(rng: &mut Rng) -> Vec<String> {
    let names: &[&str] = match rng.u8(..5) {
        0 => &["Sprint"],
        1 => &["Sprint", "Login"],
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn cases(rng: &mut Rng, batch: usize, refused: &mut bool, few: bool) -> Vec<CasePlan> {
    let count = match rng.u8(..8) {
        0 => rng.usize(8..20),
        _ if few => rng.usize(1..4),
        _ => rng.usize(1..7),
    };
    let repeats = rng.u8(..4) == 0;
    let mut cases: Vec<CasePlan> = (0..count)
        .map(|n| {
            let name =
                if repeats { format!("batch {batch} case {}", n % 3) } else { format!("batch {batch} case {n}") };
            CasePlan { name, fate: CaseFate::Taken, path: None }
        })
        .collect();
    if rng.u8(..3) == 0 {
        for case in &mut cases {
            case.path = rng.bool().then(|| path(rng));
        }
    }
    if !*refused && rng.u8(..6) == 0 {
        *refused = true;
        let case = &mut cases[rng.usize(..count)];
        case.fate = if rng.bool() { CaseFate::Refused } else { CaseFate::TooLarge };
        if case.fate == CaseFate::Refused {
            case.name.push_str(&"x".repeat(LONGEST_NAME));
        }
    }
    cases
}

/// Draws another batch with the same id.
fn conflicting(rng: &mut Rng, batch: &BatchPlan, number: usize) -> BatchPlan {
    let name = format!("batch {number} in conflict");
    let at = batch.at[0] + if rng.bool() { Duration::ZERO } else { ms(rng, 0..10_000) };
    BatchPlan { cases: vec![CasePlan { name, fate: CaseFate::Taken, path: None }], at: vec![at], ..batch.clone() }
}

/// Returns a batch with the same names, for a tenant whose cases have no batch tag: only the ledger can distinguish the
/// two. Returns `None` if Testmo accepts none of the cases.
fn echo(batch: &BatchPlan, of: usize, number: usize) -> Option<BatchPlan> {
    let taken: Vec<CasePlan> = batch.cases.iter().filter(|case| case.fate == CaseFate::Taken).cloned().collect();
    (!taken.is_empty()).then(|| BatchPlan {
        id: format!("e{number}"),
        cases: taken,
        after: Some(of),
        at: vec![batch.at[0]],
        ..batch.clone()
    })
}
