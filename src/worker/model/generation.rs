//! Holds how far a batch has come with the cases that earlier batches wrote.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::generation::{Edits, Removal, Resend, mode_of, removal_of};
use crate::batch::ledger::PreviousCase;
use crate::batch::message::OnRepeat;
use crate::batch::render::mapping::Mapping;
use crate::batch::written::{BatchMark, CaseIdentity, WrittenFields};
use crate::batch::{Batch, BatchId};
use crate::testmo::CasesOf;

/// What a batch does with cases that earlier batches wrote, and how far it has come.
#[derive(Debug)]
pub(in crate::worker) struct Generation {
    pub(in crate::worker) mode: OnRepeat,
    pub(in crate::worker) edits: Edits,
    /// The batch that it replaces.
    pub(in crate::worker) replaces: Option<BatchId>,
    /// The name of the source of that batch, once it is known.
    pub(in crate::worker) replaced: Option<String>,
    /// What is done with cases of its source that it does not have; `None` if that is not to be found out.
    pub(in crate::worker) removal: Option<Removal>,
    /// When its cases were generated, in milliseconds since 1970.
    pub(in crate::worker) generated_at: i64,
    /// Whether each of its own cases is decided that an earlier batch may have written.
    pub(in crate::worker) is_own_done: bool,
    /// Whether everything is decided that concerns earlier batches.
    pub(in crate::worker) is_done: bool,
    pub(in crate::worker) progress: Progress,
}

/// What was found out so far; without it everything is found out again.
#[derive(Debug, Default)]
pub(in crate::worker) struct Progress {
    /// What was written before of its cases, by position, once that was read. It has the source then.
    pub(in crate::worker) known: Option<BTreeMap<usize, KnownCase>>,
    /// Whether no generation of the source is as new as this one.
    pub(in crate::worker) is_latest: bool,
    /// The cases of the source that it does not have, by their ids, once they were read.
    pub(in crate::worker) gone: Option<BTreeMap<u64, GoneCase>>,
    /// The lists that are still to be read, and the page of the first one.
    pub(in crate::worker) lists: VecDeque<CasesOf>,
    pub(in crate::worker) page: u64,
    /// Whether Testmo refuses to sort a list.
    pub(in crate::worker) is_unsorted: bool,
    /// Whether Testmo refuses a list with the histories of cases, or such a page is too large.
    pub(in crate::worker) hides_history: bool,
    /// What was learned from refused requests.
    pub(in crate::worker) resend: Resend,
}

/// A case that an earlier batch wrote.
#[derive(Clone, Debug)]
pub(in crate::worker) struct KnownCase {
    pub(in crate::worker) previous: PreviousCase,
    pub(in crate::worker) fields: WrittenFields,
    /// The mark of the batch that wrote it.
    pub(in crate::worker) mark: BatchMark,
    /// The batch tag of the batch that wrote it, if that is known.
    pub(in crate::worker) tag: Option<String>,
}

/// A case of the source of a batch that the batch does not have.
#[derive(Clone, Debug)]
pub(in crate::worker) struct GoneCase {
    pub(in crate::worker) known: KnownCase,
    /// By what it is recognized: in each source of the batch.
    pub(in crate::worker) identities: Vec<CaseIdentity>,
}

impl Generation {
    /// Returns what a batch does, by what it says itself or by the mapping of its tenant.
    pub(in crate::worker) fn of(batch: &Batch, mapping: &Mapping) -> Self {
        let mode = mode_of(batch, mapping);
        let has_identities = batch.cases.iter().any(|case| case.external_id.is_some());
        Self {
            mode,
            edits: mapping.edits,
            replaces: batch.replaces.clone(),
            replaced: None,
            removal: removal_of(batch, mapping),
            generated_at: batch.generated_at,
            is_own_done: false,
            is_done: mode == OnRepeat::Create || (!has_identities && batch.replaces.is_none()),
            progress: Progress::default(),
        }
    }

    /// Has everything found out again, as the record of the batch is another one.
    pub(in crate::worker) fn restart(&mut self) {
        self.is_done &= self.mode == OnRepeat::Create;
        self.is_own_done = false;
        self.progress = Progress::default();
    }
}

impl Progress {
    /// Goes on with the next list.
    pub(in crate::worker) fn next_list(&mut self) {
        self.lists.pop_front();
        self.page = 1;
    }
}
