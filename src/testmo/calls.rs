//! Makes each call that the worker needs and translates the answer into the core's types.

use std::collections::{HashSet, VecDeque};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::case_list::CaseList;
use super::classify::{Answer, redirect_of};
use super::client::Client;
use super::echo::compare;
use super::listed::{ListedField, NamedItem};
use super::order::{case_queries, is_refused};
use super::pages::{Entry, Kept, ReadError, ReadPermits};
use super::transport::Access;
use super::wire::{
    CasePage, Created, EchoedFolder, Folder, ListedCase, One, Page, Project, User, created_at, created_id,
};
use crate::batch::ledger::Target;
use crate::batch::ledger::reconcile::{CLOCK_MARGIN_MS, Row, ZONE_MARGIN_MS};
use crate::batch::render::catalogue::{Catalogue, Item};
use crate::batch::render::resolve::Needs;
use crate::batch::verdict::answer::{ApiError, CreateOutcome};
use crate::offload::run_blocking_if_large;

/// The most pages of one list, which bounds the cost of a broken answer.
const MOST_PAGES: usize = 1_000;

/// The largest difference between Testmo's clock and ours that a `Date` header is believed, in milliseconds.
const LONGEST_SKEW_MS: i64 = 24 * 60 * 60 * 1_000;

/// A folder that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedFolder {
    /// Its id.
    pub id: u64,
    /// Its name as Testmo saved it, if the answer shows it.
    pub name: Option<String>,
}

/// The point where reading ends, because older cases are not needed. A list that is not newest first is read to its
/// end.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Cases with this id or a lower one are in the past, because ids ascend as cases are created. Where this is known,
    /// no time counts.
    pub up_to: Option<u64>,
    /// Cases created before this time are in the past, in milliseconds since 1970 on our clock; a margin for clocks is
    /// subtracted.
    pub before: i64,
    /// The difference between Testmo's times of creation and its clock, in milliseconds. Where it is unknown, the times
    /// may be those of another time zone.
    pub offset: Option<i64>,
}

impl Past {
    /// Returns the time of creation at which reading may end, from the skew of Testmo's clock as an answer shows it. A
    /// wrong `Date` makes reading longer only: a clock that seems to be ahead is not believed, and where the time is
    /// that of another day, reading goes on to the end of the list.
    fn end_of_reading(&self, skew: Option<i64>) -> i64 {
        let is_known = self.offset.is_some() && skew.is_some();
        let zone = if is_known { 0 } else { ZONE_MARGIN_MS };
        match skew.unwrap_or(0) {
            skew if skew.abs() > LONGEST_SKEW_MS => i64::MIN,
            skew => self.before + skew.min(0) - CLOCK_MARGIN_MS + self.offset.unwrap_or(0).min(0) - zone,
        }
    }
}

