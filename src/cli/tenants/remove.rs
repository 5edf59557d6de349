//! `tenants remove`: how does a tenant leave, without batches being thrown away by mistake?

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use testmo_courier::batch::TenantId;
use testmo_courier::store::by_hand::NotReplayable;
use testmo_courier::store::removal::{Removal, RemovalOutcome};
use testmo_courier::store::shelf::{ShelfId, Shelved};
use testmo_courier::store::{Store, StoreError};

use super::super::ask::agreed;
use super::super::desk::{configuration, no_connection, store};
use super::super::failure::Failure;
use super::super::out::Out;
use super::super::shelf::Plan;
use super::super::table::counted;

const EXAMPLES: &str = "\
While you decide, the tenant is paused, for at most 10 minutes. It is removed only if no request with its cases is under
way and no outcome is unknown. --purge discards its batches on the shelf as `shelf discard` does, with an event for each;
if it is interrupted, run it again to go on. What is known of finished batches stays, so that none of them is delivered a
second time.

Examples:
  testmo-courier tenants remove acme
  testmo-courier tenants remove acme --purge --yes";

/// How long a tenant stays paused if the command dies before it ends the pause.
const HOLD: Duration = Duration::from_secs(600);
/// How long after it began the pause is prolonged while batches are discarded.
const PROLONG: Duration = Duration::from_secs(60);
/// How many entries are discarded together.
const AT_ONCE: usize = 100;
/// How many unfinished batches are shown.
const MOST_SHOWN: usize = 10;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whose connection
    tenant: TenantId,
    /// Discard the tenant's batches on the shelf too
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let Arguments { tenant, purge, yes } = arguments;
    remove(&store, &tenant, purge, async |out| if yes { Ok(true) } else { agreed(out) }, out).await
}

/// Removes a tenant if `ask` agrees; its work is paused until then.
async fn remove(
    store: &Store,
    tenant: &TenantId,
    purge: bool,
    ask: impl AsyncFnOnce(&mut Out) -> Result<bool, Failure>,
    out: &mut Out,
) -> Result<(), Failure> {
    let Some(counted) = store.begin_removal(tenant, HOLD).await? else { return Err(no_connection(tenant)) };
    let end = go_on(store, &counted, purge, ask, out).await;
    if end.is_err()
        && let Err(error) = store.end_removal(tenant).await
    {
        let minutes = HOLD.as_secs() / 60;
        out.line(format_args!(
            "The pause of {tenant} could not be ended ({error}). It ends automatically within {minutes} minutes."
        ))?;
    }
    end
}

async fn go_on(
    store: &Store,
    before: &Removal,
    purge: bool,
    ask: impl AsyncFnOnce(&mut Out) -> Result<bool, Failure>,
    out: &mut Out,
) -> Result<(), Failure> {
    let tenant = &before.connection.tenant;
    refuse_unfinished(before, out)?;
    let load = described(before);
    if !before.shelved.is_empty() && !purge {
        return Err(Failure::finding(
            format!("{tenant} has batches on the shelf: {load}"),
            format!("`testmo-courier shelf list --tenant {tenant}` shows them; --purge discards them"),
        ));
    }
    out.line(format_args!(
        "This removes the connection of {tenant} to {}, with its API key.",
        before.connection.origin
    ))?;
    if !before.shelved.is_empty() {
        out.line(format_args!("It discards its batches on the shelf too: {load}."))?;
    }
    if !ask(out).await? {
        return Err(Failure::finding("Cancelled; nothing was removed.", "Type yes, or add --yes, to go on."));
    }
    // Whoever takes long to answer may have outlasted the pause.
    let now = store.begin_removal(tenant, HOLD).await?.filter(|now| now.is_as_before(before));
    let now = now.ok_or_else(|| changed(tenant, "nothing was removed"))?;
    refuse_unfinished(&now, out)?;
    let discarded = discard(store, before).await?;
    if discarded > 0 {
        out.line(format_args!("Discarded {}.", counted(discarded, "entry", "entries")))?;
    }
    match store.remove_tenant(tenant, &before.connection.version).await? {
        RemovalOutcome::Done => {
            out.line("RemovalOutcome. Revoke the key in Testmo too: on the user profile page, or in the Admin panel.")
        }
        RemovalOutcome::ChangedMeanwhile | RemovalOutcome::HasWork => {
            Err(changed(tenant, "its connection was not removed"))
        }
    }
}

