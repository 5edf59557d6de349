//! Decides from what the reads of a probe showed which assumptions hold.

use std::time::Duration;

use super::super::super::plural::counted;
use super::ask::{Miss, Seen};
use super::reads::{ReadSeen, SHORT, Tagged};
use crate::batch::ledger::reconcile::{CLOCK_MARGIN_MS, Row};
use crate::store::connections::{Assumption, Finding, Found};
use crate::testmo::{CasePage, SeenField};

/// How much later than an answer a case may seem to be created, in milliseconds: `Date` has full seconds.
const MOMENT_MS: i64 = 5_000;

/// Whether an assumption holds, and what was observed.
pub(super) type Judged = (Found, String);

pub(super) fn holds(observed: impl Into<String>) -> Judged {
    (Found::Holds, observed.into())
}

pub(super) fn does_not_hold(observed: impl Into<String>) -> Judged {
    (Found::DoesNotHold, observed.into())
}

pub(super) fn not_seen(observed: impl Into<String>) -> Judged {
    (Found::NotSeen, observed.into())
}

/// Judges by a request that failed: a refusal shows that the assumption does not hold, any other failure shows nothing.
pub(super) fn missed(miss: &Miss) -> Judged {
    if miss.is_refusal() { does_not_hold(miss.words()) } else { not_seen(miss.words()) }
}

pub(super) fn finding(assumption: Assumption, (result, observed): Judged) -> Finding {
    Finding { assumption, result, observed }
}

/// Judges each assumption by the reads alone.
pub(super) fn of_reads(seen: &ReadSeen) -> Vec<Finding> {
    let judged = [
        (Assumption::DateHeader, by_newest(seen, date_header)),
        (Assumption::CreatedAtUtc, by_newest(seen, created_at)),
        (Assumption::SortAccepted, sort(seen)),
        (Assumption::ListOrder, order(seen)),
        (Assumption::ListPages, pages(seen)),
        (Assumption::FolderFilter, folder_filter(seen)),
        (Assumption::TagFilter, tag_filter(seen)),
        (Assumption::TagFilterAny, tag_filter_any(seen)),
        (Assumption::TagsListed, by_newest(seen, tags_listed)),
        (Assumption::IdsAscend, by_newest(seen, ids_ascend)),
        (Assumption::TemplatesListed, listed(&seen.templates)),
        (Assumption::StatesListed, listed(&seen.states)),
        (Assumption::FieldsListed, listed(&seen.fields.as_ref().map(Vec::len).map_err(Clone::clone))),
        (Assumption::FieldKinds, seen.fields.as_ref().map_or_else(|miss| not_seen(miss.words()), |f| kinds(f))),
    ];
    judged.into_iter().map(|(assumption, judged)| finding(assumption, judged)).collect()
}

/// Judges whether a 429 says for how long.
pub(super) fn retry_after(pauses: &[Option<Duration>]) -> Finding {
    let judged = match pauses {
        [] => not_seen("no 429 was received"),
        pauses if pauses.contains(&None) => does_not_hold("a 429 had no `Retry-After` that can be read"),
        pauses => {
            let longest = pauses.iter().flatten().max().map_or(0, Duration::as_secs);
            let answers = counted(pauses.len(), "answer asked for a pause", "answers asked for pauses");
            holds(format!("{answers}, of at most {longest} s"))
        }
    };
    finding(Assumption::RetryAfter, judged)
}

fn by_newest(seen: &ReadSeen, judge: impl Fn(&CasePage) -> Judged) -> Judged {
    seen.newest.as_ref().map_or_else(|miss| not_seen(miss.words()), judge)
}

fn date_header(page: &CasePage) -> Judged {
    match page.skew {
        None => does_not_hold("there is no `Date` that can be read"),
        Some(skew) if skew.abs() <= CLOCK_MARGIN_MS => holds(format!("{} s from this machine's clock", skew / 1_000)),
        Some(skew) => does_not_hold(format!("{} min from this machine's clock", skew / 60_000)),
    }
}