impl Client {
    /// Returns the name of the key's user, with the cheapest call that shows whether the key is valid.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn user(&self, access: &Access) -> Result<String, ApiError> {
        let answer = self.get(access, "/user").await?;
        read(answer, |answer| content::<User>(answer).map(|user| user.name)).await
    }

    /// Returns the name of a project.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn project(&self, access: &Access, project: u64) -> Result<String, ApiError> {
        let answer = self.get(access, &format!("/projects/{project}")).await?;
        read(answer, |answer| content::<One<Project>>(answer).map(|one| one.result.name)).await
    }

    /// Returns every project that the key's user sees.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request.
    pub async fn projects<P: ReadPermits>(
        &self,
        access: &Access,
        permits: &mut P,
    ) -> Result<Vec<Item>, ReadError<P::Refused>> {
        let projects: Vec<NamedItem> = self.list(access, "/projects?per_page=100", permits).await?;
        Ok(projects.into_iter().filter_map(NamedItem::of_cases).collect())
    }

    /// Returns every folder of a project; Testmo has no call for a single one.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request.
    pub async fn folders<P: ReadPermits>(
        &self,
        access: &Access,
        project: u64,
        permits: &mut P,
    ) -> Result<Vec<Folder>, ReadError<P::Refused>> {
        let path = format!("/projects/{project}/folders?per_page=100");
        self.list_ordered(access, &path, "&sort=repository_folders:id&order=asc", permits).await
    }

    /// Returns the templates, states and fields that names in a mapping can stand for, as far as this Testmo lists
    /// them; requests only the lists that are needed.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request. Lists that a tenant lacks,
    /// or that the key's user may not see, are `None`.
    pub async fn catalogue<P: ReadPermits>(
        &self,
        access: &Access,
        project: u64,
        needs: Needs,
        permits: &mut P,
    ) -> Result<Catalogue, ReadError<P::Refused>> {
        let path = |list: &str| format!("/projects/{project}/{list}?per_page=100");
        let named = |items: Vec<NamedItem>| items.into_iter().filter_map(NamedItem::of_cases).collect();
        let mut templates: Option<Vec<NamedItem>> =
            self.list_if(needs.templates, access, &path("templates"), permits).await?;
        let template_fields = templates.iter_mut().flatten().filter_map(NamedItem::take_fields).collect();
        let templates = templates.map(named);
        let states = self.list_if(needs.states, access, &path("states"), permits).await?.map(named);
        let fields: Option<Vec<ListedField>> = self.list_if(needs.fields, access, &path("fields"), permits).await?;
        let fields = fields.map(|fields| fields.into_iter().filter_map(ListedField::of_cases).collect());
        Ok(Catalogue { templates, template_fields, states, fields })
    }

    /// Returns the entries of a list if they are wanted and this Testmo lists them.
    async fn list_if<T: DeserializeOwned + Entry + Send + 'static, P: ReadPermits>(
        &self,
        is_wanted: bool,
        access: &Access,
        path: &str,
        permits: &mut P,
    ) -> Result<Option<Vec<T>>, ReadError<P::Refused>> {
        if is_wanted { if_listed(self.list(access, path, permits).await) } else { Ok(None) }
    }

    /// Returns the entries of every page of a list; `path` already has a query.
    pub(super) async fn list<T: DeserializeOwned + Entry + Send + 'static, P: ReadPermits>(
        &self,
        access: &Access,
        path: &str,
        permits: &mut P,
    ) -> Result<Vec<T>, ReadError<P::Refused>> {
        let (mut all, mut kept, mut page) = (Vec::new(), Kept::default(), 1);
        for _ in 0..MOST_PAGES {
            permits.next().await.map_err(ReadError::NotPermitted)?;
            let answer = self.get(access, &format!("{path}&page={page}")).await?;
            let listed: Page<T> = read(answer, |answer| content(answer)).await?;
            kept.add(&listed.result.0)?;
            all.extend(listed.result.0);
            match listed.next_page {
                Some(next) => page = next,
                None => return Ok(all),
            }
        }
        Err(ApiError::Unreadable("a list does not end".into()).into())
    }

    /// Reads a short page of a folder's cases, to check whether Testmo answers lists.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn has_lists(&self, access: &Access, target: &Target) -> Result<(), ApiError> {
        let Target { project, folder, .. } = target;
        let path = format!("/projects/{project}/cases?folder_id={folder}&per_page=15&page=1");
        let answer = self.get(access, &path).await?;
        read(answer, |answer| content::<Page<IgnoredAny>>(answer).map(drop)).await
    }

    /// Creates a folder, and returns the one that Testmo's answer shows. An answer that shows the folder in another
    /// place than requested, or without a usable id, is unreadable.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure; [`ApiError::may_have_committed`] says whether the folder
    /// may exist.
    pub async fn create_folder(
        &self,
        access: &Access,
        project: u64,
        parent: u64,
        name: &str,
    ) -> Result<CreatedFolder, ApiError> {
        let body = serde_json::json!({"folders": [{"name": name, "parent_id": parent}]}).to_string();
        let answer = self.post(access, &format!("/projects/{project}/folders"), body).await?;
        let echoed = read(answer, echoed_folder).await?;
        if !is_folder_id(echoed.id) {
            return Err(ApiError::Unreadable(format!("{} is not an id of a folder", echoed.id)));
        }
        if (echoed.project_id, echoed.parent_id) != (Some(project), Some(parent)) {
            let at = format!("project {:?}, parent {:?}", echoed.project_id, echoed.parent_id);
            return Err(ApiError::Unreadable(format!("folder {} was created elsewhere: {at}", echoed.id)));
        }
        Ok(CreatedFolder { id: echoed.id, name: echoed.name })
    }

    /// Creates cases; `body` is the whole request. For each of its cases `remembered` says whether its fields are returned.
    pub async fn create_cases(
        &self,
        access: &Access,
        project: u64,
        body: String,
        remembered: Vec<bool>,
    ) -> CreateOutcome {
        let created = match self.post(access, &format!("/projects/{project}/cases"), body.clone()).await {
            Ok(answer) => read(answer, move |answer| created_cases(answer, &body, &remembered)).await,
            Err(trouble) => Err(trouble),
        };
        created.unwrap_or_else(CreateOutcome::failed)
    }

    /// Reads the cases of a folder that are not in the past. With `tags`, requests only cases that carry any of these
    /// tags: a Testmo without this filter ignores it and lists every case, and a Testmo that filters by something else
    /// is detected by the cases that are missing.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request.
    pub async fn list_cases<P: ReadPermits>(
        &self,
        access: &Access,
        target: &Target,
        past: Past,
        tags: &[String],
        permits: &mut P,
    ) -> Result<CaseList, ReadError<P::Refused>> {
        let Target { project, folder, .. } = target;
        let mut queries = VecDeque::from(case_queries(tags));
        // Rows that a person deletes while we page move others to a page already read; then the list is read again.
        let (mut requests, mut tries) = (0, 0);
        while let (Some(query), true) = (queries.front(), tries < 3) {
            let list = format!("/projects/{project}/cases?folder_id={folder}&per_page=100&expands=tags{query}");
            match self.list_once(access, &list, past, &mut requests, permits).await {
                Ok(Some(cases)) => return Ok(CaseList { requests, ..cases }),
                Ok(None) => tries += 1,
                Err(error) if is_refused(&error) && queries.len() > 1 => drop(queries.pop_front()),
                Err(error) => return Err(error),
            }
        }
        let why = "cases disappeared from the folder during each of three attempts to list them";
        Err(ApiError::Unreadable(why.into()).into())
    }

    /// Reads the list once; `None` if rows vanished meanwhile.
    pub(super) async fn list_once<P: ReadPermits>(
        &self,
        access: &Access,
        list: &str,
        past: Past,
        requests: &mut u32,
        permits: &mut P,
    ) -> Result<Option<CaseList>, ReadError<P::Refused>> {
        let (mut rows, mut page, mut total, mut since) = (Vec::<Row>::new(), 1, None, None);
        let (mut seen, mut lowest, mut descends) = (HashSet::new(), u64::MAX, true);
        let mut kept = Kept::default();
        for _ in 0..MOST_PAGES {
            let path = format!("{list}&page={page}");
            permits.next().await.map_err(ReadError::NotPermitted)?;
            *requests += 1;
            let listed = read(self.get(access, &path).await?, listed_cases).await?;
            let shrunk = total.is_some_and(|before| listed.total.is_some_and(|now| now < before));
            if shrunk {
                return Ok(None);
            }
            total = listed.total.or(total);
            let skew = listed.skew;
            let offset = past.offset.unwrap_or_default().min(0);
            let since = *since.get_or_insert(past.before + skew.unwrap_or(0) - CLOCK_MARGIN_MS + offset);
            kept.add(&listed.rows)?;
            // Rows that are created while we page move others to the next page, where they are seen again.
            for row in listed.rows.iter().filter(|row| seen.insert(row.id)) {
                descends &= row.id < lowest;
                lowest = lowest.min(row.id);
            }
            let earliest = past.end_of_reading(skew);
            let is_past = |row: &Row| past.up_to.map_or(row.created_at < earliest, |id| row.id <= id);
            let is_done = descends && listed.rows.iter().any(is_past);
            rows.extend(listed.rows);
            match listed.next_page {
                Some(next) if !is_done => page = next,
                Some(_) | None => return Ok(Some(CaseList { rows, since, descends, requests: 0 })),
            }
        }
        Err(ApiError::Unreadable("the list of cases does not end".into()).into())
    }
}

