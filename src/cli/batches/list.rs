//! `batches list`: which batches were worked on, and where are their cases?

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::batch::TenantId;
use testmo_courier::batch::event::link;
use testmo_courier::batch::ledger::{BatchRecord, CaseState};
use testmo_courier::store::{Store, StoreHealth};

use super::super::failure::Failure;
use super::super::moment::{relative, rfc3339};
use super::super::out::Out;
use super::super::table::{Form, List};

const EXAMPLES: &str = "\
A batch is listed from the time at which its first case was sent; before that it waits with the worker or on the
shelf.

Examples:
  testmo-courier batches list
  testmo-courier batches list --tenant acme --limit 5 --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only batches of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The most batches
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Out) -> Result<(), Failure> {
    let latest = store.latest_batches(arguments.tenant.as_ref(), arguments.limit).await?;
    let records: Vec<&BatchRecord> = latest.iter().map(|stored| &stored.record).collect();
    if arguments.form.json {
        return out.json(&records.into_iter().map(object).collect());
    }
    table(&records, store.now()).write(out, arguments.form.plain, "No batch was worked on yet.")
}

fn table(records: &[&BatchRecord], now: i64) -> List {
    let mut list = List::new(&["batch", "state", "cases", "when", "first case"]);
    for record in records {
        list.add(vec![
            record.key.to_string(),
            record.state.name().into(),
            Tally::of(record).to_string(),
            relative(record.settled_at.unwrap_or(record.first_seen_at), now),
            links(record).next().unwrap_or_default(),
        ]);
    }
    list
}

/// A batch for programs, without its single cases.
pub(super) fn object(record: &BatchRecord) -> Value {
    let tally = Tally::of(record);
    json!({
        "tenant_id": record.key.tenant.as_str(),
        "batch_id": record.key.batch.as_str(),
        "state": record.state.name(),
        "revision": record.revision,
        "cases": {"all": record.cases.len(), "created": tally.created, "refused": tally.refused,
                  "unclear": tally.unclear, "waiting": tally.waiting},
        "first_seen_at": rfc3339(record.first_seen_at),
        "settled_at": record.settled_at.and_then(rfc3339),
        "links": links(record).collect::<Vec<_>>(),
    })
}

/// Where people see the cases that are in Testmo, in order.
fn links(record: &BatchRecord) -> impl Iterator<Item = String> {
    record.cases.iter().enumerate().filter_map(|(i, case)| match case.state {
        CaseState::Created(id) | CaseState::Adopted(id) => link(record, i, id),
        CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
    })
}

/// How many cases are how far.
#[derive(Default)]
struct Tally {
    created: usize,
    refused: usize,
    unclear: usize,
    waiting: usize,
}

impl Tally {
    fn of(record: &BatchRecord) -> Self {
        let mut tally = Self::default();
        for case in &record.cases {
            match case.state {
                CaseState::Created(_) | CaseState::Adopted(_) => tally.created += 1,
                CaseState::Refused(_) => tally.refused += 1,
                CaseState::Claimed | CaseState::Lost => tally.unclear += 1,
                CaseState::Waiting => tally.waiting += 1,
            }
        }
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.created, "created"),
            (self.refused, "refused"),
            (self.unclear, "unclear"),
            (self.waiting, "waiting"),
        ];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::batch::Reason;
    use testmo_courier::batch::ledger::{BatchState, OpenPush, Refusal, Target};

    use super::*;

    #[test]
    fn a_list_of_batches_reads_like_this() {
        const NOW: i64 = 1_800_000_000_000;
        let keys = || ["TC-1".to_owned(), "TC-2".to_owned()];
        let waiting = BatchRecord {
            first_seen_at: NOW - 5_000,
            ..BatchRecord::fresh("acme/b-2".parse().unwrap(), "1:x".into(), keys())
        };
        let mut partial = BatchRecord {
            settled_at: Some(NOW - 600_000),
            ..BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:y".into(), keys())
        };
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        partial.claim(&[0, 1], push, &target);
        partial.not_created(vec![(1, Refusal { reason: Reason::CaseRefused, said: vec![] })]);
        partial.created(&[(0, 3721)]);
        partial.state = BatchState::Partial;
        insta::assert_snapshot!(table(&[&waiting, &partial], NOW).columns().join("\n"));
        insta::assert_snapshot!(format!("{:#}", object(&partial)));
    }
}
