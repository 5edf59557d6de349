//! `shelf list`: lists what is on the shelf.

use clap::Args;
use testmo_courier::app::plan::batch_label;
use testmo_courier::app::shelf::{self, Pauses, ShelfFilter, ShelfState, Shelved};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{ShelfEntryView, due};
use testmo_courier::app::{Store, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, is_full, note_extent, shortened};
use super::super::tenant_hint::note_if_unknown;
use super::selection::{Filters, Traits};

/// How many characters of a detail a list shows; `show` has all of it.
const DETAIL_CHARACTERS: usize = 100;

const EXAMPLES: &str = "\
Parked entries are retried automatically; dead ones wait for a person.

Examples:
  testmo-courier shelf list --state dead
  testmo-courier shelf list --tenant acme --reason key_refused --json
  testmo-courier shelf list --since 2h";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    extent: Extent,
}

/// The options of `dead-letters`.
#[derive(Args, Debug)]
pub(crate) struct DeadLetters {
    #[command(flatten)]
    traits: Traits,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Args, Debug)]
struct Extent {
    /// The maximum number of entries, newest first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    print(&arguments.filters.filter(store_now(store)), &arguments.extent, store, out).await
}

pub(super) async fn dead_letters(arguments: DeadLetters, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let filter = arguments.traits.filter(Some(ShelfState::Dead), store_now(store));
    print(&filter, &arguments.extent, store, out).await
}

async fn print(filter: &ShelfFilter, extent: &Extent, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let entries = shelf::list(store, filter, extent.limit).await?;
    if entries.is_empty() {
        note_if_unknown(store, filter.tenant.as_ref()).await?;
    }
    let (pauses, now) = (Pauses::read(store).await?, store_now(store));
    if extent.form.json {
        let views: Vec<_> = entries.iter().map(|entry| ShelfEntryView::of(entry, &pauses, now)).collect();
        out.json(&views)?;
    } else {
        table(&entries, &pauses, now).write(out, extent.form.plain, "No matching entry is on the shelf.")?;
    }
    if is_full(entries.len(), extent.limit) {
        note_extent(&shelf::extent(store, filter, entries.len()).await?)
    } else {
        Ok(())
    }
}

pub(super) fn table(entries: &[Shelved], pauses: &Pauses, now: i64) -> List {
    let mut list = List::new(&["id", "state", "reason", "batch", "arrived", "next retry", "detail"]);
    for entry in entries {
        list.add(vec![
            entry.id.to_string(),
            entry.state.name().into(),
            entry.content.reason.to_string(),
            batch_label(entry),
            relative(entry.content.arrived_at, now),
            due(entry, pauses, now),
            entry.content.detail.as_deref().map(|text| shortened(text, DETAIL_CHARACTERS)).unwrap_or_default(),
        ]);
    }
    list
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use testmo_courier::app::Reason;
    use testmo_courier::app::lanes::LaneSelector;
    use testmo_courier::store::shelf::{ShelfId, ShelfIdentity, ShelvedUntil, Shelving};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn entry(id: i64, reason: Reason, until: ShelvedUntil, identity: ShelfIdentity) -> Shelved {
        let content = Shelving {
            identity,
            reason,
            detail: Some("listing the folders of project 3: the key is not accepted".into()),
            until,
            account: None,
            connection: None,
            parks: 1,
            failing_since: None,
            arrived_at: NOW - 3_600_000,
            published_at: None,
            headers: BTreeMap::new(),
            body: b"{}".to_vec().into(),
        };
        let state = if until == ShelvedUntil::Person { ShelfState::Dead } else { ShelfState::Parked };
        let due_at = if matches!(until, ShelvedUntil::After(_)) { NOW + 120_000 } else { NOW };
        let (leased, person_epoch, replay, cases) = (false, 0, None, Some(1));
        Shelved {
            id: ShelfId(id),
            generation: 1,
            state,
            content,
            due_at,
            shelved_at: NOW,
            leased,
            person_epoch,
            replay,
            cases,
        }
    }

    #[test]
    fn the_shelf_reads_like_this() {
        let batch = |key: &str| ShelfIdentity::Batch(key.parse().unwrap(), "1:x".into());
        let raw = ShelfIdentity::Raw("0123456789abcdef".into(), None, None);
        let entries = [
            entry(1, Reason::KeyRefused, ShelvedUntil::Connection, batch("acme/b-1")),
            entry(26, Reason::ServerError, ShelvedUntil::After(Duration::from_secs(120)), batch("globex/2026/b-2")),
            entry(255, Reason::NotJson, ShelvedUntil::Person, raw),
        ];
        let lane = LaneSelector::Tenant("globex".parse().unwrap());
        let pauses = [("globex".parse().unwrap(), lane)].into_iter().collect();
        insta::assert_snapshot!(table(&entries, &Pauses::default(), NOW).columns().join("\n"));
        assert!(table(&entries, &pauses, NOW).columns()[2].contains("when a person resumes the tenant"));
        let view = ShelfEntryView::of(&entries[0], &Pauses::default(), NOW);
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }
}
