//! Checks that no batch is open or has an open create request, and that no row of the shelf is leased or under way.

use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::ledger::BatchFilter;
use testmo_courier::store::shelf::ShelfFilter;

use crate::drain::Drained;
use crate::generations::SOURCES;
use crate::plan::Plan;
use crate::stage::Stage;

/// More batches than any plan has.
const ALL: u32 = 10_000;

pub(super) async fn check(plan: &Plan, stage: &Stage, drained: &Drained) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    let mut stored = stage.store.batches(&BatchFilter::default(), None, ALL).await?;
    // The batches of generations are checked apart.
    stored.retain(|stored| stored.record.key.tenant.as_str() != SOURCES);
    if stored.len() != plan.batches.len() {
        broken.push(format!("the ledger knows {} of {} batches", stored.len(), plan.batches.len()));
    }
    for stored in stored {
        let record = stored.record;
        let batch = plan.batches.iter().find(|batch| batch.subject() == record.key.to_string());
        let is_as_wanted = match batch {
            Some(batch) if drained.given_up.contains(&batch.subject()) => record.state != BatchState::Open,
            Some(batch) => batch.outcome() == record.state.name(),
            None => false,
        };
        if !is_as_wanted || record.open_push.is_some() {
            let (state, push) = (record.state.name(), record.open_push);
            broken.push(format!("{}: {state} in the ledger, with push {push:?}", record.key));
        }
    }
    for row in stage.store.shelf(&ShelfFilter::default(), ALL).await? {
        if row.leased {
            broken.push(format!("{} is still leased from the shelf", row.id));
        }
        if let Some(replay) = row.replay {
            broken.push(format!("{} is still under way in replay {replay}", row.id));
        }
    }
    Ok(broken)
}
