//! Checks the stand-in on the wire, where connections are cut and callers disconnect.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, but not what they share")]

mod accounts;
mod binary;
mod client;
mod control;
mod faults;
mod timing;
