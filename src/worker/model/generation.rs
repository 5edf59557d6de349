//! Holds how far a batch has come with the cases that earlier batches wrote.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::batch::Batch;
use crate::batch::generation::Edits;
use crate::batch::ledger::PreviousCase;
use crate::batch::message::OnRepeat;
use crate::batch::render::mapping::Mapping;
use crate::batch::written::{BatchMark, WrittenFields};
use crate::testmo::CasesOf;

/// What a batch does with cases that earlier batches wrote, and how far it has come.
#[derive(Debug)]
pub(in crate::worker) struct Generation {
    pub(in crate::worker) mode: OnRepeat,
    pub(in crate::worker) edits: Edits,
    /// When its cases were generated, in milliseconds since 1970.
    pub(in crate::worker) generated_at: i64,
    /// Whether each case is decided that an earlier batch may have written.
    pub(in crate::worker) is_done: bool,
    pub(in crate::worker) progress: Progress,
}

/// What was found out so far; without it everything is found out again.
#[derive(Debug, Default)]
pub(in crate::worker) struct Progress {
    /// What was written before of its cases, by position, once that was read. It has the source then.
    pub(in crate::worker) known: Option<BTreeMap<usize, KnownCase>>,
    /// The lists that are still to be read, and the page of the first one.
    pub(in crate::worker) lists: VecDeque<CasesOf>,
    pub(in crate::worker) page: u64,
    /// Whether Testmo refuses to sort a list.
    pub(in crate::worker) is_unsorted: bool,
    /// Whether each case is written in a request of its own, as Testmo refused one with several.
    pub(in crate::worker) is_apart: bool,
    /// Columns that Testmo asked for in every request.
    pub(in crate::worker) required: BTreeSet<String>,
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

impl Generation {
    /// Returns what a batch does, by what it says itself or by the mapping of its tenant.
    pub(in crate::worker) fn of(batch: &Batch, mapping: &Mapping) -> Self {
        let mode = batch.on_repeat.or(mapping.on_repeat).unwrap_or_default();
        let has_identities = batch.source.key.is_some() && batch.cases.iter().any(|case| case.external_id.is_some());
        Self {
            mode,
            edits: mapping.edits,
            generated_at: batch.generated_at,
            is_done: mode == OnRepeat::Create || !has_identities,
            progress: Progress::default(),
        }
    }

    /// Has everything found out again, as the record of the batch is another one.
    pub(in crate::worker) fn restart(&mut self) {
        self.is_done &= self.mode == OnRepeat::Create;
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
