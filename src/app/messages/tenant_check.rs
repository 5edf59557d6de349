//! Checks a message against what a tenant's project was seen to have.

use super::super::connections::ConnectionRow;
use super::message::{Finding, Message};
use super::preview::{batch_of, notes};
use super::written_before::{identities, written_before};
use crate::batch::render::check::check;
use crate::batch::written::CaseIdentity;
use crate::store::written::Remembered;
use crate::store::{Store, StoreError, WrittenStore};

/// What a tenant's Testmo will probably refuse of a message.
#[derive(Debug)]
pub struct TenantCheck {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// When the project's lists were read, in milliseconds on the store's clock.
    pub read_at: Option<i64>,
}

/// Checks a message against the stored connection of a tenant and against the cases that are remembered; nothing is read from
/// Testmo. A message that is not a batch, whose faults are listed anyway, has no findings.
///
/// # Errors
/// When the store does not answer.
pub async fn check_for(store: &Store, row: &ConnectionRow, message: &Message) -> Result<TenantCheck, StoreError> {
    let identities = batch_of(message.body()).map(|batch| identities(row, &batch)).unwrap_or_default();
    let wanted: Vec<CaseIdentity> = identities.iter().map(|(_, identity)| *identity).collect();
    let known = store.written(&row.tenant, &wanted).await?;
    Ok(checked(row, message, &identities, &known))
}

fn checked(
    row: &ConnectionRow,
    message: &Message,
    identities: &[(usize, CaseIdentity)],
    known: &[Remembered],
) -> TenantCheck {
    let read_at = row.fields.project().read_at;
    let Ok(batch) = batch_of(message.body()) else {
        return TenantCheck { findings: Vec::new(), notes: Vec::new(), read_at };
    };
    let mut notes = notes(row, &batch);
    let before = written_before(row, &batch, identities, known);
    let Some(mapping) = &row.resolved else {
        notes.push("the names in the mapping are not resolved yet, so values were not checked".into());
        return TenantCheck { findings: before, notes, read_at };
    };
    let mut findings = check(&batch, mapping, &row.fields);
    // What the message itself shows is reported already.
    findings.retain(|finding| {
        message
            .warnings
            .iter()
            .all(|known| (known.rule, &known.fault.pointer) != (finding.rule, &finding.fault.pointer))
    });
    findings.extend(before);
    TenantCheck { findings, notes, read_at }
}
