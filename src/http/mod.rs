//! Serves a running worker over HTTP.

mod connections;
mod observe;

pub use self::observe::{Lanes, Readiness, serve};
