//! Asks a large store everything that support may ask, through the use cases.

use std::time::Instant;

use serde::Serialize;
use testmo_courier::app::access;
use testmo_courier::app::audit::{self, AuditAction, AuditFilter, AuditId};
use testmo_courier::app::batches::{self, BatchFilter, BatchPlace, BatchState, Timeline};
use testmo_courier::app::connections::{connection, list as connections, status, statuses, waiting};
use testmo_courier::app::find::{FindPlace, FindRequest, find};
use testmo_courier::app::replays::{self, ItemFilter, ReplayId};
use testmo_courier::app::shelf::{self, GroupFilter, Pauses, ShelfFilter, ShelfState, groups};
use testmo_courier::app::{attention, restore_entry, waits};
use testmo_courier::batch::cause::CauseId;
use testmo_courier::batch::{BatchId, Reason, TenantId, batch_tag};
use testmo_courier::store::Store;

use super::names::{batch_id, draw, external_id, key, link, name, source_key, tenant, tenant_number, testmo_id};
use super::seed::{CAUSES, Size, arrival};
use crate::output::{milliseconds, progress};
use crate::stats::{median, percentile};

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
    async fn ask(&mut self, what: &str, answer: impl AsyncFn(usize) -> anyhow::Result<usize>) -> anyhow::Result<()> {
        let (mut times, mut found) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let began = Instant::now();
            found = answer(round).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
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
            self.ask(&format!("shelf groups, {what}"), async |_| Ok(groups(store, &filter).await?.len())).await?;
        }
        self.ask("what needs attention", async |_| Ok(attention::attention(store, None).await?.causes.len())).await
    }

    async fn finds(&mut self) -> anyhow::Result<()> {
        let (store, origin, middle) = (self.store, self.origin, FIRST_SEARCHED + self.size.delivered / 2);
        type Text<'a> = Box<dyn Fn(u64) -> anyhow::Result<String> + 'a>;
        let questions: Vec<(&str, Text<'_>)> = vec![
            ("batch id", Box::new(|batch| Ok(batch_id(batch)))),
            ("tenant and batch id", Box::new(|batch| Ok(key(batch)?.to_string()))),
            ("external id", Box::new(|batch| Ok(external_id(batch, 3)))),
            ("whole name", Box::new(|batch| Ok(name(batch, 1)))),
            (
                "three words of a name",
                Box::new(|batch| Ok(name(batch, 2).split(' ').skip(1).take(3).collect::<Vec<_>>().join(" "))),
            ),
            ("a word of all names", Box::new(|_| Ok("verify".into()))),
            ("a word of some names", Box::new(|_| Ok("boundary".into()))),
            ("a part of two words", Box::new(|_| Ok("upon shi".into()))),
            ("frequent words, in no name", Box::new(|_| Ok("verify the user can sign user".into()))),
            ("id in Testmo", Box::new(|batch| Ok(testmo_id(batch, 4).to_string()))),
            (
                "link into Testmo",
                Box::new(|batch| Ok(link(&origin.replace(&tenant_number(0), &tenant(batch)), batch, 2))),
            ),
            ("batch tag", Box::new(|batch| Ok(batch_tag(&key(batch)?)))),
            ("source key", Box::new(|batch| Ok(source_key(batch)))),
            ("two characters", Box::new(|_| Ok("ui".into()))),
            ("nothing that is there", Box::new(|_| Ok("zeppelin".into()))),
        ];
        for of_tenant in [false, true] {
            let whose = if of_tenant { "in a tenant" } else { "in all" };
            for (what, text) in &questions {
                let some: Vec<u64> = (0..ROUNDS).map(|round| self.some(round)).collect();
                self.ask(&format!("find, {whose}: {what}"), async |round| {
                    let tenant = if of_tenant { Some(tenant(some[round]).parse()?) } else { None };
                    let request = FindRequest { text: text(some[round])?, tenant, after: None, limit: PAGE };
                    Ok(find(store, &request).await?.hits.len())
                })
                .await?;
            }
            for word in ["verify", "boundary"] {
                self.ask(&format!("find, {whose}: {word}, a page in the middle"), async |round| {
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

    async fn shelf(&mut self) -> anyhow::Result<()> {
        let (store, middle, dead) = (self.store, self.middle(), self.size.delivered + 7);
        let (reason, detail) = CAUSES[3];
        let cause = Some(CauseId::of(reason.code(), Some(detail)));
        let all = ShelfFilter::default;
        let key = key(dead)?;
        let filters = [
            ("all", all()),
            ("of a tenant", ShelfFilter { tenant: Some(some_tenant()?), ..all() }),
            ("of the tenant with parked batches", ShelfFilter { tenant: Some(parked_tenant()?), ..all() }),
            ("by reason", ShelfFilter { reason: Some(Reason::RetriesExhausted), ..all() }),
            ("by a reason that none has", ShelfFilter { reason: Some(Reason::KeyRefused), ..all() }),
            ("by state", ShelfFilter { state: Some(ShelfState::Parked), ..all() }),
            ("by group", ShelfFilter { cause, ..all() }),
            ("by group and tenant", ShelfFilter { cause, tenant: Some(some_tenant()?), ..all() }),
            ("by group and state", ShelfFilter { cause, state: Some(ShelfState::Parked), ..all() }),
            ("by state and reason", ShelfFilter { state: Some(ShelfState::Dead), reason: Some(reason), ..all() }),
            (
                "by state and reason, none",
                ShelfFilter { state: Some(ShelfState::Parked), reason: Some(reason), ..all() },
            ),
            ("since an hour that nothing arrived in", ShelfFilter { since: Some(self.now - 60_000), ..all() }),
            ("until a time before all", ShelfFilter { until: Some(self.now - 200 * 86_400_000), ..all() }),
            (
                "dead, of a reason, since that hour",
                ShelfFilter {
                    state: Some(ShelfState::Dead),
                    reason: Some(reason),
                    since: Some(self.now - 60_000),
                    ..all()
                },
            ),
            ("of a batch", ShelfFilter { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), ..all() }),
            ("by message_id", ShelfFilter { message_id: Some(format!("m-{}", batch_id(dead))), ..all() }),
            ("by a message_id that none has", ShelfFilter { message_id: Some("m-none".into()), ..all() }),
        ];
        for (what, filter) in filters {
            self.ask(&format!("shelf list, {what}"), async |_| {
                let entries = shelf::list(store, &filter, PAGE).await?;
                Pauses::read(store).await?;
                shelf::notes_of(store, &entries).await?;
                Ok(entries.len())
            })
            .await?;
            self.ask(&format!("shelf list, {what}: the totals"), async |_| {
                shelf::extent(store, &filter, 50).await?;
                Ok(0)
            })
            .await?;
            self.ask(&format!("shelf list, {what}: a page in the middle"), async |_| {
                Ok(shelf::page(store, &filter, Some((middle, i64::MAX)), PAGE).await?.0.len())
            })
            .await?;
        }
        Ok(())
    }

    async fn batches(&mut self) -> anyhow::Result<()> {
        let (store, size) = (self.store, self.size);
        let state = |state| BatchFilter { state: Some(state), ..BatchFilter::default() };
        let of = |state, tenant| BatchFilter { state, tenant: Some(tenant), ..BatchFilter::default() };
        let hour = |ago: i64| Some(self.now - ago * 3_600_000);
        let place = BatchPlace { first_seen_at: arrival(self.now, size, size.delivered / 2), key: key(1)? };
        let filters = [
            ("all", BatchFilter::default()),
            ("delivered", state(BatchState::Delivered)),
            ("partial", state(BatchState::Partial)),
            ("failed", state(BatchState::Failed)),
            ("discarded", state(BatchState::Discarded)),
            ("open", state(BatchState::Open)),
            ("of a tenant", of(None, some_tenant()?)),
            ("delivered, of a tenant", of(Some(BatchState::Delivered), some_tenant()?)),
            ("partial, of a tenant", of(Some(BatchState::Partial), some_tenant()?)),
            ("open, of a tenant", of(Some(BatchState::Open), some_tenant()?)),
            ("in an hour", BatchFilter { since: hour(100), until: hour(99), ..BatchFilter::default() }),
            ("partial, in an hour", BatchFilter { since: hour(100), until: hour(99), ..state(BatchState::Partial) }),
            ("failed, before all failed", BatchFilter { until: hour(100), ..state(BatchState::Failed) }),
            (
                "delivered, of a tenant, in an hour",
                BatchFilter { since: hour(100), until: hour(99), ..of(Some(BatchState::Delivered), some_tenant()?) },
            ),
        ];
        for (what, filter) in filters {
            self.ask(&format!("batches list, {what}"), async |_| {
                Ok(batches::page(store, &filter, None, PAGE).await?.0.len())
            })
            .await?;
            self.ask(&format!("batches list, {what}: the totals"), async |_| {
                batches::extent(store, &filter, 50).await?;
                Ok(0)
            })
            .await?;
            self.ask(&format!("batches list, {what}: a page in the middle"), async |_| {
                Ok(batches::page(store, &filter, Some(&place), PAGE).await?.0.len())
            })
            .await?;
        }
        for (what, from) in [("delivered", 0), ("dead", size.delivered)] {
            self.ask(&format!("batches show, a {what} one"), async |round| {
                let details = batches::show(store, &key(from + round as u64)?).await?;
                Ok(Timeline::of(&details).moments.len())
            })
            .await?;
        }
        Ok(())
    }

    async fn connections(&mut self) -> anyhow::Result<()> {
        let store = self.store;
        self.ask("tenants list", async |_| {
            let rows = connections(store).await?;
            Ok(statuses(store, &rows).await?.len())
        })
        .await?;
        for (what, tenant) in [("a tenant", some_tenant()?), ("the tenant with parked batches", parked_tenant()?)] {
            self.ask(&format!("tenants show, {what}"), async |_| {
                let row = connection(store, &tenant).await?;
                let status = status(store, &row).await?;
                waiting(store, &tenant).await?;
                Ok(status.remarks.len())
            })
            .await?;
        }
        self.ask("lanes: what waits", async |_| Ok(waits::read(store, 50).await?.groups.len())).await
    }

    async fn replays(&mut self, planned: ReplayId) -> anyhow::Result<()> {
        let (store, size) = (self.store, self.size);
        let middle = ReplayId(i64::try_from(size.replays / 2)?);
        self.ask("replays list", async |_| Ok(replays::list(store, None, None, PAGE).await?.len())).await?;
        self.ask("replays list, by a state that few have", async |_| {
            Ok(replays::list(store, Some(replays::ReplayState::Paused), None, PAGE).await?.len())
        })
        .await?;
        self.ask("replays list, a page in the middle", async |_| {
            Ok(replays::list(store, None, Some(middle), PAGE).await?.len())
        })
        .await?;
        self.ask("replays show", async |_| Ok(replays::show(store, planned).await?.parts.len())).await?;
        for (what, outcome, after) in [
            ("all", None, None),
            ("a page in the middle", None, Some(size.dead / 2)),
            ("by outcome", Some("delivered".to_owned()), None),
        ] {
            let filter = ItemFilter { outcome, after };
            self.ask(&format!("replays show --items, {what}"), async |_| {
                Ok(replays::items(store, planned, &filter, PAGE).await?.len())
            })
            .await?;
        }
        Ok(())
    }

    async fn audit(&mut self) -> anyhow::Result<()> {
        let (store, middle) = (self.store, AuditId(i64::try_from(self.size.audit / 2)?));
        let all = AuditFilter::default;
        let actor = |name: &str| Some(name.to_owned());
        let day = |days: i64| Some(self.now - days * 86_400_000);
        let (edited, noted) = (Some(AuditAction::EditEntry), Some(AuditAction::NoteCause));
        let filters = [
            ("all", all()),
            ("of a tenant", AuditFilter { tenant: Some(some_tenant()?), ..all() }),
            ("of a batch", AuditFilter { tenant: Some(some_tenant()?), batch: BatchId::new("b-7").ok(), ..all() }),
            ("by actor", AuditFilter { actor: actor("person-7"), ..all() }),
            ("by action", AuditFilter { action: edited, ..all() }),
            ("by an action of which there is none", AuditFilter { action: noted, ..all() }),
            ("by subject", AuditFilter { subject: actor("entry 77"), ..all() }),
            ("within a day", AuditFilter { since: day(250), until: day(249), ..all() }),
            ("by actor and action", AuditFilter { actor: actor("person-7"), action: edited, ..all() }),
            ("by actor and action, none", AuditFilter { actor: actor("person-7"), action: noted, ..all() }),
            (
                "by tenant, actor and action, none",
                AuditFilter {
                    tenant: Some(tenant_number(1).parse()?),
                    actor: actor("person-2"),
                    action: edited,
                    ..all()
                },
            ),
            (
                "by subject and actor, none",
                AuditFilter { subject: actor("entry 77"), actor: actor("person-3"), ..all() },
            ),
            (
                "by actor and action, before all",
                AuditFilter { actor: actor("person-7"), action: edited, until: day(400), ..all() },
            ),
        ];
        for (what, filter) in filters {
            self.ask(&format!("audit, {what}"), async |_| {
                Ok(audit::list(store, &filter, None, PAGE).await?.entries.len())
            })
            .await?;
            self.ask(&format!("audit, {what}: a page in the middle"), async |_| {
                Ok(audit::list(store, &filter, Some(middle), PAGE).await?.entries.len())
            })
            .await?;
        }
        Ok(())
    }

    async fn others(&mut self) -> anyhow::Result<()> {
        let (store, now) = (self.store, self.now);
        let middle = restore_entry::filter(
            None,
            Some((now - i64::try_from(self.size.discarded / 2)?, "1".parse().map_err(anyhow::Error::msg)?)),
        );
        for (what, filter) in [
            ("all", restore_entry::filter(None, None)),
            ("of a tenant", restore_entry::filter(Some(some_tenant()?), None)),
            ("a page in the middle", middle),
        ] {
            self.ask(&format!("shelf discarded, {what}"), async |_| {
                Ok(restore_entry::list(store, &filter, PAGE).await?.len())
            })
            .await?;
        }
        self.ask("tokens list", async |_| Ok(access::list(store, "", PAGE).await?.len())).await?;
        self.ask("tokens list, a page in the middle", async |_| Ok(access::list(store, "token-5", PAGE).await?.len()))
            .await
    }
}

/// Returns a tenant with as many batches as the others.
fn some_tenant() -> anyhow::Result<TenantId> {
    Ok(tenant_number(7).parse()?)
}

/// Returns the tenant whose batches wait for a time.
fn parked_tenant() -> anyhow::Result<TenantId> {
    Ok(tenant_number(0).parse()?)
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
