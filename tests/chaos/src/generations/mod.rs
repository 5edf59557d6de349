//! Has the sources of one more tenant get several generations, while people edit their cases and take batches back.

mod check;
mod draw;
mod edits;
mod left;
mod take_back;

use std::time::Duration;

use serde_json::{Value, json};
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::undo::UndoKind;

pub(crate) use self::check::check;
pub(crate) use self::draw::draw;
pub(crate) use self::edits::{Edits, edit};
pub(crate) use self::left::left;
pub(crate) use self::take_back::{take_all_back, take_back};
use crate::plan::{Call, Misbehaviour};

/// The tenant whose batches are generations.
pub(crate) const SOURCES: &str = "drift";
/// The state of cases that are retired, in a new account of the stand-in.
pub(crate) const DEPRECATED: u64 = 5;

/// The generations of a plan, and what becomes of them at its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generations {
    pub(crate) all: Vec<Generation>,
    /// Whether each batch is taken back when nothing else is left, and whether its cases are deleted then.
    pub(crate) taken_back: Option<bool>,
    /// Whether people take batches back before.
    pub(crate) taken_back_early: bool,
}

/// One batch of a source.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) source: usize,
    /// Later generations have higher numbers.
    pub(crate) number: u64,
    /// The numbers of its cases, each with the version of its name.
    pub(crate) cases: Vec<(u64, u64)>,
}

/// Something that happens to generations. A number picks one of what there is at that time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Publish { at: usize },
    Edit { edit: Edit, pick: usize },
    TakeBack { pick: usize, kind: UndoKind, deletes: bool },
    Misbehave { on: Call, how: Misbehaviour, times: u32 },
}

/// What a person does with a case that is known to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Rename,
    Describe,
    Move,
    Delete,
}

/// What is drawn: what happens at which time, in milliseconds.
pub(crate) type Events = Vec<(Duration, Event)>;

impl Generation {
    pub(crate) fn id(&self) -> String {
        format!("g{}-{}", self.source, self.number)
    }

    pub(crate) fn key(&self) -> anyhow::Result<BatchKey> {
        Ok(format!("{SOURCES}/{}", self.id()).parse()?)
    }

    /// Returns the message that is published.
    pub(crate) fn body(&self) -> Vec<u8> {
        let case = |(case, version): &(u64, u64)| {
            json!({"external_id": format!("e{case}"), "name": name(self.source, *case, *version),
                   "description": format!("what case {case} checks")})
        };
        let cases: Vec<Value> = self.cases.iter().map(case).collect();
        let batch = json!({"schema_version": 1, "batch_id": self.id(), "tenant_id": SOURCES, "on_repeat": "update",
            "source": {"key": format!("s{}", self.source)}, "cases": cases,
            "generated_at": format!("2026-11-23T09:{:02}:00Z", 10 + self.number)});
        batch.to_string().into_bytes()
    }
}

/// Returns what the names of a case begin with, whatever becomes of it.
pub(crate) fn prefix(source: usize, case: u64) -> String {
    format!("s{source} c{case} ")
}

/// Returns the name of a version of a case.
pub(crate) fn name(source: usize, case: u64, version: u64) -> String {
    format!("{}v{version}", prefix(source, case))
}

/// Returns what a name begins with that no generation and no person changes.
pub(crate) fn prefix_of(name: &str) -> &str {
    let end = name.match_indices(' ').nth(1).map_or(name.len(), |(at, _)| at + 1);
    &name[..end]
}
