//! `shelf discarded`: lists discarded entries.

use clap::Args;
use testmo_courier::app::plan::batch_label;
use testmo_courier::app::restore_entry::{self, Discarded};
use testmo_courier::app::shelf::ShelfId;
use testmo_courier::app::time::relative;
use testmo_courier::app::view::DiscardedView;
use testmo_courier::app::{Store, TenantId, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, note, shortened};

/// How many characters of a reason a list shows.
const LONGEST_REASON: usize = 100;

const EXAMPLES: &str = "\
Discarded entries are kept with their messages for as long as store.retention says, and can be restored until then.

Examples:
  testmo-courier shelf discarded
  testmo-courier shelf discarded --tenant acme --json
  testmo-courier shelf restore 0000001a";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only entries of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The maximum number of entries, those that were discarded last first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only entries that were discarded before this one, to read on where a list ended
    #[arg(long, value_name = "ID")]
    behind: Option<ShelfId>,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let Arguments { tenant, limit, behind, form } = arguments;
    let behind = match behind {
        Some(id) => Some(restore_entry::place_of(store, id).await?),
        None => None,
    };
    let most = if limit == 0 { u32::MAX } else { limit };
    let filter = restore_entry::filter(tenant, behind);
    let entries = restore_entry::list(store, &filter, most).await?;
    if form.json {
        out.json(&entries.iter().map(DiscardedView::of).collect::<Vec<_>>())?;
    } else {
        table(&entries, store_now(store)).write(out, form.plain, "No discarded entry is kept.")?;
        if !form.plain && !entries.is_empty() {
            note("`testmo-courier shelf restore ID` puts an entry back onto the shelf.")?;
        }
    }
    match entries.last().filter(|_| entries.len() == usize::try_from(most).unwrap_or(usize::MAX)) {
        Some(last) => note(&format!("There may be more: add --behind {} to read on.", last.entry.id)),
        None => Ok(()),
    }
}

fn table(entries: &[Discarded], now: i64) -> List {
    let mut list = List::new(&["id", "reason", "batch", "discarded", "by", "because"]);
    for Discarded { entry, at, by, because } in entries {
        list.add(vec![
            entry.id.to_string(),
            entry.content.reason.to_string(),
            batch_label(entry),
            relative(*at, now),
            by.clone(),
            because.as_deref().map(|text| shortened(text, LONGEST_REASON)).unwrap_or_default(),
        ]);
    }
    list
}
