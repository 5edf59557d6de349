//! Runs the worker's own logic in paused time between neighbours in memory, and breaks them by a seeded plan.
//!
//! In reading order: `plan` and `batches` say what happens in a run; `weather` draws what goes wrong from call to call;
//! `fuse` is how a worker dies or stands still at any point; `store`, `broker` and `testmo` are the neighbours, and
//! `stage` puts them together; `replica` runs workers between them; `run` carries a plan out, and `check` says what
//! must hold at its end. `mutation` has the known bugs that the checks have to notice.
//!
//! Invariant: the same seed runs the same way. There is one thread to a run, time passes only when nothing is left to
//! do, and whatever is drawn is drawn from the seed.

mod batches;
mod broker;
mod check;
mod diary;
mod fuse;
mod mutation;
mod plan;
mod replica;
mod run;
mod stage;
mod store;
mod testmo;
#[cfg(test)]
mod tests;
mod weather;

pub use mutation::Mutation;
pub use run::{Outcome, simulate};
