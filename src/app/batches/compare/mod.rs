//! Compares what the ledger says was delivered with what Testmo shows now.

mod error;
mod expected;
mod found;
mod model;
mod read;
mod selected;

pub use self::error::CompareError;
use self::expected::{Expected, expected};
use self::found::Rows;
pub use self::model::{ComparedBatch, ComparedCase, Comparison, Differences, Finding, OtherRow};
use self::read::{Reader, Reading};
pub use self::selected::Selected;
use crate::app::case_pages::{CasePages, PATIENCE};
use crate::app::connections::connection;
use crate::app::plural::counted;
use crate::app::{AppContext, time};
use crate::batch::batch_tag;

/// Compares what was delivered with what Testmo shows. Each request needs a permit, as every request does: a pause of the
/// account or of the tenant ends the reading. Nothing is changed.
///
/// # Errors
/// When there is nothing to compare, Testmo cannot be read, or the store does not answer.
pub async fn compare(context: &AppContext, selected: &Selected) -> Result<Comparison, CompareError> {
    let tenant = selected.tenant();
    let row = connection(&context.store, tenant).await?;
    context.tenants.learn_key_of(&row).await?;
    let access = context.tenants.access(&row);
    let access = access.map_err(|(_, why)| CompareError::NoAccess { tenant: tenant.clone(), why })?;
    let expected = expected(&context.store, selected, (&row.origin, row.project)).await?;
    if expected.batches.is_empty() && expected.elsewhere + expected.pruned == 0 {
        return Err(CompareError::Nothing(selected.name()));
    }
    let has_tag = row.resolved.as_ref().is_none_or(|mapping| mapping.batch_tag);
    let mut notes = notes(&expected, has_tag);
    let client = context.client()?;
    let permits = context.tenants.permits(&row.origin, PATIENCE).of_tenant(tenant);
    let pages = CasePages { client: &client, access: &access, project: row.project, tenant, permits };
    let mut reader = Reader { store: &context.store, pages };
    let (rows, reading) = read(&mut reader, selected, &expected).await?;
    if reading.has_shrunk && !rows.is_complete(&expected) {
        notes.push(
            "Cases were removed while Testmo was read, so those that were not seen may have been passed over: run the \
             command again."
                .into(),
        );
    }
    let batches = rows.conclude(expected, reading.has_shrunk);
    Ok(Comparison { tenant: tenant.clone(), batches, notes, read_at: time::now() })
}

/// Reads the rows: of one batch by its tag, if that shows all of its cases, and otherwise the whole list; again, if cases
/// disappeared meanwhile.
async fn read(
    reader: &mut Reader<'_>,
    selected: &Selected,
    expected: &Expected,
) -> Result<(Rows, Reading), CompareError> {
    if let Selected::Batch(key) = selected {
        let mut rows = Rows::none(expected);
        let reading = reader.read_tag(expected, &batch_tag(key), &mut rows).await?;
        if let Some(reading) = reading.filter(|_| rows.is_complete(expected)) {
            return Ok((rows, reading));
        }
    }
    let mut rows = Rows::none(expected);
    let mut reading = reader.read_all(expected, &mut rows).await?;
    if reading.has_shrunk && !rows.is_complete(expected) {
        rows = Rows::none(expected);
        reading = reader.read_all(expected, &mut rows).await?;
    }
    Ok((rows, reading))
}

/// Says what limits the comparison.
fn notes(expected: &Expected, has_tag: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if expected.pruned > 0 {
        let batches = counted(expected.pruned, "batch is", "batches are");
        notes.push(format!("{batches} left out: the ids of their cases are no longer kept (store.retention)."));
    }
    if expected.elsewhere > 0 {
        let batches = counted(expected.elsewhere, "batch was", "batches were");
        notes
            .push(format!("{batches} sent to another account or project than the tenant's present one, and not read."));
    }
    if !has_tag {
        notes.push("The tenant's cases have no batch tag, so a case that exists twice cannot be recognized.".into());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_is_said() {
        let expected = Expected { pruned: 1, elsewhere: 2, ..Expected::default() };
        assert_eq!(
            notes(&expected, false),
            [
                "1 batch is left out: the ids of their cases are no longer kept (store.retention).",
                "2 batches were sent to another account or project than the tenant's present one, and not read.",
                "The tenant's cases have no batch tag, so a case that exists twice cannot be recognized.",
            ]
        );
        assert_eq!(notes(&Expected::default(), true), [""; 0]);
    }
}
