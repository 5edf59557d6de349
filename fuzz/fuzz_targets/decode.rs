//! Feeds any bytes to the core, from a message to the body of a request to Testmo.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The core uses nothing else of the package, so it is built alone: in seconds, not minutes.
#[allow(dead_code, unused_imports)]
#[path = "../../src/batch/mod.rs"]
mod batch;
mod checks;

fuzz_target!(|bytes: &[u8]| checks::check(bytes));
