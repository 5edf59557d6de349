//! Holds what reconciliation with Testmo remembers and needs, for deliveries and for the late-duplicate check.

pub(super) mod answered_ids;
pub(super) mod canary;
pub(super) mod clock_offsets;
pub(super) mod duplicates;
pub(super) mod id_order;
pub(super) mod list_order;
pub(super) mod memory;
pub(super) mod tagged_rows;
pub(super) mod unclear_pushes;