/// Judges the zone by cases that would not be created yet if their times were UTC.
fn created_at(page: &CasePage) -> Judged {
    let latest = page.rows.iter().map(|row| row.created_at).max();
    match latest.zip(page.server_time).map(|(latest, now)| latest.saturating_sub(now)) {
        Some(ahead) if ahead > MOMENT_MS => {
            does_not_hold(format!("the newest case would be created {} after the answer", span(ahead)))
        }
        Some(_) => not_seen("no case is newer than the answer; --write measures it"),
        None => not_seen("no case, or no `Date`, to compare; --write measures it"),
    }
}

/// Writes a time span in the unit that shows a time zone.
pub(super) fn span(ms: i64) -> String {
    if ms.abs() < 120_000 {
        format!("{} s", ms / 1_000)
    } else {
        format!("{} min", (ms + ms.signum() * 30_000) / 60_000)
    }
}

fn sort(seen: &ReadSeen) -> Judged {
    match (&seen.unsorted, &seen.newest) {
        (Some(why), _) => does_not_hold(why.clone()),
        (None, Ok(_)) => holds("`sort=repository_cases:id` was accepted"),
        (None, Err(miss)) => not_seen(miss.words()),
    }
}

fn order(seen: &ReadSeen) -> Judged {
    let (newest, oldest) = match (&seen.newest, &seen.oldest) {
        (Ok(newest), Ok(oldest)) => (newest, oldest),
        (Err(miss), _) | (_, Err(miss)) => return not_seen(miss.words()),
    };
    if newest.rows.len() < 2 {
        return not_seen("the project has fewer than two cases");
    }
    match (is_sorted(&newest.rows, |one, next| one > next), is_sorted(&oldest.rows, |one, next| one < next)) {
        (true, true) => {
            holds(format!("{} came newest first, and oldest first", counted(newest.rows.len(), "case", "cases")))
        }
        (true, false) => does_not_hold("cases did not come oldest first when asked for: the order is not obeyed"),
        (false, _) => does_not_hold("cases did not come newest first by id"),
    }
}

fn is_sorted(rows: &[Row], fits: impl Fn(u64, u64) -> bool) -> bool {
    rows.windows(2).all(|pair| fits(pair[0].id, pair[1].id))
}

fn pages(seen: &ReadSeen) -> Judged {
    let Some([first, second]) = &seen.pages else {
        return not_seen(format!("the project has no more than {SHORT} cases"));
    };
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(miss), _) | (_, Err(miss)) => return missed(miss),
    };
    let repeated = second.rows.iter().filter(|row| first.rows.iter().any(|before| before.id == row.id)).count();
    match (first.rows.len(), first.next_page, second.rows.len(), repeated) {
        (rows, ..) if rows != SHORT => does_not_hold(format!("a page of {SHORT} had {}", counted(rows, "row", "rows"))),
        (_, Some(2), 1.., 0) => holds(format!("pages of {SHORT} do not overlap")),
        (_, next, _, 0) if next != Some(2) => does_not_hold("the first page does not name the second one"),
        (_, _, 0, _) => does_not_hold("the second page is empty"),
        (_, _, _, repeated) => {
            does_not_hold(format!("{} on the first page and on the second", counted(repeated, "case is", "cases are")))
        }
    }
}

fn folder_filter(seen: &ReadSeen) -> Judged {
    let (folder, page) = &seen.folder;
    let page = match page {
        Ok(page) => page,
        Err(miss) => return missed(miss),
    };
    let is_elsewhere = |page: &CasePage| page.rows.iter().filter(|row| row.folder != *folder).count();
    match (is_elsewhere(page), seen.newest.as_ref().map_or(0, is_elsewhere)) {
        (0, 0) => not_seen("no case of another folder is known that it would leave out"),
        (0, _) => holds(format!("{} of the folder alone", counted(page.rows.len(), "case", "cases"))),
        (others, _) => does_not_hold(format!("{} of another folder", counted(others, "case is", "cases are"))),
    }
}

