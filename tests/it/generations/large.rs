//! Checks a second generation of a thousand cases: what is written, and how many requests that takes.

use testmo_sim::Method;

use super::{changes, count, generation, rename, row_of};
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cases_are_updated_with_few_requests() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&generation(1, 1_000, "update")).await;
    let first = stage.delivered("acme/g-1").await;
    let acme = stage.account("acme");
    let id = |case: usize| first["data"]["cases"][case - 1]["testmo_id"].as_u64().expect("an id");
    // People edited 5 %, half of which the generator changes as well, and deleted 3 %.
    for case in 1..=50 {
        acme.change_case(id(case), |row| row.name = format!("mine {case}"));
    }
    (101..=130).for_each(|case| assert!(acme.delete_case(id(case))));
    // The generator changed 10 % and dropped 2 %.
    let mut second = generation(2, 980, "update");
    for case in (26..=50).chain(201..=275) {
        rename(&mut second, case, &format!("new {case}"));
    }
    let (reads, creates) = (count(&acme, Method::Get), count(&acme, Method::Post));
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    let changes = changes(&event);
    let counted = |word: &str| changes.iter().filter(|change| *change == word).count();
    assert_eq!((counted("updated"), counted("kept"), counted("not_found"), counted("unchanged")), (75, 25, 30, 850));
    assert_eq!((acme.cases().len(), count(&acme, Method::Post)), (970, creates), "nothing is created");
    for case in 1..=50 {
        assert_eq!(row_of(&acme, &event, case).name, format!("mine {case}"));
    }
    for case in 201..=275 {
        assert_eq!(row_of(&acme, &event, case).name, format!("new {case}"));
    }
    let written = count(&acme, Method::Patch);
    assert!(written <= 77, "{written} requests for 75 changed cases");
    let reads = count(&acme, Method::Get) - reads;
    assert!(reads <= 60, "{reads} reads");
    stage.end().await;
}