/// Returns whether a number can be the id of a folder: not 0, and exact in JSON wherever it is read.
pub fn is_folder_id(id: u64) -> bool {
    (1..=1 << 53).contains(&id)
}

/// Returns `None` for a list that this Testmo lacks (the lists are new, so the route can be missing), that the key's user
/// may not see, or that Testmo refuses as it is asked for.
fn if_listed<T, R>(listed: Result<T, ReadError<R>>) -> Result<Option<T>, ReadError<R>> {
    match listed {
        Ok(listed) => Ok(Some(listed)),
        Err(ReadError::Failed(
            ApiError::Missing
            | ApiError::NotTestmo { .. }
            | ApiError::Forbidden
            | ApiError::Invalid(_)
            | ApiError::Rejected { .. }
            | ApiError::Inconclusive { status: 403..=405 },
        )) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Reads an answer; a long one on a thread of its own, since that takes time.
pub(super) async fn read<T: Send + 'static>(
    answer: Answer,
    read: impl FnOnce(&Answer) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    run_blocking_if_large(answer.body.len(), move || read(&answer)).await
}

fn echoed_folder(answer: &Answer) -> Result<EchoedFolder, ApiError> {
    let created: Created<'_> = content(answer)?;
    let [entry] = created.result.0[..] else {
        return Err(ApiError::Unreadable(format!("{} entries for one folder", created.result.0.len())));
    };
    serde_json::from_str(entry.get()).map_err(|_| ApiError::Unreadable("no id of the created folder".into()))
}

/// Reads the answer to a create request with this `body`, for as many cases as `remembered` has entries.
fn created_cases(answer: &Answer, body: &str, remembered: &[bool]) -> Result<CreateOutcome, ApiError> {
    let created: Created<'_> = content(answer)?;
    let (entries, sent) = (created.result.0, remembered.len());
    if entries.len() > sent {
        return Err(ApiError::Unreadable(format!("{} entries for {sent} cases", entries.len())));
    }
    let mut ids: Vec<Option<u64>> = entries.iter().map(|entry| created_id(entry)).collect();
    ids.resize(sent, None);
    let offset = entries.first().and_then(|entry| offset_of(answer, entry));
    let (differing, fields) = compare(body, &entries, remembered);
    Ok(CreateOutcome { end: Ok(ids), differing, fields, offset })
}

pub(super) fn listed_cases(answer: &Answer) -> Result<CasePage, ApiError> {
    let page: Page<ListedCase<'_>> = content(answer)?;
    let rows = page.rows().map_err(ApiError::Unreadable)?;
    let (skew, server_time) = (answer.clock_skew(), answer.server_time());
    Ok(CasePage { rows, next_page: page.next_page, total: page.total, skew, server_time })
}

/// Returns how far the creation time of a case is from the time of the answer that shows it, in milliseconds, if the
/// answer has both and its `Date` is plausible.
pub(super) fn offset_of(answer: &Answer, entry: &RawValue) -> Option<i64> {
    let is_plausible = answer.clock_skew().is_some_and(|skew| skew.abs() <= LONGEST_SKEW_MS);
    let time = answer.server_time().filter(|_| is_plausible);
    created_at(entry).zip(time).map(|(created_at, time)| created_at - time)
}

pub(super) fn content<'a, T: serde::Deserialize<'a>>(answer: &'a Answer) -> Result<T, ApiError> {
    let content = answer.content();
    if let (Err(ApiError::NotTestmo { .. }), Some(to)) = (&content, redirect_of(answer)) {
        tracing::debug!(to, "Testmo responded with a redirect");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_date_never_lets_reading_end_earlier() {
        const HOUR_MS: i64 = 3_600_000;
        let end = |offset, skew: Option<i64>| Past { up_to: None, before: 0, offset }.end_of_reading(skew);
        for (offset, skew, expected) in [
            (Some(0), Some(0), Some(0)),
            (Some(0), Some(-2 * HOUR_MS), Some(-2 * HOUR_MS)),
            (Some(0), Some(2 * HOUR_MS), Some(0)),
            (Some(-5 * HOUR_MS), Some(0), Some(-5 * HOUR_MS)),
            (Some(5 * HOUR_MS), Some(0), Some(0)),
            (Some(0), None, Some(-ZONE_MARGIN_MS)),
            (None, Some(0), Some(-ZONE_MARGIN_MS)),
            (Some(0), Some(25 * HOUR_MS), None),
            (Some(0), Some(-25 * HOUR_MS), None),
            (None, Some(i64::MIN + 1), None),
        ] {
            let expected = expected.map_or(i64::MIN, |time| time - CLOCK_MARGIN_MS);
            assert_eq!(end(offset, skew), expected, "{offset:?} {skew:?}");
        }
    }
}
