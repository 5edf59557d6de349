//! Groups what one worker remembers of accounts for reconciliation.

use super::answered_ids::AnsweredIds;
use super::canary::Canaries;
use super::clock_offsets::ClockOffsets;
use super::tagged_rows::TaggedRows;
use super::unclear_pushes::UnclearPushes;

/// What one worker remembers of accounts. Each part is bounded, and losing any of it costs longer reads only.
#[derive(Debug, Default)]
pub(in crate::worker) struct ReconcileMemory {
    pub(in crate::worker) canaries: Canaries,
    pub(in crate::worker) answered_ids: AnsweredIds,
    pub(in crate::worker) clock_offsets: ClockOffsets,
    pub(in crate::worker) unclear: UnclearPushes,
    pub(in crate::worker) tagged_rows: TaggedRows,
}
