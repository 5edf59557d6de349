//! Checks how the trend adds up what workers counted, and for how long it keeps it.

use testmo_courier::store::trend::{Counts, TrendStep, Width};

use crate::Subject;
use crate::values::START;

cases! {
    ($) trend_cases in trend:
    what_several_workers_count_in_a_step_is_added_up,
    a_step_is_kept_for_as_long_as_its_width_says,
}

fn counts(delivered: u64, failed: u64, waiting: u64) -> Counts {
    Counts { delivered, failed, waiting }
}

async fn what_several_workers_count_in_a_step_is_added_up(s: &dyn Subject) {
    let (other, fine, coarse) = (s.another_worker().await, Width::Fine, Width::Coarse);
    let hour = coarse.begin_of(START);
    let last = hour + coarse.ms() - 1;
    s.store().add_to_trend(hour, counts(5, 0, 7)).await.unwrap();
    other.add_to_trend(hour + 1, counts(3, 1, 9)).await.unwrap();
    s.store().add_to_trend(last, counts(1, 0, 2)).await.unwrap();
    other.add_to_trend(last + 1, counts(0, 0, 0)).await.unwrap();
    let step = |began_at, counts| TrendStep { began_at, counts };
    let fine_steps =
        [step(hour, counts(8, 1, 9)), step(last + 1 - fine.ms(), counts(1, 0, 2)), step(last + 1, Counts::default())];
    assert_eq!(s.store().trend(fine, hour).await.unwrap(), fine_steps);
    assert_eq!(other.trend(fine, hour + 1).await.unwrap(), fine_steps[1..]);
    let coarse_steps = [step(hour, counts(9, 1, 9)), step(last + 1, Counts::default())];
    assert_eq!(s.store().trend(coarse, hour).await.unwrap(), coarse_steps);
    assert!(s.store().trend(coarse, last + 2).await.unwrap().is_empty());
}

async fn a_step_is_kept_for_as_long_as_its_width_says(s: &dyn Subject) {
    let hour = Width::Coarse.begin_of(START);
    s.store().add_to_trend(hour, counts(1, 0, 0)).await.unwrap();
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
