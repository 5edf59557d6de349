//! Has the batches of a tenant tried again that were given up because the tenant had no connection.

use super::super::super::context::AppContext;
use super::super::super::plan::{Decision, Plan};
use crate::batch::{Reason, TenantId};
use crate::replay::at_once;
use crate::store::StoreError;
use crate::store::shelf::{ShelfFilter, ShelfState, Shelved};

/// How many batches are planned at once: there may be very many.
const AT_ONCE: usize = 500;

/// Replays what failed for want of a connection. Where this is cut off, a worker does the rest.
pub(super) async fn release(context: &AppContext, tenant: &TenantId) -> Result<(), StoreError> {
    let filter = ShelfFilter {
        tenant: Some(tenant.clone()),
        reason: Some(Reason::UnknownTenant),
        state: Some(ShelfState::Dead),
        ..ShelfFilter::default()
    };
    let ids = context.store.shelf_ids(&filter).await?;
    for ids in ids.chunks(AT_ONCE) {
        let decide = async |row: &Shelved| {
            let decided = at_once(&context.store, row, context.config.amqp.max_message_bytes).await?;
            Ok(decided.map(|(change, waits)| Decision { change, waits }))
        };
        let plan = Plan::of(&context.store, ids, decide).await?;
        plan.carry_out_unasked(&context.store).await?;
    }
    Ok(())
}
