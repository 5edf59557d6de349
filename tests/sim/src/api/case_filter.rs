//! Selects the cases that the query of a list asks for.

use std::collections::BTreeSet;

use super::refusal::{Refusal, refused};
use crate::model::{Account, Case, TagsFilter};
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

/// The filters of one case list. Parameters that the account does not know are ignored silently.
#[derive(Debug, Default)]
pub(crate) struct CaseFilter {
    /// Folders whose direct members are wanted; `None` means all of the project.
    pub(crate) folders: Option<BTreeSet<u64>>,
    /// Only these cases, because they carry a wanted tag.
    pub(crate) tagged: Option<BTreeSet<u64>>,
    templates: Option<Vec<u64>>,
    states: Option<Vec<u64>>,
    statuses: Option<Vec<u64>>,
    creators: Option<Vec<u64>>,
    updaters: Option<Vec<u64>>,
    automated: Option<bool>,
    name: Option<String>,
    /// Only cases created after this moment.
    pub(crate) created_after: Option<Time>,
    created_before: Option<Time>,
    /// Cases created after this moment are not listed yet.
    listed_until: Option<Time>,
}

impl CaseFilter {
    /// Reads the query; a value of the wrong type is 422.
    pub(crate) fn of(request: &Request, account: &Account, now: Time) -> Result<Self, Response> {
        let mut refusal = Refusal::default();
        let mut ids = |name: &str| id_list(request, name, &mut refusal);
        let mut filter = Self {
            folders: ids("folder_id").map(BTreeSet::from_iter),
            templates: ids("template_id"),
            states: ids("state_id"),
            statuses: ids("status_id"),
            creators: ids("created_by"),
            updaters: ids("updated_by"),
            ..Self::default()
        };
        refusal.check()?;
        filter.created_after = moment(request, "created_after")?;
        filter.created_before = moment(request, "created_before")?;
        filter.automated = flag(request, "has_automation")?.or(flag(request, "has_automation_status")?);
        filter.read_switchable(request, account, now);
        Ok(filter)
    }

    /// Returns whether only folder and tag are filtered, for which indices exist.
    pub(crate) fn is_indexed(&self) -> bool {
        let lists = [&self.templates, &self.states, &self.statuses, &self.creators, &self.updaters];
        lists.iter().all(|list| list.is_none())
            && self.automated.is_none()
            && self.name.is_none()
            && self.created_after.is_none()
            && self.created_before.is_none()
            && self.listed_until.is_none()
    }

    /// Returns whether a case of the project is wanted.
    pub(crate) fn fits(&self, case: &Case) -> bool {
        let is_in = |list: &Option<Vec<u64>>, id: Option<u64>| {
            list.as_ref().is_none_or(|list| id.is_some_and(|id| list.contains(&id)))
        };
        self.folders.as_ref().is_none_or(|folders| folders.contains(&case.folder_id))
            && self.tagged.as_ref().is_none_or(|tagged| tagged.contains(&case.id))
            && is_in(&self.templates, Some(case.template_id))
            && is_in(&self.states, Some(case.state_id))
            && is_in(&self.statuses, case.status_id)
            && is_in(&self.creators, Some(case.created_by))
            && is_in(&self.updaters, case.updated_by)
            && self.automated != Some(true)
            && self.name.as_ref().is_none_or(|part| case.name.to_lowercase().contains(part))
            && self.created_after.is_none_or(|after| case.created_at > after)
            && self.created_before.is_none_or(|before| case.created_at < before)
            && self.listed_until.is_none_or(|until| case.created_at <= until)
    }

    fn read_switchable(&mut self, request: &Request, account: &Account, now: Time) {
        let settings = &account.settings;
        self.folders = self.folders.take().filter(|_| settings.folder_filter);
        self.listed_until = Some(now.plus(-settings.case_list_lag_ms)).filter(|_| settings.case_list_lag_ms > 0);
        if request.parameter("tags").is_some() {
            let tags = request.list("tags");
            self.tagged = match settings.tags_filter {
                TagsFilter::Ignored => None,
                TagsFilter::Any => Some(cases_with_any(account, &tags)),
                TagsFilter::All => Some(cases_with_all(account, &tags)),
                TagsFilter::Late(ms) => {
                    let mut found = cases_with_any(account, &tags);
                    found.retain(|id| account.cases.get(*id).is_some_and(|case| case.created_at <= now.plus(-ms)));
                    Some(found)
                }
            };
        }
        if settings.name_filter {
            self.name = request.parameter("name").map(str::to_lowercase);
        }
        if settings.recursive_filter && request.parameter("recursive") == Some("1") {
            let roots = self.folders.iter().flatten();
            let below = roots.flat_map(|root| account.folders.subtree(*root)).collect();
            self.folders = self.folders.is_some().then_some(below);
        }
    }
}

/// Returns the cases that carry any of these tags, given by name or id.
fn cases_with_any(account: &Account, tags: &[&str]) -> BTreeSet<u64> {
    tags.iter().flat_map(|tag| cases_with(account, tag)).collect()
}

/// Returns the cases that carry all of these tags, given by name or id.
fn cases_with_all(account: &Account, tags: &[&str]) -> BTreeSet<u64> {
    let each = tags.iter().map(|tag| cases_with(account, tag));
    each.reduce(|all, these| &all & &these).unwrap_or_default()
}

fn cases_with(account: &Account, tag: &str) -> BTreeSet<u64> {
    let id = account.tags.id(tag).or_else(|| tag.parse().ok());
    id.into_iter().flat_map(|id| account.cases.of_tag(id)).copied().collect()
}

fn id_list(request: &Request, name: &str, refusal: &mut Refusal) -> Option<Vec<u64>> {
    let values = request.list(name);
    request.parameter(name)?;
    let ids: Option<Vec<u64>> = values.iter().map(|value| value.parse().ok()).collect();
    if ids.is_none() {
        refusal.add(name, format!("The {name} must be an integer."));
    }
    ids
}

fn moment(request: &Request, name: &str) -> Result<Option<Time>, Response> {
    let Some(text) = request.parameter(name) else { return Ok(None) };
    let moment = Time::parse(text);
    let words = format!("The {name} is not a valid date.");
    moment.map(Some).ok_or_else(|| refused(name, &words))
}

fn flag(request: &Request, name: &str) -> Result<Option<bool>, Response> {
    match request.parameter(name) {
        None => Ok(None),
        Some("0" | "false") => Ok(Some(false)),
        Some("1" | "true") => Ok(Some(true)),
        Some(_) => Err(refused(name, &format!("The {name} field must be true or false."))),
    }
}
