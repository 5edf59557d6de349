//! `batches list`: lists the latest batches.

use clap::Args;
use testmo_courier::app::batches::{self, BatchRecord, Tally, links};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::BatchView;
use testmo_courier::app::{Store, TenantId, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, is_full, note_extent};
use super::super::tenant_hint::note_if_unknown;

const EXAMPLES: &str = "\
A batch is listed once its first case was sent, in this order. Until then it waits in a worker or on the shelf. `when` is
the time at which it was finished or, while it is not, at which its first case was sent.

Examples:
  testmo-courier batches list
  testmo-courier batches list --tenant acme --limit 5 --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only batches of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The maximum number of batches; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let records = batches::list(store, arguments.tenant.as_ref(), arguments.limit).await?;
    if records.is_empty() {
        note_if_unknown(store, arguments.tenant.as_ref()).await?;
    }
    if arguments.form.json {
        out.json(&records.iter().map(BatchView::of).collect::<Vec<_>>())?;
    } else {
        let (of, only) = arguments
            .tenant
            .as_ref()
            .map_or_else(Default::default, |tenant| (format!(" of {tenant}"), format!(" --tenant {tenant}")));
        let none = format!("No batch{of} was sent yet. `testmo-courier shelf list{only}` shows what waits.");
        table(&records, store_now(store)).write(out, arguments.form.plain, &none)?;
    }
    if !is_full(records.len(), arguments.limit) {
        return Ok(());
    }
    note_extent(&batches::extent(store, arguments.tenant.as_ref(), records.len()).await?)
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
