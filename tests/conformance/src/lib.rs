//! Holds the cases that every store has to pass, so that what is true of one store is true of all.
//!
//! A store takes part by a [`Subject`] and one call of [`conformance!`], which makes a test of each case. A store that
//! several workers share also calls [`shared_conformance!`]. What only the SQL stores can do is tested in `tests/sql`.

#![allow(clippy::unwrap_used, reason = "the cases are tests")]

#[macro_use]
mod cases;

pub mod accounts;
pub mod claims;
pub mod connections;
pub mod edited;
pub mod finished;
pub mod folders;
pub mod history;
pub mod ids;
pub mod instances;
pub mod outbox;
pub mod removal;
mod replay_fixture;
pub mod replays;
pub mod replicas;
pub mod shelf;
pub mod sources;
mod subject;
pub mod trend;
pub mod unbound;
pub mod values;
pub mod verification;
pub mod windows;
pub mod written;

pub use subject::Subject;

/// Makes a test of each case, from a test attribute and the path of an async function that returns a fresh [`Subject`].
///
/// ```text
/// conformance!(#[tokio::test] crate::stores::sqlite);
/// ```
#[macro_export]
macro_rules! conformance {
    (#[$test:meta] $subject:path) => {
        $crate::accounts_cases!($test, $subject);
        $crate::claims_cases!($test, $subject);
        $crate::connections_cases!($test, $subject);
        $crate::edited_cases!($test, $subject);
        $crate::finished_cases!($test, $subject);
        $crate::folders_cases!($test, $subject);
        $crate::history_cases!($test, $subject);
        $crate::ids_cases!($test, $subject);
        $crate::instances_cases!($test, $subject);
        $crate::outbox_cases!($test, $subject);
        $crate::removal_cases!($test, $subject);
        $crate::replays_cases!($test, $subject);
        $crate::shelf_cases!($test, $subject);
        $crate::sources_cases!($test, $subject);
        $crate::trend_cases!($test, $subject);
        $crate::unbound_cases!($test, $subject);
        $crate::verification_cases!($test, $subject);
        $crate::windows_cases!($test, $subject);
        $crate::written_cases!($test, $subject);
    };
}

/// Makes a test of each case for stores that several workers share: what one worker takes, no other worker is given.
#[macro_export]
macro_rules! shared_conformance {
    (#[$test:meta] $subject:path) => {
        $crate::replicas_cases!($test, $subject);
    };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_module_with_cases_is_in_a_suite() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let suites = fs::read_to_string(src.join("lib.rs")).unwrap();
        for file in fs::read_dir(src).unwrap() {
            let path = file.unwrap().path();
            let module = path.file_stem().unwrap().to_string_lossy().into_owned();
            if fs::read_to_string(&path).unwrap().contains("\ncases! {") {
                assert!(suites.contains(&format!("$crate::{module}_cases!(")), "{module}");
            }
        }
    }
}
