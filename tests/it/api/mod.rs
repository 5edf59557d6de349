//! Checks the JSON API: who may use what, and what its use cases do.

mod access;
mod beside_work;
mod corrected;
mod found;
mod in_testmo;
mod page;
mod repeated;
mod replays;
mod shelf;
mod support;
mod tenants;
