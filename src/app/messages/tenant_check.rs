//! Checks a message against what a tenant's project was seen to have.

use super::super::connections::ConnectionRow;
use super::message::{Finding, Message};
use super::preview::{batch_of, notes};
use crate::batch::render::check::check;

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

/// Checks a message against the stored connection of a tenant; nothing is read from Testmo. A message that is not a batch,
/// whose faults are listed anyway, has no findings.
pub fn check_for(row: &ConnectionRow, message: &Message) -> TenantCheck {
    let read_at = row.fields.project().read_at;
    let Ok(batch) = batch_of(message.body()) else {
        return TenantCheck { findings: Vec::new(), notes: Vec::new(), read_at };
    };
    let mut notes = notes(row, &batch);
    let Some(mapping) = &row.resolved else {
        notes.push("the names in the mapping are not resolved yet, so nothing was checked".into());
        return TenantCheck { findings: Vec::new(), notes, read_at };
    };
    let mut findings = check(&batch, mapping, &row.fields);
    // What the message itself shows is reported already.
    findings.retain(|finding| {
        message
            .warnings
            .iter()
            .all(|known| (known.rule, &known.fault.pointer) != (finding.rule, &finding.fault.pointer))
    });
    TenantCheck { findings, notes, read_at }
}
