//! Checks what the stand-in of Testmo holds after an evening.

use std::collections::BTreeMap;

use testmo_courier::store::shelf::{ShelfState, Shelved};

use super::failures::{CHECKOUTS, FIRST_LOST, LOGINS, ORDERS, REPORTS, SEARCHES};
use crate::support::batches::names;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Returns how many cases of each name an account has.
fn counted(stage: &Stage, tenant: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for name in stage.account(tenant).case_names() {
        *counted.entry(name).or_default() += 1;
    }
    counted
}

fn numbered(name: &str, count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(move |n| format!("{name} {n}"))
}

/// Waits until the cases of a suite are in Testmo, and nothing of the tenant's suite is on the shelf any more.
pub(super) async fn arrived(stage: &Stage, tenant: &str, name: &str, count: usize) {
    let are_there = || {
        let there = counted(stage, tenant);
        numbered(name, count).all(|name| there.get(&name) == Some(&1))
    };
    let waits = async || {
        let is_it =
            |row: &Shelved| row.state == ShelfState::Parked && row.tenant().is_some_and(|of| of.as_str() == tenant);
        stage.shelf().await.iter().any(is_it)
    };
    until(async || are_there() && !waits().await).await;
}

/// Returns how often cases of a suite were sent to each account.
pub(super) fn times_sent(stage: &Stage) -> [usize; 2] {
    [("lindenshop", "Check out with voucher"), ("voltara", "Find a tariff")].map(|(tenant, suite)| {
        let names = stage.account(tenant).requests().into_iter().flat_map(|request| request.case_names);
        names.filter(|name| name.starts_with(suite)).count()
    })
}

/// Checks that every case that was to be delivered is in Testmo once, and nothing of what was discarded.
pub(super) fn every_case_is_there_once_and_none_that_was_discarded(stage: &Stage) {
    let all = |tenant: &str, suites: &[(&str, usize)], others: &[&str]| {
        let mut expected: BTreeMap<String, usize> = names("basket-1", 3).into_iter().map(|name| (name, 1)).collect();
        expected.extend(suites.iter().flat_map(|(name, count)| numbered(name, *count)).map(|name| (name, 1)));
        expected.extend(others.iter().map(|name| ((*name).to_owned(), 1)));
        assert_eq!(counted(stage, tenant), expected, "{tenant}");
    };
    let lost = ["checkout-100 case 1", "Check out as a guest (reviewed)", "checkout-100 case 3"];
    all("lindenshop", &[("Check out with voucher", CHECKOUTS), ("Pay order", ORDERS)], &lost);
    all("northbank", &[("Sign in with certificate", LOGINS)], &["Refund a transfer 7"]);
    all("voltara", &[("Find a tariff", SEARCHES), ("Read the meter", REPORTS)], &[]);
    assert!(stage.account("lindenshop").cases().iter().any(|case| case.id == FIRST_LOST + 1));
}
