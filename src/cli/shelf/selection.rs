//! Which entries of the shelf are meant? Named by id or batch, or by what they have in common.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use jiff::civil::Date;
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::store::shelf::{ShelfFilter, ShelfId, ShelfState};
use testmo_courier::store::{Store, StoreHealth};

use super::super::events::duration;
use super::super::failure::Failure;

/// What entries have in common, whether they come back by themselves or not.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Traits {
    /// Only what belongs to this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only what is there for this reason, such as key_refused
    #[arg(long, value_parser = reasons(), hide_possible_values = true)]
    reason: Option<Reason>,
    /// Only what was shelved since a time: 2h ago, a day or a time in UTC, such as 2026-11-20
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only what was shelved before a time, written likewise; a day begins at 00:00
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
}

/// What entries have in common.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filters {
    #[command(flatten)]
    traits: Traits,
    /// Only what is parked or dead
    #[arg(long, value_parser = states())]
    state: Option<ShelfState>,
}

/// Entries by name, or by what they have in common.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// The entries: ids as `shelf list` prints them, or batches as TENANT/BATCH
    #[arg(value_name = "ID")]
    names: Vec<Which>,
    #[command(flatten)]
    filters: Filters,
}

/// One or more entries by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one with this id.
    Id(ShelfId),
    /// All those of a batch: it can be there more than once, such as with a copy in conflict.
    Batch(BatchKey),
}

/// A time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long ago.
    Ago(Duration),
    /// In milliseconds since 1970.
    At(i64),
}

fn reasons() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.iter().map(|reason| reason.code())).try_map(|code| code.parse::<Reason>())
}

fn states() -> impl TypedValueParser<Value = ShelfState> {
    let all = [ShelfState::Parked, ShelfState::Dead].map(ShelfState::name);
    PossibleValuesParser::new(all).try_map(|name| name.parse::<ShelfState>())
}

impl Traits {
    /// Those that have them and are in a state, if one is named; `now` is in milliseconds since 1970.
    pub(super) fn filter(&self, state: Option<ShelfState>, now: i64) -> ShelfFilter {
        ShelfFilter {
            tenant: self.tenant.clone(),
            reason: self.reason,
            state,
            batch: None,
            since: self.since.map(|when| when.at(now)),
            until: self.until.map(|when| when.at(now)),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { tenant, reason, since, until } = self;
        tenant.is_none() && reason.is_none() && since.is_none() && until.is_none()
    }
}

impl Filters {
    /// The entries that are meant at `now`.
    pub(super) fn filter(&self, now: i64) -> ShelfFilter {
        self.traits.filter(self.state, now)
    }

    fn is_empty(&self) -> bool {
        self.traits.is_empty() && self.state.is_none()
    }
}

impl Selection {
    /// Whether the entries are named one by one.
    pub(crate) fn is_by_name(&self) -> bool {
        !self.names.is_empty()
    }

    /// The ids of the entries; each that is named has to be there.
    pub(crate) async fn ids(&self, store: &Store) -> Result<Vec<ShelfId>, Failure> {
        match (self.is_by_name(), self.filters.is_empty()) {
            (true, true) => named(&self.names, store).await,
            (false, false) => Ok(store.shelf_ids(&self.filters.filter(store.now())).await?),
            (false, true) => Err(Failure::usage(
                "it is not said what is meant",
                "give ids, batches as TENANT/BATCH, or filters such as --state dead --tenant acme",
            )),
            (true, false) => Err(Failure::usage(
                "ids and filters stand together",
                "give either: what is named is meant whatever it has in common with others",
            )),
        }
    }
}

/// The ids of entries by their names, each once; each has to be there.
pub(super) async fn named(names: &[Which], store: &Store) -> Result<Vec<ShelfId>, Failure> {
    let mut ids = Vec::new();
    for name in names {
        let found = match name {
            Which::Id(id) => store.shelved(*id).await?.map(|entry| entry.id).into_iter().collect(),
            Which::Batch(BatchKey { tenant, batch }) => {
                let filter =
                    ShelfFilter { tenant: Some(tenant.clone()), batch: Some(batch.clone()), ..ShelfFilter::default() };
                store.shelf_ids(&filter).await?
            }
        };
        if found.is_empty() {
            return Err(Failure::finding(
                format!("nothing with the id {name} is on the shelf"),
                "it may have been delivered meanwhile; `testmo-courier shelf list` shows what is there",
            ));
        }
        ids.extend(found.into_iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>());
    }
    Ok(ids)
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return text.parse().map(Self::Batch).map_err(|why| format!("`{text}` is not TENANT/BATCH: {why}"));
        }
        text.parse().map(Self::Id).map_err(|why| format!("{why}, nor a batch as TENANT/BATCH"))
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Batch(key) => key.fmt(f),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at.as_millisecond()));
        }
        let day = text.parse::<Date>().ok();
        if let Some(begin) = day.and_then(|day| format!("{day}T00:00:00Z").parse::<Timestamp>().ok()) {
            return Ok(Self::At(begin.as_millisecond()));
        }
        let written = "write how long ago, as 2h or 3days, a day, as 2026-11-20, or a time, as 2026-11-20T09:30:00Z";
        duration(text).map(Self::Ago).map_err(|_| written.into())
    }
}

impl When {
    fn at(self, now: i64) -> i64 {
        match self {
            Self::Ago(span) => now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
            Self::At(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_people_use() {
        const NOW: i64 = 1_800_000_000_000;
        for (text, at) in [
            ("2h", NOW - 7_200_000),
            ("3days", NOW - 3 * 86_400_000),
            ("2027-01-15", NOW - 8 * 3_600_000),
            ("2027-01-15T08:00:00Z", NOW),
            ("2027-01-15T09:00:00+01:00", NOW),
        ] {
            assert_eq!(text.parse::<When>().unwrap().at(NOW), at, "{text}");
        }
        assert!("yesterday".parse::<When>().unwrap_err().contains("2026-11-20"));
    }

    #[test]
    fn entries_are_named_by_id_or_batch() {
        assert_eq!("0000001a".parse(), Ok(Which::Id(ShelfId(26))));
        assert_eq!("globex/2026/b".parse(), Ok(Which::Batch("globex/2026/b".parse().unwrap())));
        assert!("b-1".parse::<Which>().unwrap_err().contains("TENANT/BATCH"));
    }
}
