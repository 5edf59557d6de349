//! Checks how the trend adds up what workers counted, and for how long it keeps it.

use testmo_courier::store::trend::{Addition, Counts, TrendStep, Width};

use crate::Subject;
use crate::values::START;

cases! {
    ($) trend_cases in trend:
    what_several_workers_count_in_a_step_is_added_up,
    an_addition_that_is_sent_again_is_added_once,
    a_step_is_kept_for_as_long_as_its_width_says,
}

fn counts(delivered: u64, failed: u64, waiting: u64) -> Counts {
    Counts { delivered, failed, waiting }
}

fn addition(source: &str, number: u64, at: i64, counts: Counts) -> Addition {
    Addition { source: source.into(), number, at, counts }
}

async fn what_several_workers_count_in_a_step_is_added_up(s: &dyn Subject) {
    let (other, fine, coarse) = (s.another_worker().await, Width::Fine, Width::Coarse);
    let hour = coarse.begin_of(START);
    let last = hour + coarse.ms() - 1;
    s.store().add_to_trend(&addition("w1", 1, hour, counts(5, 0, 7))).await.unwrap();
    other.add_to_trend(&addition("w2", 1, hour + 1, counts(3, 1, 9))).await.unwrap();
    s.store().add_to_trend(&addition("w1", 2, last, counts(1, 0, 2))).await.unwrap();
    other.add_to_trend(&addition("w2", 2, last + 1, counts(0, 0, 0))).await.unwrap();
    let step = |began_at, counts| TrendStep { began_at, counts };
    let fine_steps =
        [step(hour, counts(8, 1, 9)), step(last + 1 - fine.ms(), counts(1, 0, 2)), step(last + 1, Counts::default())];
    assert_eq!(s.store().trend(fine, hour).await.unwrap(), fine_steps);
    assert_eq!(other.trend(fine, hour + 1).await.unwrap(), fine_steps[1..]);
    let coarse_steps = [step(hour, counts(9, 1, 9)), step(last + 1, Counts::default())];
    assert_eq!(s.store().trend(coarse, hour).await.unwrap(), coarse_steps);
    assert!(s.store().trend(coarse, last + 2).await.unwrap().is_empty());
}

async fn an_addition_that_is_sent_again_is_added_once(s: &dyn Subject) {
    let hour = Width::Coarse.begin_of(START);
    let (first, second) = (addition("w1", 1, hour, counts(5, 1, 7)), addition("w1", 2, hour + 1, counts(2, 0, 3)));
    for sent in [&first, &first, &second, &first, &second] {
        s.store().add_to_trend(sent).await.unwrap();
    }
    s.store().add_to_trend(&Addition { source: "w2".into(), ..first.clone() }).await.unwrap();
    let added = TrendStep { began_at: hour, counts: counts(12, 2, 7) };
    for width in Width::ALL {
        assert_eq!(s.store().trend(width, hour).await.unwrap(), [added]);
    }
    // A worker that has added nothing for as long as steps are kept has ended.
    s.set_time(START + Width::Coarse.kept_ms() + 1).await;
    s.store().forget_trend().await.unwrap();
    s.store().add_to_trend(&first).await.unwrap();
    assert_eq!(s.store().trend(Width::Coarse, hour).await.unwrap().len(), 1);
}

async fn a_step_is_kept_for_as_long_as_its_width_says(s: &dyn Subject) {
    let hour = Width::Coarse.begin_of(START);
    s.store().add_to_trend(&addition("w1", 1, hour, counts(1, 0, 0))).await.unwrap();
    for (later, fine, coarse) in [
        (Width::Fine.kept_ms(), 1, 1),
        (Width::Fine.kept_ms() + 1, 0, 1),
        (Width::Coarse.kept_ms(), 0, 1),
        (Width::Coarse.kept_ms() + 1, 0, 0),
    ] {
        s.set_time(hour + later).await;
        s.store().forget_trend().await.unwrap();
        let kept = [s.store().trend(Width::Fine, 0).await.unwrap(), s.store().trend(Width::Coarse, 0).await.unwrap()];
        assert_eq!(kept.map(|steps| steps.len()), [fine, coarse], "{later} ms later");
    }
    assert_eq!(s.store().forget_trend().await.unwrap(), 0);
}
