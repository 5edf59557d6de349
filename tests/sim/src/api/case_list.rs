//! Answers `GET /projects/{id}/cases`.
//!
//! Most requests ask for the newest cases first, so this order is read from the back of an index and stops early.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case_filter::CaseFilter;
use super::case_row::{CaseRow, Extras, Shape};
use super::expands::{Expands, is_wished};
use super::page::{Order, Paging, sort_column};
use super::refusal::refused;
use crate::model::{Account, Case, CaseOrder};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

impl Account {
    /// Returns one page of cases.
    pub(crate) fn list_cases(&self, project_id: u64, request: &Request, now: Time) -> Result<Response, Response> {
        let paging = Paging::of(request)?.with_rows(self.settings.case_page_rows);
        if !self.settings.sorts_cases && request.parameter("sort").is_some() {
            return Err(refused("sort", "The selected sort is invalid."));
        }
        let (column, order) = match self.settings.case_order {
            CaseOrder::AsAsked if self.settings.ignores_case_sort => ("created_at", Order::Descending),
            CaseOrder::AsAsked => {
                let column = sort_column(request, "repository_cases", &COLUMNS, "created_at")?;
                (column, Order::of(request, Order::Descending)?)
            }
            CaseOrder::OldestFirst => ("id", Order::Ascending),
        };
        let filter = CaseFilter::of(request, self, now)?;
        let is_by_id = column == "id" || (column == "created_at" && self.cases.is_in_time_order());
        let (page, total) = if is_by_id {
            self.page_by_id(project_id, &filter, order, paging)
        } else {
            self.page_sorted(project_id, &filter, column, order, paging)
        };
        let shape = Shape::Listed(Extras::of(request, self.settings.lists_tags));
        let expands = self.case_expands(request, &page);
        let rows = page.into_iter().map(|case| CaseRow { account: self, case, shape });
        Ok(paging.wrap(rows.collect(), total, expands))
    }

    fn page_by_id(&self, project_id: u64, filter: &CaseFilter, order: Order, paging: Paging) -> (Vec<&Case>, usize) {
        let gathered;
        let candidates = match self.index(project_id, filter) {
            Index::Ready(ids) => ids,
            Index::Gathered(ids) => {
                gathered = ids;
                &gathered
            }
        };
        let fits = |case: &&Case| filter.is_indexed() || filter.fits(case);
        let total = if filter.is_indexed() {
            candidates.len()
        } else {
            let newest_first = candidates.iter().rev().filter_map(|id| self.cases.get(*id));
            let is_young = |case: &&Case| !self.is_past(case, filter);
            newest_first.take_while(is_young).filter(|case| filter.fits(case)).count()
        };
        let cases = candidates.iter().filter_map(|id| self.cases.get(*id));
        let page = match order {
            Order::Ascending => paging.cut(cases.filter(fits).take(total)),
            Order::Descending => paging.cut(cases.rev().filter(fits).take(total)),
        };
        (page, total)
    }

    fn page_sorted(
        &self,
        project_id: u64,
        filter: &CaseFilter,
        column: &str,
        order: Order,
        paging: Paging,
    ) -> (Vec<&Case>, usize) {
        let all = self.cases.of_project(project_id).iter();
        let cases = all.filter_map(|id| self.cases.get(*id)).filter(|case| filter.fits(case));
        let mut cases: Vec<&Case> = cases.collect();
        cases.sort_by(|a, b| compare(column, a, b).then(a.id.cmp(&b.id)));
        order.turn(&mut cases);
        let total = cases.len();
        (paging.cut(cases.into_iter()), total)
    }

