//! Reads which entries of the shelf are meant: in the query of a list, and in the form of a change.

use super::super::admin::problem::{Code, Problem};
use super::super::admin::shared::MOST_CHANGED;
use super::fields::Fields;
use super::visit::Visit;
use crate::app::plural::counted;
use crate::app::shelf::{EntryName, Selection, ShelfFilter, ShelfId, TimeBound};

/// The names of the filters in queries and forms.
pub(super) const FILTERS: [&str; 7] = ["tenant", "reason", "state", "group", "since", "until", "message_id"];

/// Reads the filters, limited to what the caller may know.
pub(super) fn filter(visit: &Visit, fields: &Fields) -> Result<ShelfFilter, Problem> {
    let at = |bound: TimeBound| bound.at(visit.now);
    Ok(ShelfFilter {
        tenant: visit.reach()?.only(fields.parsed("tenant")?)?,
        reason: fields.parsed("reason")?,
        state: fields.parsed("state")?,
        batch: None,
        message_id: fields.text("message_id").map(str::to_owned),
        cause: fields.parsed("group")?,
        since: fields.parsed("since")?.map(at),
        until: fields.parsed("until")?.map(at),
    })
}

/// Returns the entries that fields mean: ticked ones, or those that match filters. Everything has to be said as `all=yes`.
pub(super) fn selection(visit: &Visit, fields: &Fields) -> Result<Selection, Problem> {
    let mut names = Vec::new();
    for id in fields.all("id") {
        let wrong = |why: String| Problem::parameter(Code::InvalidParameter, "id", why);
        names.push(id.parse::<EntryName>().map_err(wrong)?);
    }
    if !names.is_empty() {
        // What is ticked was ticked in a list with filters, which are then only those of the list.
        return Ok(Selection::of(names, None)?);
    }
    let is_said = FILTERS.iter().any(|name| fields.text(name).is_some()) || fields.has("all");
    Ok(Selection::of(names, is_said.then(|| filter(visit, fields)).transpose()?)?)
}

/// Returns the fields of a selection, to write it into forms and addresses again.
pub(super) fn pairs(fields: &Fields) -> Vec<(&'static str, String)> {
    let ids: Vec<(&'static str, String)> = fields.all("id").map(|id| ("id", id.to_owned())).collect();
    if !ids.is_empty() {
        return ids;
    }
    let filters = FILTERS.into_iter().filter_map(|name| Some((name, fields.text(name)?.to_owned())));
    filters.chain(fields.has("all").then(|| ("all", "yes".to_owned()))).collect()
}

/// Returns the ids of the entries that fields mean: not more than one request changes, and only those that the caller may know.
pub(super) async fn chosen(visit: &Visit, fields: &Fields) -> Result<Vec<ShelfId>, Problem> {
    let store = visit.store();
    let selection = selection(visit, fields)?;
    visit.reach()?.check(store, &selection).await?;
    let ids = selection.ids(store).await?;
    if ids.len() > MOST_CHANGED {
        let detail =
            format!("The selection has {} entries, and one change is made to at most {MOST_CHANGED}.", ids.len());
        return Err(Problem::new(Code::SelectionTooLarge, detail)
            .remedy("Narrow the selection, for example by tenant, cause or time. Nothing was changed."));
    }
    Ok(ids)
}

/// Checks that a selection still has as many entries as the person has seen.
pub(super) fn as_seen(fields: &Fields, entries: usize) -> Result<(), Problem> {
    match fields.parsed::<usize>("expected")? {
        Some(expected) if expected != entries => {
            let entries = counted(entries, "entry", "entries");
            let detail = format!("The selection has {entries} now, and you have seen {expected}.");
            Err(Problem::new(Code::ChangedMeanwhile, detail).remedy("Look at it again. Nothing was changed."))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_that_has_changed_is_not_acted_on() {
        let said = |entries| as_seen(&Fields::read(b"expected=2", &["expected"]).unwrap(), entries);
        assert!(said(2).is_ok() && as_seen(&Fields::default(), 7).is_ok());
        let changed = said(1).unwrap_err();
        assert_eq!(changed.code, Code::ChangedMeanwhile);
        assert_eq!(changed.detail(), "The selection has 1 entry now, and you have seen 2.");
    }
}
