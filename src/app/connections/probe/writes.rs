//! Creates the case of a probe, edits it and deletes it again. What is not certain to be the probe's own stays.

use std::time::Duration;

use tokio::time::sleep;

use super::ask::{Asker, Miss, Seen};
use super::identity::{Doubt, is_marked, own};
use super::reads::cases;
use super::sent::{MARKUP, ProbeCase, TAG, TagRule};
use crate::batch::ledger::reconcile::Row;
use crate::batch::verdict::answer::ApiError;
use crate::store::StoreError;
use crate::store::connections::LeftCase;
use crate::testmo::{Method, NEWEST_FIRST, Written};

/// How long is waited before each look at the list for a change that it does not show yet.
const WAITS: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// What creating, editing and deleting a case showed.
#[derive(Debug)]
pub(super) struct WriteSeen {
    pub(super) case: ProbeCase,
    /// The answer to the create request.
    pub(super) create: Seen<Written>,
    /// The case as a list showed it, and how many times the list was read until it did.
    pub(super) listed: Option<(Row, usize)>,
    /// The answers to edits, each with the rule for tags that it tried.
    pub(super) tags: Vec<(TagRule, Seen<Written>)>,
    /// The answer to an edit of HTML.
    pub(super) markup: Option<Seen<Written>>,
    /// The answer to the deletion.
    pub(super) delete: Option<Seen<()>>,
    /// The case that is left in Testmo, or may be.
    pub(super) left: Option<LeftCase>,
}

/// How the folder's list is read for the probe's case.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    /// The folder.
    pub(super) folder: u64,
    /// Whether Testmo accepts that the list is sorted.
    pub(super) is_sorted: bool,
    /// Whether the list can be filtered by tags.
    pub(super) filters: bool,
}

/// Creates a case in a folder, edits it, and deletes it by the id that Testmo's answer and a list both show.
///
/// # Errors
/// When the store does not answer; then the case may be left.
pub(super) async fn write(asker: &mut Asker<'_>, case: ProbeCase, list: List) -> Result<WriteSeen, StoreError> {
    asker.persist();
    let body = case.creation(list.folder);
    let create = asker
        .ask(async |client, access, project| client.probe_write(access, project, Method::Post, body.clone()).await)
        .await?;
    let mut seen = WriteSeen { case, create, listed: None, tags: Vec::new(), markup: None, delete: None, left: None };
    match &seen.create {
        Ok(created) => {
            let answered = created.id;
            go_on(asker, &mut seen, list, answered).await?;
        }
        Err(miss) if miss.may_have_committed() => {
            let why = format!("the create request was {}", outcome(miss));
            seen.left = Some(lost(asker, &seen.case, list, why).await?);
        }
        Err(_) => {}
    }
    Ok(seen)
}

/// Says how a request ended whose outcome is unknown.
fn outcome(miss: &Miss) -> String {
    format!("{}, so it may have been carried out", miss.words())
}

/// Edits and deletes the case, if the list shows it.
async fn go_on(
    asker: &mut Asker<'_>,
    seen: &mut WriteSeen,
    list: List,
    answered: Option<u64>,
) -> Result<(), StoreError> {
    match appeared(asker, list, answered, &seen.case.mark).await? {
        Ok((row, reads)) => {
            let id = row.id;
            seen.listed = Some((row, reads));
            edit(asker, seen, id).await?;
            delete(asker, seen, list, id).await
        }
        Err((doubt, marked)) => {
            // An id that the list shows for another case is not named: nobody is to delete that one.
            let id = marked.or(answered.filter(|_| doubt == Doubt::NotListed));
            seen.left = Some(left(asker, &seen.case, list, id, doubt.words()));
            Ok(())
        }
    }
}

fn left(asker: &Asker<'_>, case: &ProbeCase, list: List, id: Option<u64>, why: impl Into<String>) -> LeftCase {
    let (project, folder, name) = (asker.project, list.folder, case.mark.clone());
    LeftCase { project, folder, case: id, name, why: why.into() }
}

/// Returns the case as the list shows it, and how many times the list was read until it did; or what is in doubt, and the id
/// of the case that the list shows with the probe's tag and name.
async fn appeared(
    asker: &mut Asker<'_>,
    list: List,
    answered: Option<u64>,
    mark: &str,
) -> Result<Result<(Row, usize), (Doubt, Option<u64>)>, StoreError> {
    let mut last = (Doubt::NotListed, None);
    for (reads, wait) in (1..).zip(WAITS) {
        sleep(wait).await;
        let Ok(rows) = list.rows(asker).await? else { continue };
        let doubt = match own(answered, &rows, mark) {
            Ok(id) => match rows.into_iter().find(|row| row.id == id) {
                Some(row) => return Ok(Ok((row, reads))),
                None => continue,
            },
            Err(doubt) => doubt,
        };
        last = (doubt, rows.iter().find(|row| is_marked(row, mark)).map(|row| row.id));
        if doubt != Doubt::NotListed {
            break;
        }
    }
    Ok(Err(last))
}

