//! Serves a running worker over HTTP.

mod observe;

pub use self::observe::{Lanes, Readiness, serve};
