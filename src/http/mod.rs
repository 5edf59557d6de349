//! Serves a running worker over HTTP: its state to monitoring, and the use cases to people and programs.

pub mod admin;
pub mod api;
mod connections;
pub mod console;
mod observe;

pub use self::observe::{Lanes, Readiness, serve};
