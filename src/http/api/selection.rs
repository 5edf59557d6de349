//! Reads which entries of the shelf are meant: in the query of a list, and in the body of a change.

use std::fmt::Display;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::super::admin::shared::MOST_CHANGED;
use super::call::Call;
use super::route::{Kind, Parameter};
use crate::app::plural::counted;
use crate::app::shelf::{EntryName, Selection, ShelfFilter, ShelfId, ShelfState, TimeBound};
use crate::app::{Reason, TenantId, store_now};

/// The tenant whose rows are meant.
pub(super) const TENANT: Parameter =
    Parameter { name: "tenant_id", about: "Only what belongs to this tenant.", kind: Kind::Text("acme") };

/// The filters of a list.
pub(super) const FILTERS: [Parameter; 7] = [
    TENANT,
    Parameter { name: "reason", about: "Only entries with this reason.", kind: Kind::Word(reasons) },
    Parameter { name: "state", about: "Only entries in this state.", kind: Kind::Word(states) },
    Parameter { name: "group", about: "Only entries of this group.", kind: Kind::Text("c-5f3a09b2") },
    Parameter {
        name: "since",
        about: "Only entries that were shelved since this time: an age such as 2h, a day or a time.",
        kind: Kind::Text("2h"),
    },
    Parameter {
        name: "until",
        about: "Only entries that were shelved before this time, in the same forms.",
        kind: Kind::Text("2026-11-20"),
    },
    Parameter {
        name: "message_id",
        about: "Only entries whose message was published with this message_id.",
        kind: Kind::Text("shop-142-1"),
    },
];

fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.code()).collect()
}

fn states() -> Vec<&'static str> {
    ShelfState::ALL.iter().map(|state| state.name()).collect()
}

/// What entries have in common, as it is written in a query and in a body.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SelectionBody {
    /// Every entry that the token may change, if nothing else is given.
    #[serde(default)]
    all: bool,
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9._:@-]{1,64}$"))]
    tenant_id: Option<String>,
    /// A reason, such as `key_refused`.
    #[serde(default)]
    #[schemars(with = "Option<Reason>")]
    reason: Option<String>,
    /// Whether they are retried automatically.
    #[serde(default)]
    #[schemars(regex(pattern = "^(parked|dead)$"))]
    state: Option<String>,
    /// A group, such as `c-5f3a09b2`.
    #[serde(default)]
    #[schemars(regex(pattern = "^c-[0-9a-f]{8}$"))]
    group: Option<String>,
    /// An age such as 2h, a day or a time.
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
}

impl SelectionBody {
    /// Reads the filters of a list.
    pub(super) fn of_query(call: &Call) -> Self {
        let part = |name: &str| call.query.get(name).cloned();
        Self {
            all: true,
            tenant_id: part("tenant_id"),
            reason: part("reason"),
            state: part("state"),
            group: part("group"),
            since: part("since"),
            until: part("until"),
            message_id: part("message_id"),
        }
    }

    /// Returns the filter, limited to what the caller may know.
    pub(super) fn filter(&self, call: &Call, is_body: bool) -> Result<ShelfFilter, Problem> {
        let at = |bound: TimeBound| bound.at(store_now(call.store()));
        Ok(ShelfFilter {
            tenant: call.reach().only(read::<TenantId>("tenant_id", &self.tenant_id, is_body)?)?,
            reason: read::<Reason>("reason", &self.reason, is_body)?,
            state: read("state", &self.state, is_body)?,
            batch: None,
            message_id: self.message_id.clone(),
            cause: read("group", &self.group, is_body)?,
            since: read("since", &self.since, is_body)?.map(at),
            until: read("until", &self.until, is_body)?.map(at),
        })
    }

    fn is_empty(&self) -> bool {
        let Self { all, tenant_id, reason, state, group, since, until, message_id } = self;
        let parts = [tenant_id, reason, state, group, since, until, message_id];
        !all && parts.iter().all(|part| part.is_none())
    }
}

/// Returns the entries that a body means.
pub(super) fn selection(
    call: &Call,
    ids: Option<&[String]>,
    selection: Option<&SelectionBody>,
) -> Result<Selection, Problem> {
    let mut names = Vec::new();
    for (index, id) in ids.unwrap_or_default().iter().enumerate() {
        let wrong = |why: String| Problem::new(Code::InvalidBody, why).at(format!("/ids/{index}"));
        names.push(id.parse::<EntryName>().map_err(wrong)?);
    }
    let filter = selection.filter(|selection| !selection.is_empty());
    let filter = filter.map(|selection| selection.filter(call, true)).transpose()?;
    Ok(Selection::of(names, filter)?)
}

/// Returns the ids of the entries that a body means: not more than one request changes, as many as were expected, and only
/// those that the caller may know.
pub(super) async fn chosen(
    call: &Call,
    (ids, filter): (Option<&[String]>, Option<&SelectionBody>),
    expected: Option<u64>,
) -> Result<Vec<ShelfId>, Problem> {
    let store = call.store();
    let too_large = |entries: usize| {
        let detail = format!("The selection has {entries} entries, and one request changes at most {MOST_CHANGED}.");
        Problem::new(Code::SelectionTooLarge, detail)
            .remedy("Narrow the selection, for example by tenant, group or time. Nothing was changed.")
    };
    if let Some(named) = ids.filter(|ids| ids.len() > MOST_CHANGED) {
        return Err(too_large(named.len()));
    }
    let selection = selection(call, ids, filter)?;
    call.reach().check(store, &selection).await?;
    let ids = selection.ids(store).await?;
    if ids.len() > MOST_CHANGED {
        return Err(too_large(ids.len()));
    }
    if expected.is_some_and(|expected| usize::try_from(expected) != Ok(ids.len())) {
        let entries = counted(ids.len(), "entry", "entries");
        let detail = format!("The selection has {entries} now. Nothing was changed.");
        return Err(Problem::new(Code::ChangedMeanwhile, detail)
            .at("/expected_entries")
            .remedy("Read the list again."));
    }
    Ok(ids)
}

/// Returns the reason that a body gives.
pub(super) fn reason(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|reason| !reason.is_empty())
}

fn read<T: FromStr<Err: Display>>(name: &str, text: &Option<String>, is_body: bool) -> Result<Option<T>, Problem> {
    let wrong = |why: T::Err| match is_body {
        true => Problem::new(Code::InvalidBody, why).at(format!("/selection/{name}")),
        false => Problem::parameter(Code::InvalidParameter, name, why),
    };
    text.as_ref().map(|text| text.parse().map_err(wrong)).transpose()
}
