//! Generations of sources, while people edit cases.

use super::{Totals, run_all};
use crate::simulate_generations;

#[test]
fn later_generations_make_nothing_twice_and_lose_no_edit_that_could_be_seen() {
    let Totals { failed, .. } = run_all(simulate_generations, 1..1_001, None, 3);
    let again: Vec<String> =
        failed.keys().map(|seed| format!("make simulate FROM={seed} GENERATIONS=1 PLANS=0 QUIET=0")).collect();
    assert!(failed.is_empty(), "{failed:#?}\nagain: {again:?}");
}