/// Returns whether the list can be filtered by a tag.
pub(super) fn filters(seen: &ReadSeen) -> bool {
    tag_filter(seen).0 == Found::Holds
}

fn tag_filter(seen: &ReadSeen) -> Judged {
    let without = match &seen.no_tag {
        Ok(page) => page,
        Err(miss) => return missed(miss),
    };
    if !without.rows.is_empty() {
        return does_not_hold("a tag that no case has lists cases: the filter is ignored");
    }
    let Some(Tagged { id, tag, alone, .. }) = &seen.tagged else {
        return not_seen("a tag that no case has lists none, and no case with a tag is known");
    };
    let alone = match alone {
        Ok(page) => page,
        Err(miss) => return missed(miss),
    };
    let others = alone.rows.iter().filter(|row| !row.tags.contains(tag)).count();
    match alone.rows.iter().any(|row| row.id == *id) {
        true if others == 0 => holds("a tag lists the cases that have it, and no others"),
        true => does_not_hold("a tag lists cases that do not have it"),
        false => does_not_hold("a tag does not list a case that has it"),
    }
}

fn tag_filter_any(seen: &ReadSeen) -> Judged {
    if !filters(seen) {
        return not_seen("the filter by one tag was not seen to work");
    }
    match &seen.tagged {
        Some(Tagged { any: Err(miss), .. }) => missed(miss),
        Some(Tagged { id, any: Ok(page), .. }) if page.rows.iter().any(|row| row.id == *id) => {
            holds("two tags list a case that has one of them")
        }
        Some(_) => does_not_hold("two tags do not list a case that has only one of them"),
        None => not_seen("no case with a tag is known"),
    }
}

fn tags_listed(page: &CasePage) -> Judged {
    match page.rows.iter().filter(|row| !row.tags.is_empty()).count() {
        0 => not_seen("no case with a tag is known; --write creates one"),
        tagged => holds(format!("{} with tags", counted(tagged, "case was listed", "cases were listed"))),
    }
}

fn ids_ascend(page: &CasePage) -> Judged {
    let mut rows: Vec<&Row> = page.rows.iter().collect();
    rows.sort_by_key(|row| row.id);
    if rows.len() < 2 {
        return not_seen("the project has fewer than two cases");
    }
    match rows.windows(2).filter(|pair| pair[0].created_at > pair[1].created_at).count() {
        0 => holds(format!("{} by time and by id in the same order", counted(rows.len(), "case", "cases"))),
        wrong => {
            does_not_hold(format!("{} the higher id, and the earlier time", counted(wrong, "case has", "cases have")))
        }
    }
}

fn listed(seen: &Seen<usize>) -> Judged {
    match seen {
        Ok(0) => does_not_hold("the list is empty"),
        Ok(entries) => holds(counted(*entries, "entry", "entries")),
        Err(miss) => missed(miss),
    }
}

fn kinds(fields: &[SeenField]) -> Judged {
    if fields.is_empty() {
        return not_seen("the list is empty");
    }
    let mut kinds: Vec<&str> = fields.iter().filter_map(|field| field.kind.as_deref()).collect();
    kinds.sort_unstable_by_key(|kind| (kind.len(), *kind));
    kinds.dedup();
    let required =
        if fields.iter().any(|field| field.says_required) { "" } else { "; none says whether it is required" };
    let observed = format!("{} of the kinds {}{required}", counted(fields.len(), "field", "fields"), kinds.join(", "));
    match fields.iter().filter(|field| !field.has_column || field.kind.is_none()).count() {
        0 => holds(observed),
        lacking => does_not_hold(format!("{observed}; {} no column or no kind", counted(lacking, "has", "have"))),
    }
}
