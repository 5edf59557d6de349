//! Asks a large store everything that support may ask, through the use cases.

mod lists;

use std::time::Instant;

use serde::Serialize;
use testmo_courier::app::attention;
use testmo_courier::app::find::{FindPlace, FindRequest, find};
use testmo_courier::app::replays::ReplayId;
use testmo_courier::app::shelf::{GroupFilter, ShelfState, groups};
use testmo_courier::batch::{Reason, TenantId, batch_tag};
use testmo_courier::store::Store;

use super::super::large::names::{
    batch_id, draw, external_id, key, link, name, source_key, tenant, tenant_number, testmo_id,
};
use super::super::large::seed::{Size, arrival};
use crate::output::{milliseconds, progress};
use crate::stats::{median, percentile};

/// What is to be found whatever the question is limited to, and what never is.
const ALWAYS: [bool; 2] = [true, true];
const NEVER: [bool; 2] = [false, false];
/// How often each question is asked.
const ROUNDS: usize = 21;
/// How many entries a page has.
const PAGE: u32 = 50;
/// The number of the first batch that was made searchable.
const FIRST_SEARCHED: u64 = 1 << 40;

/// How long the answers to a question took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    pub(super) what: String,
    /// The median, in milliseconds.
    pub(super) median: f64,
    /// The longest time, in milliseconds.
    pub(super) longest: f64,
    /// How many things were found in the last round.
    pub(super) found: usize,
}

/// Someone who asks.
pub(super) struct Asker<'a> {
    pub(super) store: &'a Store,
    pub(super) size: &'a Size,
    /// The origin of the first tenant's account.
    pub(super) origin: &'a str,
    /// When the store was filled, in milliseconds since 1970.
    pub(super) now: i64,
    pub(super) asked: Vec<Asked>,
}

