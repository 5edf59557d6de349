//! `shelf list`: what is on the shelf?

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::store::shelf::{ShelfFilter, ShelfIdentity, ShelfState, Shelved, ShelvedUntil};
use testmo_courier::store::{Store, StoreHealth};

use super::super::failure::Failure;
use super::super::moment::{relative, rfc3339};
use super::super::out::Out;
use super::super::table::{Form, List, shortened};
use super::selection::{Filters, Traits};
use super::{due, name};

/// So much of a detail stands in a list; `show` has all of it.
const DETAIL_CHARACTERS: usize = 100;

const EXAMPLES: &str = "\
What is parked comes back by itself; what is dead waits for a person.

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

/// The same, for what is dead.
#[derive(Args, Debug)]
pub(crate) struct DeadLetters {
    #[command(flatten)]
    traits: Traits,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Args, Debug)]
struct Extent {
    /// The most entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Out) -> Result<(), Failure> {
    print(&arguments.filters.filter(store.now()), &arguments.extent, store, out).await
}

pub(super) async fn dead_letters(arguments: DeadLetters, store: &Store, out: &mut Out) -> Result<(), Failure> {
    let filter = arguments.traits.filter(Some(ShelfState::Dead), store.now());
    print(&filter, &arguments.extent, store, out).await
}

async fn print(filter: &ShelfFilter, extent: &Extent, store: &Store, out: &mut Out) -> Result<(), Failure> {
    let entries = store.shelf(filter, extent.limit).await?;
    if extent.form.json {
        return out.json(&entries.iter().map(|entry| object(entry, store.now())).collect());
    }
    table(&entries, store.now()).write(out, extent.form.plain, "Nothing like that is on the shelf.")
}

pub(super) fn table(entries: &[Shelved], now: i64) -> List {
    let mut list = List::new(&["id", "state", "reason", "batch", "arrived", "comes back", "detail"]);
    for entry in entries {
        list.add(vec![
            entry.id.to_string(),
            entry.state.name().into(),
            entry.content.reason.to_string(),
            name(entry),
            relative(entry.content.arrived_at, now),
            due(entry, now),
            entry.content.detail.as_deref().map(|text| shortened(text, DETAIL_CHARACTERS)).unwrap_or_default(),
        ]);
    }
    list
}

/// An entry for programs, without its message.
pub(crate) fn object(entry: &Shelved, now: i64) -> Value {
    let content = &entry.content;
    let (tenant, batch, hash) = match &content.identity {
        ShelfIdentity::Batch(key, _) => (Some(key.tenant.as_str()), Some(key.batch.as_str()), None),
        ShelfIdentity::Raw(hash, tenant, batch) => {
            (tenant.as_ref().map(|t| t.as_str()), batch.as_ref().map(|b| b.as_str()), Some(hash))
        }
    };
    json!({
        "id": entry.id.to_string(),
        "state": entry.state.name(),
        "reason": content.reason,
        "cause": content.reason.cause(),
        "remedy": content.reason.remedy(),
        "detail": content.detail,
        "tenant_id": tenant,
        "batch_id": batch,
        "message_hash": hash,
        "account": content.account,
        "arrived_at": rfc3339(content.arrived_at),
        "shelved_at": rfc3339(entry.shelved_at),
        "comes_back": due(entry, now),
        "due_at": matches!(content.until, ShelvedUntil::After(_)).then(|| rfc3339(entry.due_at)).flatten(),
        "parks": content.parks,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use testmo_courier::batch::Reason;
    use testmo_courier::store::shelf::{ShelfId, Shelving};

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
            body: b"{}".to_vec(),
        };
        let state = if until == ShelvedUntil::Person { ShelfState::Dead } else { ShelfState::Parked };
        let due_at = if matches!(until, ShelvedUntil::After(_)) { NOW + 120_000 } else { NOW };
        Shelved { id: ShelfId(id), generation: 1, state, content, due_at, shelved_at: NOW, leased: false }
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
        insta::assert_snapshot!(table(&entries, NOW).columns().join("\n"));
        insta::assert_snapshot!(format!("{:#}", object(&entries[0], NOW)));
    }
}
