//! What is published, and what is to become of it?

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::plan::{TenantPlan, millis, ms};

/// The longest name that Testmo takes; the worker takes longer ones.
const LONGEST_NAME: usize = 512;
/// The largest request that Testmo takes in these runs, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 4_000;

/// A batch, and when it is published.
#[derive(Clone, Debug)]
pub(crate) struct BatchPlan {
    pub(crate) tenant: usize,
    pub(crate) id: String,
    pub(crate) cases: Vec<CasePlan>,
    /// The folders below the tenant's.
    pub(crate) path: Vec<String>,
    /// When it is published: again and again, for publishers do that.
    pub(crate) at: Vec<Duration>,
    /// Not before this one is settled: its cases have the same names.
    pub(crate) after: Option<usize>,
    /// Whether it fits no queue, as its routing key is wrong.
    pub(crate) astray: bool,
}

/// A case, and whether Testmo takes it.
#[derive(Clone, Debug)]
pub(crate) struct CasePlan {
    pub(crate) name: String,
    pub(crate) fate: CaseFate,
}

/// Whether Testmo takes a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseFate {
    Taken,
    /// 422 names it.
    Refused,
    /// 413 refuses whatever request it is in.
    TooLarge,
}

impl BatchPlan {
    /// The message.
    pub(crate) fn body(&self, tenants: &[TenantPlan]) -> Vec<u8> {
        let case = |case: &CasePlan| match case.fate {
            CaseFate::Taken | CaseFate::Refused => json!({"name": case.name}),
            CaseFate::TooLarge => json!({"name": case.name, "description": "x".repeat(LARGEST_REQUEST)}),
        };
        let cases: Vec<Value> = self.cases.iter().map(case).collect();
        let mut batch = json!({"schema_version": 1, "batch_id": self.id, "tenant_id": tenants[self.tenant].name,
                               "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        if !self.path.is_empty() {
            batch["folder_path"] = json!(self.path);
        }
        batch.to_string().into_bytes()
    }

    /// The names of the cases that are to be in Testmo, in order.
    pub(crate) fn taken(&self) -> Vec<&str> {
        let taken = self.cases.iter().filter(|case| case.fate == CaseFate::Taken);
        taken.map(|case| case.name.as_str()).collect()
    }
}

/// What is published in one run.
pub(crate) fn batches(rng: &mut Rng, tenants: &[TenantPlan], healed: Duration, many: bool) -> Vec<BatchPlan> {
    let span = millis(healed) * 2 / 3;
    // Many come in a few crowds, each within a second.
    let crowds = [0, rng.u64(..span), rng.u64(..span)];
    let count = if many { rng.usize(8..25) } else { rng.usize(1..9) };
    let mut all: Vec<BatchPlan> = Vec::new();
    // A request all of whose cases are refused alike blames the connection, so each tenant has one such case at most.
    let mut refused = vec![false; tenants.len()];
    for number in 0..count {
        // Most of a crowd are of one tenant.
        let tenant = if many && rng.u8(..4) > 0 { 0 } else { rng.usize(..tenants.len()) };
        let cases = cases(rng, number, &mut refused[tenant], many);
        let path = match rng.u8(..5) {
            0 => vec!["Sprint".to_owned()],
            1 => vec!["Sprint".to_owned(), "Login".to_owned()],
            _ => Vec::new(),
        };
        let mut at = vec![ms(rng, 0..span)];
        if many {
            at = vec![Duration::from_millis(crowds[rng.usize(..crowds.len())] + rng.u64(..1_000))];
        }
        while at.len() < 3 && rng.u8(..4) == 0 {
            // At the same moment, shortly after, or when it is long done.
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
            CasePlan { name, fate: CaseFate::Taken }
        })
        .collect();
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

/// Another batch of the same id.
fn conflicting(rng: &mut Rng, batch: &BatchPlan, number: usize) -> BatchPlan {
    let name = format!("batch {number} in conflict");
    let at = batch.at[0] + if rng.bool() { Duration::ZERO } else { ms(rng, 0..10_000) };
    BatchPlan { cases: vec![CasePlan { name, fate: CaseFate::Taken }], at: vec![at], ..batch.clone() }
}

/// A batch with the same names for a tenant whose cases carry no mark: only the ledger tells them apart.
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