/// Names what is not finished, which only its end or a person's decision can change.
fn refuse_unfinished(removal: &Removal, out: &mut Out) -> Result<(), Failure> {
    let (tenant, unfinished) = (&removal.connection.tenant, &removal.unfinished);
    if unfinished.is_empty() {
        return Ok(());
    }
    for (batch, why) in unfinished.iter().take(MOST_SHOWN) {
        out.line(format_args!("{batch}  {why}"))?;
    }
    if unfinished.len() > MOST_SHOWN {
        out.line("and more")?;
    }
    Err(Failure::finding(
        format!("{tenant} has batches that are not finished; nothing was removed"),
        "stop publishing for it, wait until the batches above are finished or on the shelf, then run the command again",
    ))
}

/// Discards exactly what was counted, some entries at a time; gives how many there were.
async fn discard(store: &Store, before: &Removal) -> Result<usize, Failure> {
    let tenant = &before.connection.tenant;
    let (mut done, mut prolonged) = (0, Instant::now());
    for entries in before.shelved.chunks(AT_ONCE) {
        if prolonged.elapsed() > PROLONG {
            store.begin_removal(tenant, HOLD).await?;
            prolonged = Instant::now();
        }
        let generations: HashMap<ShelfId, i64> = entries.iter().copied().collect();
        let ids: Vec<ShelfId> = entries.iter().map(|(id, _)| *id).collect();
        let decide = async |row: &Shelved| {
            let Some(generation) = generations.get(&row.id) else { return Ok(Err(NotReplayable::Changed)) };
            Ok::<_, StoreError>(store.purging(row, *generation).await?.map(|change| (change, false)))
        };
        let plan = Plan::of(store, &ids, decide).await?;
        let is_whole = plan.steps.len() == entries.len();
        let end = if is_whole { plan.carry_out(store).await? } else { Default::default() };
        done += end.done.len();
        if !is_whole || !end.changed.is_empty() {
            let all = before.shelved.len();
            return Err(changed(tenant, &format!("{done} of {all} entries were discarded, its connection stays")));
        }
    }
    Ok(done)
}

fn changed(tenant: &TenantId, what: &str) -> Failure {
    Failure::finding(
        format!("{tenant} was changed meanwhile: {what}"),
        format!(
            "check it with `testmo-courier shelf list --tenant {tenant}` and `testmo-courier tenants show {tenant}`, then \
             run the command again"
        ),
    )
}

fn described(removal: &Removal) -> String {
    format!("{} parked, {} dead", removal.parked, removal.shelved.len() - removal.parked)
}

#[cfg(test)]
mod tests {
    use testmo_courier::batch::ledger::{BatchRecord, BatchState};
    use testmo_courier::batch::message::decode::decode;
    use testmo_courier::batch::{BatchKey, Reason, fingerprint};
    use testmo_courier::clock::Clock;
    use testmo_courier::config::{self, Sources};
    use testmo_courier::store::connections::{ConnectionRow, SealedKey};
    use testmo_courier::store::ledger::{Commit, CommitOutcome, RecordUpdate};
    use testmo_courier::store::shelf::{ShelfFilter, ShelfIdentity, ShelvedUntil, Shelving};
    use testmo_courier::store::{ConnectionStore, LedgerStore, OutboxStore, ShelfStore};

    use super::*;