/// Tries the rules for tags, and HTML, until an edit is refused to the key's user or its outcome is unknown.
async fn edit(asker: &mut Asker<'_>, seen: &mut WriteSeen, id: u64) -> Result<(), StoreError> {
    for rule in TagRule::ALL {
        let edited = patch(asker, seen.case.edit(id, Some(rule.tag()), None)).await?;
        let goes_on = !ends_edits(&edited);
        seen.tags.push((rule, edited));
        if !goes_on {
            return Ok(());
        }
    }
    if seen.case.has_html() {
        seen.markup = Some(patch(asker, seen.case.edit(id, None, Some(MARKUP))).await?);
    }
    Ok(())
}

async fn patch(asker: &mut Asker<'_>, body: String) -> Result<Seen<Written>, StoreError> {
    asker
        .ask(async |client, access, project| client.probe_write(access, project, Method::Patch, body.clone()).await)
        .await
}

fn ends_edits(edited: &Seen<Written>) -> bool {
    match edited {
        Ok(_) => false,
        Err(miss) => miss.may_have_committed() || !matches!(miss, Miss::Failed(ApiError::Invalid(_))),
    }
}

/// Deletes the case, if a list that is read right before still shows it as the probe's own, and reads whether it is gone.
async fn delete(asker: &mut Asker<'_>, seen: &mut WriteSeen, list: List, id: u64) -> Result<(), StoreError> {
    let before = list.rows(asker).await?;
    let certain = match &before {
        Ok(rows) => own(Some(id), rows, &seen.case.mark).map_err(|doubt| doubt.words().to_owned()),
        Err(miss) => Err(format!("the list before the deletion was {}", miss.words())),
    };
    if let Err(why) = certain {
        seen.left = Some(left(asker, &seen.case, list, Some(id), why));
        return Ok(());
    }
    let deleted = asker.ask(async |client, access, project| client.delete_cases(access, project, &[id]).await).await?;
    let is_gone = gone(asker, list, id).await?;
    let why = match (&deleted, is_gone) {
        (_, Some(true)) => None,
        (Ok(()), Some(false)) => Some("Testmo confirmed that it was deleted, and still lists it".into()),
        (Ok(()), None) => Some("Testmo confirmed that it was deleted, and the list could not be read".into()),
        (Err(miss), _) => Some(format!("the request that deletes it was {}", miss.words())),
    };
    seen.left = why.map(|why: String| left(asker, &seen.case, list, Some(id), why));
    seen.delete = Some(deleted);
    Ok(())
}

/// Returns whether the list no longer shows a case; `None` if it could not be read.
async fn gone(asker: &mut Asker<'_>, list: List, id: u64) -> Result<Option<bool>, StoreError> {
    let mut is_gone = None;
    for wait in WAITS {
        sleep(wait).await;
        if let Ok(rows) = list.rows(asker).await? {
            is_gone = Some(rows.iter().all(|row| row.id != id));
        }
        if is_gone == Some(true) {
            break;
        }
    }
    Ok(is_gone)
}

/// Looks for a case whose create request has an unknown outcome. It is not deleted.
async fn lost(asker: &mut Asker<'_>, case: &ProbeCase, list: List, why: String) -> Result<LeftCase, StoreError> {
    let mut found = None;
    for wait in WAITS {
        sleep(wait).await;
        let rows = list.rows(asker).await?.unwrap_or_default();
        found = rows.iter().find(|row| is_marked(row, &case.mark)).map(|row| row.id);
        if found.is_some() {
            break;
        }
    }
    Ok(left(asker, case, list, found, why))
}

impl List {
    /// Reads the newest cases of the folder, and those that the filter lists, where the folder has more.
    async fn rows(self, asker: &mut Asker<'_>) -> Result<Seen<Vec<Row>>, StoreError> {
        let order = if self.is_sorted { NEWEST_FIRST } else { "" };
        let query = format!("folder_id={}&expands=tags&per_page=100&page=1{order}", self.folder);
        let page = match cases(asker, &query).await? {
            Ok(page) if page.next_page.is_some() && self.filters => page,
            seen => return Ok(seen.map(|page| page.rows)),
        };
        let filtered = cases(asker, &format!("tags={TAG}&{query}")).await?;
        Ok(filtered.map(|filtered| {
            let mut rows = page.rows;
            let others: Vec<Row> =
                filtered.rows.into_iter().filter(|row| rows.iter().all(|known| known.id != row.id)).collect();
            rows.extend(others);
            rows
        }))
    }
}