    /// Returns the smallest set of ids that an index offers for this filter; no other check of folder and tag is
    /// needed.
    fn index(&self, project_id: u64, filter: &CaseFilter) -> Index<'_> {
        let of_project = self.cases.of_project(project_id);
        match (&filter.folders, &filter.tagged) {
            (None, None) => Index::Ready(of_project),
            (None, Some(tagged)) => Index::Gathered(tagged & of_project),
            (Some(folders), tagged) => {
                let own = |id: &&u64| self.folders.get_in(project_id, **id).is_some();
                let mut folders = folders.iter().filter(own);
                match (folders.next(), folders.next(), tagged) {
                    (Some(only), None, None) => Index::Ready(self.cases.of_folder(*only)),
                    (first, second, tagged) => {
                        let folders = first.into_iter().chain(second).chain(folders);
                        let ids = folders.flat_map(|id| self.cases.of_folder(*id)).copied();
                        let is_tagged = |id: &u64| tagged.as_ref().is_none_or(|t| t.contains(id));
                        Index::Gathered(ids.filter(is_tagged).collect())
                    }
                }
            }
        }
    }

    /// Returns whether this case and all older ones are too old for the filter.
    fn is_past(&self, case: &Case, filter: &CaseFilter) -> bool {
        let is_old = filter.created_after.is_some_and(|after| case.created_at <= after);
        is_old && self.cases.is_in_time_order()
    }

    fn case_expands(&self, request: &Request, page: &[&Case]) -> Expands {
        let mut expands = Expands::default();
        if is_wished(request, "tags") {
            let tag = |id| json!({ "id": id, "name": self.tags.name(id) });
            expands.add("tags", distinct(page, |case| case.tags.clone(), tag));
        }
        if is_wished(request, "folders") {
            let folder = |id| self.folders.get(id).map(|f| self.folder_item(f)).unwrap_or_default();
            expands.add("folders", distinct(page, |case| vec![case.folder_id], folder));
        }
        if is_wished(request, "templates") {
            let name = |id| self.template(id).map(|template| &template.name);
            let template = |id| json!({ "id": id, "name": name(id) });
            expands.add("templates", distinct(page, |case| vec![case.template_id], template));
        }
        if is_wished(request, "users") {
            let name = |id| self.users.iter().find(|user| user.id == id).map(|user| &user.name);
            let user = |id| json!({ "id": id, "name": name(id) });
            let both = |case: &Case| [Some(case.created_by), case.updated_by].into_iter().flatten().collect();
            expands.add("users", distinct(page, both, user));
        }
        for table in ["automation_links", "comments"] {
            if is_wished(request, table) {
                expands.add(table, Vec::new());
            }
        }
        if is_wished(request, "history") {
            expands.add("history", self.joined_history(page));
        }
        expands
    }
}

enum Index<'a> {
    Ready(&'a BTreeSet<u64>),
    Gathered(BTreeSet<u64>),
}

const COLUMNS: [&str; 15] = [
    "created_at",
    "id",
    "name",
    "display_order",
    "folder_id",
    "template_id",
    "state_id",
    "status_id",
    "status_at",
    "estimate",
    "forecast",
    "has_automation",
    "created_by",
    "updated_at",
    "updated_by",
];

/// Compares two cases by a column. Columns that are not kept here (`display_order`, `forecast`, ...) leave the order to
/// the ids.
fn compare(column: &str, a: &Case, b: &Case) -> Ordering {
    match column {
        "created_at" => a.created_at.cmp(&b.created_at),
        "name" => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        "folder_id" => a.folder_id.cmp(&b.folder_id),
        "template_id" => a.template_id.cmp(&b.template_id),
        "state_id" => a.state_id.cmp(&b.state_id),
        "status_id" => a.status_id.cmp(&b.status_id),
        "estimate" => a.estimate.cmp(&b.estimate),
        "created_by" => a.created_by.cmp(&b.created_by),
        "updated_at" => a.updated_at.cmp(&b.updated_at),
        "updated_by" => a.updated_by.cmp(&b.updated_by),
        _ => Ordering::Equal,
    }
}

fn distinct(page: &[&Case], ids: impl Fn(&Case) -> Vec<u64>, record: impl Fn(u64) -> Value) -> Vec<Value> {
    let ids: BTreeSet<u64> = page.iter().flat_map(|case| ids(case)).collect();
    ids.into_iter().map(record).collect()
}
