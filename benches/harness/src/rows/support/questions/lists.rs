//! Asks for the lists and details that the commands of support show.

use testmo_courier::app::access;
use testmo_courier::app::audit::{self, AuditAction, AuditFilter, AuditId};
use testmo_courier::app::batches::{self, BatchFilter, BatchPlace, BatchState, Timeline};
use testmo_courier::app::connections::{connection, list as connections, status, statuses, waiting};
use testmo_courier::app::replays::{self, ItemFilter, ReplayId};
use testmo_courier::app::shelf::{self, Pauses, ShelfFilter, ShelfState};
use testmo_courier::app::{restore_entry, waits};
use testmo_courier::batch::cause::CauseId;
use testmo_courier::batch::{BatchId, Reason, TenantId};

use super::super::super::large::names::{TENANTS, batch_id, key, tenant, tenant_number};
use super::super::super::large::seed::{CAUSES, DAY, DAYS, HOUR, arrival};
use super::{Asker, PAGE, some_tenant};

/// Whether a list has something on its first page, and on a page in the middle.
type Finds = (bool, bool);
const EVERYWHERE: Finds = (true, true);
const ON_FIRST_PAGE: Finds = (true, false);
const NOWHERE: Finds = (false, false);
/// The number of a delivered batch of which some cases failed.
const PARTIAL: u64 = 200;

