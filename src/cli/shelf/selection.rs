//! Declares how entries of the shelf are selected on the command line.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use testmo_courier::app::shelf::{CauseId, EntryName, Selection, ShelfFilter, ShelfState, TimeBound};
use testmo_courier::app::{Reason, TenantId};

use super::super::failure::Failure;

/// What entries have in common, apart from their state.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Traits {
    /// Only entries of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only entries with this reason, such as key_refused
    #[arg(long, value_parser = reasons(), hide_possible_values = true)]
    reason: Option<Reason>,
    /// Only entries of this group, as `shelf groups` prints it
    #[arg(long)]
    group: Option<CauseId>,
    /// Only entries that were shelved since this time: an age such as 2h, or a day or time in UTC such as 2026-11-20
    #[arg(long, value_name = "TIME")]
    since: Option<TimeBound>,
    /// Only entries that were shelved before this time, in the same forms; a day begins at 00:00
    #[arg(long, value_name = "TIME")]
    until: Option<TimeBound>,
    /// Only entries whose message was published with this message_id
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
}

/// What entries have in common.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filters {
    #[command(flatten)]
    traits: Traits,
    /// Only entries in this state
    #[arg(long, value_parser = states())]
    state: Option<ShelfState>,
}

/// Entries by name, or by what they have in common.
#[derive(Args, Debug)]
pub(crate) struct Selected {
    /// The entries: ids as `shelf list` prints them, batches as TENANT/BATCH, or the first 12 digits of a message's hash
    #[arg(value_name = "ID")]
    names: Vec<EntryName>,
    #[command(flatten)]
    filters: Filters,
    /// Every entry of the shelf
    #[arg(long)]
    all: bool,
}

pub(super) fn reasons() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.iter().map(|reason| reason.code())).try_map(|code| code.parse::<Reason>())
}

pub(super) fn states() -> impl TypedValueParser<Value = ShelfState> {
    let all = [ShelfState::Parked, ShelfState::Dead].map(ShelfState::name);
    PossibleValuesParser::new(all).try_map(|name| name.parse::<ShelfState>())
}

impl Traits {
    /// Returns the filter, also by a state if one is given; `now` is in milliseconds since 1970.
    pub(super) fn filter(&self, state: Option<ShelfState>, now: i64) -> ShelfFilter {
        ShelfFilter {
            tenant: self.tenant.clone(),
            reason: self.reason,
            state,
            batch: None,
            cause: self.group,
            since: self.since.map(|bound| bound.at(now)),
            until: self.until.map(|bound| bound.at(now)),
            message_id: self.message_id.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { tenant, reason, group, since, until, message_id } = self;
        let has_traits = tenant.is_some() || reason.is_some() || group.is_some() || message_id.is_some();
        !has_traits && since.is_none() && until.is_none()
    }
}

impl Filters {
    /// Returns the tenant whose entries are listed, if only one tenant's are.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.traits.tenant.as_ref()
    }

    /// Returns the filter at `now`, in milliseconds since 1970.
    pub(super) fn filter(&self, now: i64) -> ShelfFilter {
        self.traits.filter(self.state, now)
    }

    fn is_empty(&self) -> bool {
        self.traits.is_empty() && self.state.is_none()
    }
}

impl Selected {
    /// Returns the tenant whose entries are selected, if only one tenant's are.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.filters.tenant()
    }

    /// Returns the selection at `now`, in milliseconds since 1970.
    pub(crate) fn selection(self, now: i64) -> Result<Selection, Failure> {
        let filter = (self.all || !self.filters.is_empty()).then(|| self.filters.filter(now));
        Ok(Selection::of(self.names, filter)?)
    }
}
