//! Holds the values that the steps of the worker pass on: without a clock, a store or a network.

mod active_batch;
mod backlog;
mod case_folders;
mod generation;
mod identities;
mod inbound;
mod proof;
mod step;
mod trial;
mod trouble;
mod unclear;
mod waited_for;

#[cfg(test)]
pub(super) use self::active_batch::tests::batch_of;
pub(super) use self::active_batch::{ActiveBatch, WorkKey};
pub(super) use self::backlog::{Backlog, Backlogs};
pub(super) use self::generation::{GoneCase, KnownCase, Progress};
pub(super) use self::inbound::{InboundMessage, kept_headers};
pub(super) use self::proof::{proof_of, unproven};
pub(super) use self::step::{Disposition, Dispositions, LaneUpdate, NextStep, PushFeedback};
pub(super) use self::trial::{REST, SlowTrials};
pub(super) use self::trouble::{Trouble, Troubles};
pub(super) use self::unclear::UnclearPush;
pub(super) use self::waited_for::WaitedFor;