impl Asker<'_> {
    pub(super) async fn shelf(&mut self) -> anyhow::Result<()> {
        let (store, middle, dead) = (self.store, self.middle(), self.size.delivered + 7);
        let (reason, detail) = CAUSES[3];
        let cause = Some(CauseId::of(reason.code(), Some(detail)));
        let of_cause = self.size.delivered.next_multiple_of(12) + 3;
        let all = ShelfFilter::default;
        let key = key(dead)?;
        let filters = [
            ("all", EVERYWHERE, all()),
            ("of a tenant", EVERYWHERE, ShelfFilter { tenant: Some(some_tenant()?), ..all() }),
            ("of the tenant with parked batches", EVERYWHERE, ShelfFilter { tenant: Some(parked_tenant()?), ..all() }),
            ("by reason", EVERYWHERE, ShelfFilter { reason: Some(Reason::RetriesExhausted), ..all() }),
            ("by a reason that none has", NOWHERE, ShelfFilter { reason: Some(Reason::KeyRefused), ..all() }),
            ("by state", ON_FIRST_PAGE, ShelfFilter { state: Some(ShelfState::Parked), ..all() }),
            ("by group", EVERYWHERE, ShelfFilter { cause, ..all() }),
            (
                "by group and tenant",
                EVERYWHERE,
                ShelfFilter { cause, tenant: Some(tenant(of_cause).parse()?), ..all() },
            ),
            ("by group and state", NOWHERE, ShelfFilter { cause, state: Some(ShelfState::Parked), ..all() }),
            (
                "by state and reason",
                EVERYWHERE,
                ShelfFilter { state: Some(ShelfState::Dead), reason: Some(reason), ..all() },
            ),
            (
                "by state and reason, none",
                NOWHERE,
                ShelfFilter { state: Some(ShelfState::Parked), reason: Some(reason), ..all() },
            ),
            ("since an hour that nothing arrived in", NOWHERE, ShelfFilter { since: Some(self.now - 60_000), ..all() }),
            ("until a time before all", NOWHERE, ShelfFilter { until: Some(self.now - 200 * DAY), ..all() }),
            (
                "dead, of a reason, since that hour",
                NOWHERE,
                ShelfFilter {
                    state: Some(ShelfState::Dead),
                    reason: Some(reason),
                    since: Some(self.now - 60_000),
                    ..all()
                },
            ),
            (
                "of a batch",
                EVERYWHERE,
                ShelfFilter { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), ..all() },
            ),
            ("by message_id", EVERYWHERE, ShelfFilter { message_id: Some(format!("m-{}", batch_id(dead))), ..all() }),
            ("by a message_id that none has", NOWHERE, ShelfFilter { message_id: Some("m-none".into()), ..all() }),
        ];
        for (what, finds, filter) in filters {
            self.ask(&format!("shelf list, {what}"), finds.0, async |_| {
                let entries = shelf::list(store, &filter, PAGE).await?;
                Pauses::read(store).await?;
                shelf::notes_of(store, &entries).await?;
                Ok(entries.len())
            })
            .await?;
            self.ask(&format!("shelf list, {what}: the totals"), false, async |_| {
                shelf::extent(store, &filter, 50).await?;
                Ok(0)
            })
            .await?;
            self.ask(&format!("shelf list, {what}: a page in the middle"), finds.1, async |_| {
                Ok(shelf::page(store, &filter, Some((middle, i64::MAX)), PAGE).await?.0.len())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn batches(&mut self) -> anyhow::Result<()> {
        let (store, size) = (self.store, self.size);
        let state = |state| BatchFilter { state: Some(state), ..BatchFilter::default() };
        let of = |state, tenant| BatchFilter { state, tenant: Some(tenant), ..BatchFilter::default() };
        let hour = |ago: i64| Some(self.now - ago * HOUR);
        // How many batches were delivered in each hour; the page in the middle begins after the hour that is asked for.
        let per_hour = size.delivered / (24 * DAYS.unsigned_abs());
        let in_an_hour = |one_in: u64| (per_hour >= one_in, false);
        let place = BatchPlace { first_seen_at: arrival(self.now, size, size.delivered / 2), key: key(1)? };
        let filters = [
            ("all", EVERYWHERE, BatchFilter::default()),
            ("delivered", EVERYWHERE, state(BatchState::Delivered)),
            ("partial", EVERYWHERE, state(BatchState::Partial)),
            ("failed", ON_FIRST_PAGE, state(BatchState::Failed)),
            ("discarded", NOWHERE, state(BatchState::Discarded)),
            ("open", NOWHERE, state(BatchState::Open)),
            ("of a tenant", EVERYWHERE, of(None, some_tenant()?)),
            ("delivered, of a tenant", EVERYWHERE, of(Some(BatchState::Delivered), some_tenant()?)),
            ("partial, of a tenant", EVERYWHERE, of(Some(BatchState::Partial), tenant(PARTIAL).parse()?)),
            ("open, of a tenant", NOWHERE, of(Some(BatchState::Open), some_tenant()?)),
            ("in an hour", in_an_hour(1), BatchFilter { since: hour(100), until: hour(99), ..BatchFilter::default() }),
            (
                "partial, in an hour",
                in_an_hour(200),
                BatchFilter { since: hour(100), until: hour(99), ..state(BatchState::Partial) },
            ),
            ("failed, before all failed", NOWHERE, BatchFilter { until: hour(100), ..state(BatchState::Failed) }),
            (
                "delivered, of a tenant, in an hour",
                in_an_hour(10 * TENANTS),
                BatchFilter { since: hour(100), until: hour(99), ..of(Some(BatchState::Delivered), some_tenant()?) },
            ),
        ];
        for (what, finds, filter) in filters {
            self.ask(&format!("batches list, {what}"), finds.0, async |_| {
                Ok(batches::page(store, &filter, None, PAGE).await?.0.len())
            })
            .await?;
            self.ask(&format!("batches list, {what}: the totals"), false, async |_| {
                batches::extent(store, &filter, 50).await?;
                Ok(0)
            })
            .await?;
            self.ask(&format!("batches list, {what}: a page in the middle"), finds.1, async |_| {
                Ok(batches::page(store, &filter, Some(&place), PAGE).await?.0.len())
            })
            .await?;
        }
        for (what, from) in [("delivered", 0), ("dead", size.delivered)] {
            self.ask(&format!("batches show, a {what} one"), true, async |round| {
                let details = batches::show(store, &key(from + round as u64)?).await?;
                Ok(Timeline::of(&details).moments.len())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn connections(&mut self) -> anyhow::Result<()> {
        let store = self.store;
        self.ask("tenants list", true, async |_| {
            let rows = connections(store).await?;
            Ok(statuses(store, &rows).await?.len())
        })
        .await?;
        for (what, tenant) in [("a tenant", some_tenant()?), ("the tenant with parked batches", parked_tenant()?)] {
            self.ask(&format!("tenants show, {what}"), true, async |_| {
                let row = connection(store, &tenant).await?;
                let status = status(store, &row).await?;
                waiting(store, &tenant).await?;
                Ok(status.remarks.len())
            })
            .await?;
        }
        self.ask("lanes: what waits", true, async |_| Ok(waits::read(store, 50).await?.groups.len())).await
    }

    pub(super) async fn replays(&mut self, planned: ReplayId) -> anyhow::Result<()> {
        let (store, size) = (self.store, self.size);
        let middle = ReplayId(i64::try_from(size.replays / 2)?);
        self.ask("replays list", true, async |_| Ok(replays::list(store, None, None, PAGE).await?.len())).await?;
        self.ask("replays list, by a state that none has", false, async |_| {
            Ok(replays::list(store, Some(replays::ReplayState::Paused), None, PAGE).await?.len())
        })
        .await?;
        self.ask("replays list, a page in the middle", true, async |_| {
            Ok(replays::list(store, None, Some(middle), PAGE).await?.len())
        })
        .await?;
        self.ask("replays show", true, async |_| Ok(replays::show(store, planned).await?.parts.len())).await?;
        for (what, finds, outcome, after) in [
            ("all", true, None, None),
            ("a page in the middle", true, None, Some(size.dead / 2)),
            ("by an outcome that none has", false, Some("delivered".to_owned()), None),
        ] {
            let filter = ItemFilter { outcome, after };
            self.ask(&format!("replays show --items, {what}"), finds, async |_| {
                Ok(replays::items(store, planned, &filter, PAGE).await?.len())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn audit(&mut self) -> anyhow::Result<()> {
        let (store, middle) = (self.store, AuditId(i64::try_from(self.size.audit / 2)?));
        let all = AuditFilter::default;
        let actor = |name: &str| Some(name.to_owned());
        // A minute lies between two entries, and 50 days between the first one and the day that is asked for.
        let within_a_day = if self.size.audit > 51 * 24 * 60 { EVERYWHERE } else { NOWHERE };
        let day = |days: i64| Some(self.now - days * DAY);
        let (edited, noted) = (Some(AuditAction::EditEntry), Some(AuditAction::NoteCause));
        let filters = [
            ("all", EVERYWHERE, all()),
            ("of a tenant", EVERYWHERE, AuditFilter { tenant: Some(some_tenant()?), ..all() }),
            (
                "of a batch",
                EVERYWHERE,
                AuditFilter { tenant: Some(some_tenant()?), batch: BatchId::new("b-7").ok(), ..all() },
            ),
            ("by actor", EVERYWHERE, AuditFilter { actor: actor("person-7"), ..all() }),
            ("by action", EVERYWHERE, AuditFilter { action: edited, ..all() }),
            ("by an action of which there is none", NOWHERE, AuditFilter { action: noted, ..all() }),
            ("by subject", EVERYWHERE, AuditFilter { subject: actor("entry 77"), ..all() }),
            ("within a day", within_a_day, AuditFilter { since: day(250), until: day(249), ..all() }),
            ("by actor and action", EVERYWHERE, AuditFilter { actor: actor("person-7"), action: edited, ..all() }),
            ("by actor and action, none", NOWHERE, AuditFilter { actor: actor("person-7"), action: noted, ..all() }),
            (
                "by tenant, actor and action, none",
                NOWHERE,
                AuditFilter {
                    tenant: Some(tenant_number(1).parse()?),
                    actor: actor("person-2"),
                    action: edited,
                    ..all()
                },
            ),
            (
                "by subject and actor, none",
                NOWHERE,
                AuditFilter { subject: actor("entry 77"), actor: actor("person-3"), ..all() },
            ),
            (
                "by actor and action, before all",
                NOWHERE,
                AuditFilter { actor: actor("person-7"), action: edited, until: day(400), ..all() },
            ),
        ];
        for (what, finds, filter) in filters {
            self.ask(&format!("audit, {what}"), finds.0, async |_| {
                Ok(audit::list(store, &filter, None, PAGE).await?.entries.len())
            })
            .await?;
            self.ask(&format!("audit, {what}: a page in the middle"), finds.1, async |_| {
                Ok(audit::list(store, &filter, Some(middle), PAGE).await?.entries.len())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn others(&mut self) -> anyhow::Result<()> {
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
            self.ask(&format!("shelf discarded, {what}"), true, async |_| {
                Ok(restore_entry::list(store, &filter, PAGE).await?.len())
            })
            .await?;
        }
        self.ask("tokens list", true, async |_| Ok(access::list(store, "", PAGE).await?.len())).await?;
        self.ask("tokens list, a page in the middle", true, async |_| {
            Ok(access::list(store, "token-5", PAGE).await?.len())
        })
        .await
    }
}

/// Returns the tenant whose batches wait for a time.
fn parked_tenant() -> anyhow::Result<TenantId> {
    Ok(tenant_number(0).parse()?)
}