impl Asker<'_> {
    /// Asks a question in each round; fails if something has to be found and is not.
    async fn ask(
        &mut self,
        what: &str,
        finds: bool,
        answer: impl AsyncFn(usize) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        let (mut times, mut found) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let began = Instant::now();
            found = answer(round).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(found > 0 || !finds, "{what}: nothing is found in round {round}");
        }
        let (median, longest) = (median(&times).unwrap_or(f64::NAN), percentile(&times, 100.0).unwrap_or(f64::NAN));
        progress(&format!("{what:<52} {:>12} {:>12} {found:>6}", milliseconds(median), milliseconds(longest)));
        self.asked.push(Asked { what: what.to_owned(), median, longest, found });
        Ok(())
    }

    /// Asks everything; `planned` is a replay of all dead batches.
    pub(super) async fn ask_all(&mut self, planned: ReplayId) -> anyhow::Result<()> {
        self.groups().await?;
        self.finds().await?;
        self.shelf().await?;
        self.batches().await?;
        self.connections().await?;
        self.replays(planned).await?;
        self.audit().await?;
        self.others().await
    }

    /// Returns a delivered batch for a round.
    fn some(&self, round: usize) -> u64 {
        draw(round as u64 + 99) % self.size.delivered
    }

    /// Returns the time in the middle of the shelf.
    fn middle(&self) -> i64 {
        arrival(self.now, self.size, self.size.delivered + self.size.dead / 2)
    }

    async fn groups(&mut self) -> anyhow::Result<()> {
        let store = self.store;
        for (what, filter) in [
            ("all", GroupFilter::default()),
            ("of a tenant", GroupFilter { tenant: Some(some_tenant()?), ..GroupFilter::default() }),
            ("by reason", GroupFilter { reason: Some(Reason::CaseRefused), ..GroupFilter::default() }),
            ("by state", GroupFilter { state: Some(ShelfState::Dead), ..GroupFilter::default() }),
        ] {
            self.ask(&format!("shelf groups, {what}"), true, async |_| Ok(groups(store, &filter).await?.len())).await?;
        }
        self.ask("what needs attention", true, async |_| Ok(attention::attention(store, None).await?.causes.len()))
            .await
    }

    async fn finds(&mut self) -> anyhow::Result<()> {
        let (store, origin, middle) = (self.store, self.origin, FIRST_SEARCHED + self.size.delivered / 2);
        type Text<'a> = Box<dyn Fn(u64) -> anyhow::Result<String> + 'a>;
        // A text with whether it is to be found in all batches, and in those of a tenant.
        let questions: Vec<(&str, [bool; 2], Text<'_>)> = vec![
            ("batch id", ALWAYS, Box::new(|batch| Ok(batch_id(batch)))),
            ("tenant and batch id", ALWAYS, Box::new(|batch| Ok(key(batch)?.to_string()))),
            ("external id", ALWAYS, Box::new(|batch| Ok(external_id(batch, 3)))),
            ("whole name", ALWAYS, Box::new(|batch| Ok(name(batch, 1)))),
            (
                "three words of a name",
                ALWAYS,
                Box::new(|batch| Ok(name(batch, 2).split(' ').skip(1).take(3).collect::<Vec<_>>().join(" "))),
            ),
            ("a word of all names", ALWAYS, Box::new(|_| Ok("verify".into()))),
            ("a word of some names", ALWAYS, Box::new(|_| Ok("boundary".into()))),
            ("a part of two words", [true, false], Box::new(|_| Ok("upon shi".into()))),
            ("frequent words, in no name", NEVER, Box::new(|_| Ok("verify the user can sign user".into()))),
            ("id in Testmo", ALWAYS, Box::new(|batch| Ok(testmo_id(batch, 4).to_string()))),
            (
                "link into Testmo",
                ALWAYS,
                Box::new(|batch| Ok(link(&origin.replace(&tenant_number(0), &tenant(batch)), batch, 2))),
            ),
            ("batch tag", ALWAYS, Box::new(|batch| Ok(batch_tag(&key(batch)?)))),
            ("source key", ALWAYS, Box::new(|batch| Ok(source_key(batch)))),
            ("two characters", NEVER, Box::new(|_| Ok("ui".into()))),
            ("nothing that is there", NEVER, Box::new(|_| Ok("zeppelin".into()))),
        ];
        for of_tenant in [false, true] {
            let whose = if of_tenant { "in a tenant" } else { "in all" };
            for (what, finds, text) in &questions {
                let some: Vec<u64> = (0..ROUNDS).map(|round| self.some(round)).collect();
                self.ask(&format!("find, {whose}: {what}"), finds[usize::from(of_tenant)], async |round| {
                    let tenant = if of_tenant { Some(tenant(some[round]).parse()?) } else { None };
                    let request = FindRequest { text: text(some[round])?, tenant, after: None, limit: PAGE };
                    Ok(find(store, &request).await?.hits.len())
                })
                .await?;
            }
            // Few cases of a tenant have the second word.
            for (word, finds) in [("verify", true), ("boundary", !of_tenant)] {
                self.ask(&format!("find, {whose}: {word}, a page in the middle"), finds, async |round| {
                    let tenant = if of_tenant { Some(tenant(round as u64).parse()?) } else { None };
                    let after = Some(format!("{middle:x}").parse::<FindPlace>().map_err(anyhow::Error::msg)?);
                    let request = FindRequest { text: word.into(), tenant, after, limit: PAGE };
                    Ok(find(store, &request).await?.hits.len())
                })
                .await?;
            }
        }
        Ok(())
    }
}

/// Returns a tenant with as many batches as the others.
fn some_tenant() -> anyhow::Result<TenantId> {
    Ok(tenant_number(7).parse()?)
}

/// Asks what a person asks over and over while something is repaired.
pub(super) async fn ask_round(store: &Store, round: u64) -> anyhow::Result<()> {
    groups(store, &GroupFilter::default()).await?;
    for text in [batch_id(round), name(round, 1), "boundary".to_owned(), source_key(round)] {
        find(store, &FindRequest { text, tenant: None, after: None, limit: PAGE }).await?;
    }
    Ok(())
}

/// Returns the question whose median was the longest.
pub(super) fn slowest(asked: &[Asked]) -> Option<&Asked> {
    asked.iter().max_by(|one, other| one.median.total_cmp(&other.median))
}