    /// A store in a file, with one tenant that is connected.
    async fn with_acme() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("courier.db").display());
        let environment = [("DATABASE_URL".to_owned(), url)].into();
        let config = config::load(&Sources { files: vec![], environment }).unwrap();
        let store = Store::open(&config.store, true, Clock::system()).await.unwrap();
        let row = ConnectionRow {
            tenant: acme(),
            version: "v1".into(),
            origin: "https://acme.testmo.net".into(),
            key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into() },
            expires_on: None,
            project: 1,
            folder: 2,
            mapping: Default::default(),
            resolved: Some(Default::default()),
            verified_version: Some("v1".into()),
            verified_at: Some(1),
            checked_at: None,
            finding: None,
            last_success_at: None,
            epoch: 0,
        };
        assert!(store.set_connection(&row).await.unwrap().is_done());
        (store, dir)
    }

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    fn key(batch: &str) -> BatchKey {
        format!("acme/{batch}").parse().unwrap()
    }

    async fn park(store: &Store, batch: &str) {
        let message = serde_json::json!({"schema_version": 1, "batch_id": batch, "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}]});
        let body = message.to_string().into_bytes();
        let shelving = Shelving {
            identity: ShelfIdentity::Batch(key(batch), fingerprint(&decode(&body).unwrap())),
            reason: Reason::Paused,
            detail: None,
            until: ShelvedUntil::After(Duration::from_secs(86_400)),
            account: None,
            connection: None,
            parks: 0,
            failing_since: None,
            arrived_at: 1,
            published_at: None,
            headers: Default::default(),
            body,
        };
        store.commit(Commit { shelve: Some(shelving), ..Commit::default() }.into()).await.unwrap();
    }

    async fn shelved(store: &Store) -> usize {
        store.shelf_ids(&ShelfFilter::default()).await.unwrap().len()
    }

    async fn state_of(store: &Store, batch: &str) -> Option<BatchState> {
        store.batch(&key(batch)).await.unwrap().map(|stored| stored.record.state)
    }

    fn said(end: Result<(), Failure>) -> String {
        format!("{:?}", end.unwrap_err())
    }

    #[tokio::test]
    async fn a_batch_that_is_parked_while_the_command_asks_is_neither_deleted_nor_discarded() {
        for (purge, there) in [(false, 0), (true, 2)] {
            let (store, _dir) = with_acme().await;
            for n in 0..there {
                park(&store, &format!("before-{n}")).await;
            }
            let ask = async |_: &mut Out| {
                park(&store, "meanwhile").await;
                Ok(true)
            };
            let said = said(remove(&store, &acme(), purge, ask, &mut Out::nowhere()).await);
            assert!(said.contains("changed meanwhile: nothing was removed"), "{said}");
            assert_eq!((shelved(&store).await, store.unsent_count().await.unwrap()), (there + 1, 0));
            assert!(store.connection(&acme()).await.unwrap().is_some());
            let due = store.due_tenants(9).await.unwrap();
            assert!(due[0].is_due, "the tenant goes on at once, with what was parked meanwhile");
            // Run again, it takes all that is there now.
            let again = remove(&store, &acme(), true, async |_| Ok(true), &mut Out::nowhere()).await;
            assert!(again.is_ok(), "{again:?}");
            assert_eq!(state_of(&store, "meanwhile").await, Some(BatchState::Discarded));
        }
    }

    #[tokio::test]
    async fn a_purge_gives_each_batch_a_record_and_an_event() {
        let (store, _dir) = with_acme().await;
        let count = AT_ONCE + 5;
        for n in 0..count {
            park(&store, &format!("b-{n}")).await;
        }
        let said = said(remove(&store, &acme(), false, async |_| Ok(true), &mut Out::nowhere()).await);
        assert!(said.contains("105 parked, 0 dead") && said.contains("--purge"), "{said}");
        remove(&store, &acme(), true, async |_| Ok(true), &mut Out::nowhere()).await.unwrap();
        assert_eq!(shelved(&store).await, 0);
        assert!(store.connection(&acme()).await.unwrap().is_none());
        for n in 0..count {
            assert_eq!(state_of(&store, &format!("b-{n}")).await, Some(BatchState::Discarded));
        }
        let events = store.unsent(1_000, Duration::ZERO).await.unwrap();
        assert_eq!(events.len(), count);
        assert!(events.iter().all(|event| event.body.contains(r#""outcome":"discarded""#)));
    }

    #[tokio::test]
    async fn whoever_answers_no_leaves_everything_as_it_was() {
        let (store, _dir) = with_acme().await;
        park(&store, "b").await;
        let ask = async |_: &mut Out| {
            let leased = store.lease_due("w", Duration::from_secs(9), &[(acme(), 9)]).await?;
            assert!(leased.is_empty(), "the tenant is paused while the command asks");
            Ok(false)
        };
        let said = said(remove(&store, &acme(), true, ask, &mut Out::nowhere()).await);
        assert!(said.contains("nothing was removed"), "{said}");
        assert_eq!((shelved(&store).await, state_of(&store, "b").await), (1, None));
        assert_eq!(store.lease_due("w", Duration::from_secs(9), &[(acme(), 9)]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_not_finished_is_named_and_nobody_is_asked() {
        let (store, _dir) = with_acme().await;
        let mut record = BatchRecord::fresh(key("b"), "1:f".into(), ["a".to_owned()]);
        (record.epoch, record.doubt_since) = (1, Some(7));
        let batch = Some(RecordUpdate { record, from_epoch: 0 });
        let stored = store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
        assert!(matches!(stored, CommitOutcome::Done(_)));
        let ask = async |_: &mut Out| panic!("nobody is asked");
        let said = said(remove(&store, &acme(), true, ask, &mut Out::nowhere()).await);
        assert!(said.contains("not finished; nothing was removed"), "{said}");
        assert_eq!(state_of(&store, "b").await, Some(BatchState::Open));
    }
}
