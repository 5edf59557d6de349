//! Holds what a plan says of one entry of the shelf.

use crate::batch::replay::Forecast;
use crate::batch::{BatchId, TenantId};
use crate::replay::{NotReplayable, Subject};
use crate::store::shelf::Shelved;

/// What the plan says of one entry.
pub(super) struct Expected {
    pub(super) forecast: Forecast,
    pub(super) detail: Option<String>,
    pub(super) cases: u64,
    pub(super) account: Option<String>,
}

/// Returns that an entry cannot be replayed, and why.
pub(super) fn impossible(why: String) -> Expected {
    Expected { forecast: Forecast::Impossible, detail: Some(why), cases: 0, account: None }
}

/// Returns whose an entry is: the message of one that was shelved undecoded says it.
pub(super) fn named(row: &Shelved, subject: &Result<Subject, NotReplayable>) -> (Option<TenantId>, Option<BatchId>) {
    let (tenant, batch) = match subject {
        Ok(Subject { key, .. }) => (Some(&key.tenant), Some(&key.batch)),
        Err(_) => row.content.identity.names(),
    };
    (tenant.cloned(), batch.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture;
    use crate::batch::Reason;
    use crate::replay::subject;

    #[test]
    fn the_message_of_an_entry_says_whose_it_is_even_if_it_was_shelved_undecoded() {
        let raw = fixture::raw(Reason::Suspect);
        let unreadable = fixture::row(raw.content.identity.clone(), Reason::Suspect, b"{".to_vec());
        for (row, tenant, batch) in
            [(fixture::own(), Some("acme"), Some("b-1")), (raw, Some("acme"), Some("b-1")), (unreadable, None, None)]
        {
            let subject = subject(&row, 1_000_000);
            let (tenant_id, batch_id) = named(&row, &subject);
            assert_eq!(tenant_id.as_ref().map(TenantId::as_str), tenant, "{row:?}");
            assert_eq!(batch_id.as_ref().map(BatchId::as_str), batch, "{row:?}");
        }
    }
}
