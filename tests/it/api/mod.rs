//! Checks the JSON API: who may use what, and what its use cases do.

pub(crate) mod access;
mod beside_work;
mod corrected;
mod found;
mod in_testmo;
mod page;
mod repeated;
mod replays;
mod shelf;
pub(crate) mod support;
mod tenants;
