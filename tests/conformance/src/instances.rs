//! Checks how a worker starts after its earlier processes ended, and which messages are suspected.

use std::time::Duration;

use testmo_courier::store::instances::StartRule;

use crate::Subject;
use crate::values::START;

cases! {
    ($) instances_cases in instances:
    a_process_that_does_not_end_in_order_is_known_at_the_next_start,
    what_was_in_hand_at_an_unclean_end_is_suspected_until_it_is_set_apart,
    each_instance_has_its_own_ends,
}

const USUAL: StartRule = StartRule { one_by_one: false, wait: Duration::ZERO };
const ONE_BY_ONE: StartRule = StartRule { one_by_one: true, wait: Duration::ZERO };

async fn a_process_that_does_not_end_in_order_is_known_at_the_next_start(s: &dyn Subject) {
    assert_eq!(s.store().begin_instance("w", "a").await.unwrap(), USUAL);
    s.store().end_instance("w", "a").await.unwrap();
    assert_eq!(s.store().begin_instance("w", "b").await.unwrap(), USUAL);
    for _ in 0..2 {
        assert_eq!(s.store().begin_instance("w", "c").await.unwrap(), ONE_BY_ONE, "also if it asks twice");
    }
    let again = s.store().begin_instance("w", "d").await.unwrap();
    assert_eq!(again, StartRule { one_by_one: true, wait: Duration::from_secs(1) });
    // The end of a process that another one has followed means nothing.
    s.store().end_instance("w", "c").await.unwrap();
    assert!(s.store().begin_instance("w", "e").await.unwrap().one_by_one);
}

async fn what_was_in_hand_at_an_unclean_end_is_suspected_until_it_is_set_apart(s: &dyn Subject) {
    s.store().begin_instance("w", "a").await.unwrap();
    for hash in [Some("x"), None, Some("y"), Some("z")] {
        s.store().set_in_hand("w", "a", hash).await.unwrap();
    }
    assert!(s.store().suspicions().await.unwrap().is_empty());
    s.store().begin_instance("w", "b").await.unwrap();
    assert_eq!(s.store().suspicions().await.unwrap(), ["z".to_owned()].into());
    s.store().begin_instance("w", "c").await.unwrap();
    assert_eq!(s.store().suspicions().await.unwrap(), ["z".to_owned()].into());
    s.store().drop_suspicion("z").await.unwrap();
    assert!(s.store().suspicions().await.unwrap().is_empty());
    s.store().set_in_hand("w", "c", Some("v")).await.unwrap();
    s.store().end_instance("w", "c").await.unwrap();
    s.store().begin_instance("w", "d").await.unwrap();
    assert!(s.store().suspicions().await.unwrap().is_empty(), "it ended in order");
    s.store().set_in_hand("w", "d", Some("v")).await.unwrap();
    s.store().begin_instance("w", "e").await.unwrap();
    s.set_time(START + 86_400_001).await;
    assert!(s.store().suspicions().await.unwrap().is_empty(), "it did not come again for a day");
}

async fn each_instance_has_its_own_ends(s: &dyn Subject) {
    s.store().begin_instance("w", "a").await.unwrap();
    assert_eq!(s.store().begin_instance("v", "b").await.unwrap(), USUAL);
    assert_eq!(s.store().begin_instance("w", "c").await.unwrap(), ONE_BY_ONE);
}
