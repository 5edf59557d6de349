//! Checks the properties that the fuzzer checks, for hostile messages and for those of the demo.

use std::fs;
use std::path::Path;

use testmo_courier::batch;

use testmo_hostile::messages;

#[path = "../../fuzz/fuzz_targets/checks.rs"]
mod checks;

#[test]
fn what_the_fuzzer_checks_holds_for_hostile_messages_and_for_those_of_the_demo() {
    for (_, message) in messages() {
        checks::check(&message);
    }
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/batches");
    let files: Vec<_> = fs::read_dir(demo).expect("a folder").flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        checks::check(&fs::read(file.path()).expect("a message"));
    }
}
