//! Can any bytes make the core stumble? From a message to what would be sent to Testmo.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The core names nothing else of the package, so it is built alone: in seconds, not minutes.
#[allow(dead_code, unused_imports)]
#[path = "../../src/batch/mod.rs"]
mod batch;
mod checks;

fuzz_target!(|bytes: &[u8]| checks::check(bytes));
