//! Writes the conditions of a list so that the index which finds the fewest rows answers them.

use super::super::sql::{Bound, Conditions, Dialect};
use super::ShelfState;
use crate::batch::cause::CauseId;
use crate::batch::{BatchId, Reason, TenantId};

/// Which rows of the shelf are meant; a part left empty means all.
#[derive(Clone, Debug, Default)]
pub struct ShelfFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those there for a reason.
    pub reason: Option<Reason>,
    /// Those in a state.
    pub state: Option<ShelfState>,
    /// Those of a batch, together with its tenant.
    pub batch: Option<BatchId>,
    /// Those whose message has this `message_id`.
    pub message_id: Option<String>,
    /// Those of a cause.
    pub cause: Option<CauseId>,
    /// Those put there at or after a time, in milliseconds on the store's clock.
    pub since: Option<i64>,
    /// Those put there before a time, likewise.
    pub until: Option<i64>,
}

/// How a column is compared with a value where another column decides which index is read.
#[derive(Clone, Copy)]
enum Compared {
    /// So that an index may be chosen for it.
    Chosen,
    /// So that no index is chosen for it, but one that has the column answers it.
    Answered,
    /// So that no index is asked.
    Hidden,
}

impl Compared {
    /// Adds a condition for a column and a value, which is written as SQL.
    fn add(self, dialect: Dialect, conditions: Conditions, column: &str, value: Option<String>) -> Conditions {
        let Some(value) = value else { return conditions };
        conditions.fixed(&match (self, dialect) {
            (Self::Chosen, _) => format!("{column} = {value}"),
            (Self::Hidden, _) => format!("{column} || '' = {value}"),
            // SQLite takes no index for what has a plus before it.
            (Self::Answered, Dialect::Sqlite) => format!("+{column} BETWEEN {value} AND {value}"),
            (Self::Answered, Dialect::Postgres) => format!("{column} BETWEEN {value} AND {value}"),
        })
    }
}

/// Returns whether the entries of a filter are so few that they are found first, and put into order then.
pub(super) fn are_few(filter: &ShelfFilter) -> bool {
    filter.batch.is_some() || filter.message_id.is_some()
}

/// Returns the conditions of a filter, apart from times on the shelf.
pub(super) fn conditions(dialect: Dialect, filter: &ShelfFilter) -> Conditions {
    let text = |text: &str| Bound::Text(text.to_owned());
    let others = match (are_few(filter), filter.cause) {
        (true, _) => Compared::Hidden,
        (false, Some(_)) => Compared::Answered,
        (false, None) => Compared::Chosen,
    };
    let of_tenant = if filter.batch.is_some() { Compared::Chosen } else { others };
    let cause = filter.cause.map(|cause| Bound::Int(cause.number()));
    let mut conditions = Conditions::default();
    let tenant = filter.tenant.as_ref().map(|tenant| conditions.parameter(text(tenant.as_str())));
    conditions = of_tenant.add(dialect, conditions, "tenant_id", tenant);
    // The order of arrival is in an index of tenant and state.
    let by_tenant = filter.tenant.is_some() && matches!(others, Compared::Chosen);
    // The words of a column are written out: a server makes one plan for whatever parameters follow, and knows only of words how many
    // rows have them.
    let of_reason = if by_tenant { Compared::Hidden } else { others };
    conditions = of_reason.add(dialect, conditions, "reason", filter.reason.map(|reason| word(reason.code())));
    conditions = others.add(dialect, conditions, "state", filter.state.map(|state| word(state.name())));
    conditions = conditions
        .maybe(if are_few(filter) { "cause + 0 =" } else { "cause =" }, cause)
        .maybe("batch_id =", filter.batch.as_ref().map(|batch| text(batch.as_str())));
    match &filter.message_id {
        Some(id) => of_message(dialect, conditions, id),
        None => conditions,
    }
}

/// Writes a word of this program's own as SQL.
fn word(word: &'static str) -> String {
    format!("'{word}'")
}

/// Adds the conditions for the `message_id` of a row's message. Headers are stored as one JSON text of names and texts, in
/// which a quote within another header is escaped. The index has what stands before the next quote; `LIKE` would ignore case
/// in a file.
fn of_message(dialect: Dialect, mut conditions: Conditions, id: &str) -> Conditions {
    let written = crate::batch::json_of(id);
    let before_quote = written.split('"').nth(1).unwrap_or_default().to_owned();
    let before_quote = conditions.parameter(Bound::Text(before_quote));
    let header = conditions.parameter(Bound::Text(format!("\"message_id\":{written}")));
    let (is_there, indexed) = match dialect {
        Dialect::Sqlite => {
            let at = "instr(headers, '\"message_id\":\"')";
            let rest = format!("substr(headers, {at} + 14)");
            (format!("{at} > 0"), format!("substr({rest}, 1, instr({rest}, '\"') - 1)"))
        }
        Dialect::Postgres => (
            "strpos(headers, '\"message_id\":\"') > 0".to_owned(),
            "split_part(split_part(headers, '\"message_id\":\"', 2), '\"', 1)".to_owned(),
        ),
    };
    conditions
        .fixed(&is_there)
        .fixed(&format!("{indexed} = {before_quote}"))
        .fixed(&format!("REPLACE(headers, {header}, '') <> headers"))
}
