//! Runs the worker's own logic in paused time between in-memory neighbours, which fail by a seeded plan.
//!
//! In reading order: `plan` and `batches` draw what happens in a run; `weather` draws what fails from call to call;
//! `fuse` kills or freezes a worker at any point; `people` replay and change what is on the shelf; `store`, `broker` and
//! `testmo` are the neighbours, and `stage` puts them together; `replica` runs workers between them; `run` carries a plan
//! out, `liveness` and `budget` notice what takes too long, and `check` states what must hold at the end. `quiet` is a family
//! of plans of its own, in which nothing fails, and `generations` one in which batches update the cases of earlier ones while people
//! edit them. `mutation` has the known bugs that the checks must notice.
//!
//! Invariant: the same seed runs the same way. A run has one thread, time passes only when nothing is left to do, and
//! every draw depends on the seed.

mod batches;
mod broker;
mod budget;
mod check;
mod diary;
mod fuse;
mod generations;
mod liveness;
mod mutation;
mod people;
mod plan;
mod quiet;
mod replica;
mod run;
mod stage;
mod store;
mod testmo;
#[cfg(test)]
mod tests;
mod weather;

pub use generations::simulate as simulate_generations;
pub use mutation::Mutation;
pub use quiet::simulate as simulate_quiet;
pub use run::{Outcome, simulate};
