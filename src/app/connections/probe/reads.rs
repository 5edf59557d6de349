//! Reads what shows whether the assumptions about lists, times and fields hold. Nothing is changed in Testmo.

use std::collections::BTreeMap;

use super::ask::{Asker, Seen};
use super::identity::is_tagged;
use super::sent::{NO_TAG, TAG};
use crate::batch::ledger::reconcile::Row;
use crate::batch::render::tag::tag;
use crate::store::StoreError;
use crate::testmo::{CasePage, NEWEST_FIRST, SeenField};

/// The rows of a short page.
pub(super) const SHORT: usize = 15;
/// The most pages of a folder in which cases of earlier probes are looked for, where the tag filter does not work.
const MOST_PAGES: u64 = 5;

/// What the reads of a probe showed.
#[derive(Debug)]
pub(super) struct ReadSeen {
    /// The project's cases, newest first as far as Testmo lists them so.
    pub(super) newest: Seen<CasePage>,
    /// Why the list could not be sorted, if it could not.
    pub(super) unsorted: Option<String>,
    /// The project's cases, oldest first.
    pub(super) oldest: Seen<CasePage>,
    /// Two short pages of a list that is longer.
    pub(super) pages: Option<[Seen<CasePage>; 2]>,
    /// The folder whose cases were listed, and the cases.
    pub(super) folder: (u64, Seen<CasePage>),
    /// The list with a tag that no case has.
    pub(super) no_tag: Seen<CasePage>,
    /// A case with a tag, as far as one is known.
    pub(super) tagged: Option<Tagged>,
    pub(super) templates: Seen<usize>,
    pub(super) states: Seen<usize>,
    pub(super) fields: Seen<Vec<SeenField>>,
}

/// A case with a tag, and the lists that have to show it.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) id: u64,
    pub(super) tag: String,
    /// The list with its tag.
    pub(super) alone: Seen<CasePage>,
    /// The list with its tag or a tag that no case has.
    pub(super) any: Seen<CasePage>,
}

/// Cases of earlier probes.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Their folders, by id.
    pub(super) found: BTreeMap<u64, u64>,
    /// Whether there are no others in the folders that were looked at.
    pub(super) is_complete: bool,
}

/// Reads what shows whether the assumptions hold.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn read(asker: &mut Asker<'_>, folder: u64) -> Result<ReadSeen, StoreError> {
    let all = "expands=tags&per_page=100&page=1";
    let mut newest = cases(asker, &format!("{all}{NEWEST_FIRST}")).await?;
    let unsorted = newest.as_ref().err().filter(|miss| miss.is_refusal()).map(|miss| miss.words());
    if unsorted.is_some() {
        newest = cases(asker, all).await?;
    }
    let order = if unsorted.is_none() { NEWEST_FIRST } else { "" };
    let short = format!("expands=tags&per_page={SHORT}");
    let oldest = cases(asker, &format!("{short}&page=1&sort=repository_cases:id&order=asc")).await?;
    let is_long = newest.as_ref().is_ok_and(|page| page.rows.len() > SHORT);
    let pages = match is_long {
        true => Some([
            cases(asker, &format!("{short}&page=1{order}")).await?,
            cases(asker, &format!("{short}&page=2{order}")).await?,
        ]),
        false => None,
    };
    let in_folder = cases(asker, &format!("folder_id={folder}&{all}{order}")).await?;
    let no_tag = cases(asker, &format!("tags={NO_TAG}&{short}&page=1{order}")).await?;
    // The oldest case of the page, as a filter may find new ones late.
    let known = newest.as_ref().ok().and_then(|page| page.rows.iter().rev().find_map(with_tag));
    let tagged = match known {
        Some((id, tag)) => Some(Tagged {
            id,
            alone: cases(asker, &format!("tags={tag}&{all}{order}")).await?,
            any: cases(asker, &format!("tags={tag},{NO_TAG}&{all}{order}")).await?,
            tag,
        }),
        None => None,
    };
    Ok(ReadSeen {
        newest,
        unsorted,
        oldest,
        pages,
        folder: (folder, in_folder),
        no_tag,
        tagged,
        templates: asker
            .ask(async |client, access, project| client.probe_list(access, project, "templates").await)
            .await?,
        states: asker.ask(async |client, access, project| client.probe_list(access, project, "states").await).await?,
        fields: asker.ask(async |client, access, project| client.probe_fields(access, project).await).await?,
    })
}

/// Reads one page of the project's cases.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn cases(asker: &mut Asker<'_>, query: &str) -> Result<Seen<CasePage>, StoreError> {
    asker.ask(async |client, access, project| client.probe_cases(access, project, query).await).await
}

/// Returns a tag of a case that can be part of a query.
fn with_tag(row: &Row) -> Option<(u64, String)> {
    let plain = row.tags.iter().find(|text| tag(text).as_ref() == Some(*text));
    plain.map(|tag| (row.id, tag.clone()))
}

/// Looks for cases of earlier probes: in the whole project by their tag where the filter works, otherwise among the newest
/// cases of these folders.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn leftovers(
    asker: &mut Asker<'_>,
    seen: &ReadSeen,
    folders: &[u64],
    filters: bool,
) -> Result<Leftovers, StoreError> {
    let mut leftovers = Leftovers { is_complete: true, ..Leftovers::default() };
    let order = if seen.unsorted.is_none() { NEWEST_FIRST } else { "" };
    let known = [Some(&seen.newest), Some(&seen.folder.1)];
    known.into_iter().flatten().flatten().for_each(|page| leftovers.add(page));
    let lists = match filters {
        true => vec![(format!("tags={TAG}&expands=tags&per_page=100{order}"), 1)],
        false => {
            let list = |folder| (format!("folder_id={folder}&expands=tags&per_page=100{order}"), MOST_PAGES);
            folders.iter().map(list).collect()
        }
    };
    for (list, most) in lists {
        let mut page = 1;
        loop {
            let Ok(listed) = cases(asker, &format!("{list}&page={page}")).await? else {
                leftovers.is_complete = false;
                break;
            };
            leftovers.add(&listed);
            match listed.next_page {
                Some(next) if page < most => page = next,
                next => {
                    leftovers.is_complete &= next.is_none();
                    break;
                }
            }
        }
    }
    Ok(leftovers)
}

impl Leftovers {
    fn add(&mut self, page: &CasePage) {
        let tagged = page.rows.iter().filter(|row| is_tagged(row));
        self.found.extend(tagged.map(|row| (row.id, row.folder)));
    }
}
