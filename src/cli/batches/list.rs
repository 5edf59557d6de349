//! `batches list`: lists the latest batches.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use testmo_courier::app::batches::{self, BatchFilter, BatchRecord, BatchState, Tally, links};
use testmo_courier::app::shelf::TimeBound;
use testmo_courier::app::time::relative;
use testmo_courier::app::view::BatchView;
use testmo_courier::app::{BatchKey, Store, TenantId, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, is_full, note, note_extent};
use super::super::tenant_hint::note_if_unknown;

const EXAMPLES: &str = "\
A batch is listed once its first case was sent, in this order. Until then it waits in a worker or on the shelf. `when` is
the time at which it was finished or, while it is not, at which its first case was sent.

Examples:
  testmo-courier batches list
  testmo-courier batches list --state failed --since 2h
  testmo-courier batches list --tenant acme --limit 5 --json
  testmo-courier batches list --tenant acme --after acme/shop-142-1";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only batches of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only batches in this state
    #[arg(long, value_parser = states())]
    state: Option<BatchState>,
    /// Only batches whose first case was sent since this time: an age such as 2h, or a day or time in UTC such as 2026-11-20
    #[arg(long, value_name = "TIME")]
    since: Option<TimeBound>,
    /// Only batches whose first case was sent before this time, in the same forms; a day begins at 00:00
    #[arg(long, value_name = "TIME")]
    until: Option<TimeBound>,
    /// The maximum number of batches; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Go on after this batch, the last one of an earlier list
    #[arg(long, value_name = "TENANT/BATCH")]
    after: Option<BatchKey>,
    #[command(flatten)]
    form: Form,
}

fn states() -> impl TypedValueParser<Value = BatchState> {
    PossibleValuesParser::new(BatchState::ALL.map(BatchState::name)).try_map(|name| name.parse::<BatchState>())
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let now = store_now(store);
    let filter = arguments.filter(now);
    let records = batches::list(store, &filter, arguments.after.as_ref(), arguments.limit).await?;
    if records.is_empty() {
        note_if_unknown(store, arguments.tenant.as_ref()).await?;
    }
    if arguments.form.json {
        out.json(&records.iter().map(BatchView::of).collect::<Vec<_>>())?;
    } else {
        table(&records, now).write(out, arguments.form.plain, &arguments.nothing())?;
    }
    let Some(last) = records.last().filter(|_| is_full(records.len(), arguments.limit)) else { return Ok(()) };
    if arguments.after.is_none() {
        note_extent(&batches::extent(store, &filter, records.len()).await?)?;
    }
    let is_more = !batches::list(store, &filter, Some(&last.key), 1).await?.is_empty();
    if is_more { note(&format!("There are more: add --after {} to go on.", last.key)) } else { Ok(()) }
}

impl Arguments {
    fn filter(&self, now: i64) -> BatchFilter {
        BatchFilter {
            tenant: self.tenant.clone(),
            state: self.state,
            since: self.since.map(|bound| bound.at(now)),
            until: self.until.map(|bound| bound.at(now)),
        }
    }

    /// Says that there is no batch, and where those are that were not sent yet.
    fn nothing(&self) -> String {
        if self.after.is_some() {
            return "There are no more batches.".into();
        }
        if self.state.is_some() || self.since.is_some() || self.until.is_some() {
            return "No batch matches. A batch is listed once its first case was sent.".into();
        }
        let (of, only) = self
            .tenant
            .as_ref()
            .map_or_else(Default::default, |tenant| (format!(" of {tenant}"), format!(" --tenant {tenant}")));
        format!("No batch{of} was sent yet. `testmo-courier shelf list{only}` shows what waits.")
    }
}

fn table(records: &[BatchRecord], now: i64) -> List {
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

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
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
        let view = serde_json::to_string_pretty(&BatchView::of(&partial)).unwrap();
        insta::assert_snapshot!(table(&[waiting, partial], NOW).columns().join("\n"));
        insta::assert_snapshot!(view);
    }
}
