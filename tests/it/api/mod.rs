//! Checks the JSON API: who may use what, and what its use cases do.

mod access;
mod beside_work;
mod page;
mod repeated;
mod replays;
mod shelf;
mod support;
mod tenants;
