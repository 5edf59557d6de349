//! Draws generations, what people do with their cases, and what Testmo does wrong meanwhile.

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::batch::undo::UndoKind;

use super::{Edit, Event, Events, Generation, Generations};
use crate::draw::misbehaviour;
use crate::plan::{Call, Form};

/// Draws them with draws of their own, so that everything else of a plan stays as it is without them.
pub(crate) fn draw(seed: u64, form: Form, length: u64) -> (Generations, Events) {
    let mut rng = Rng::with_seed(seed.wrapping_mul(2).wrapping_add(u64::from(form.replicas > 1)) ^ 0x0067_e4e5);
    let (mut all, mut events) = (Vec::new(), Events::new());
    for source in 0..rng.usize(1..4) {
        let mut at = rng.u64(..length / 3);
        for generation in generations(&mut rng, source) {
            let copies = if rng.u8(..4) == 0 { 2 } else { 1 };
            for _ in 0..copies {
                events.push((ms(at + rng.u64(..200)), Event::Publish { at: all.len() }));
            }
            all.push(generation);
            at += if rng.bool() { rng.u64(..500) } else { rng.u64(500..length / 3) };
        }
    }
    for _ in 0..rng.usize(..if form.short { 6 } else { 20 }) {
        let edit = match rng.u8(..8) {
            0..=2 => Edit::Rename,
            3..=4 => Edit::Describe,
            5 => Edit::Move,
            _ => Edit::Delete,
        };
        events.push((ms(rng.u64(1_000..length)), Event::Edit { edit, pick: rng.usize(..1_000) }));
    }
    for _ in 0..rng.usize(..6) {
        let on = if rng.bool() { Call::Change } else { [Call::Create, Call::Reconcile][rng.usize(..2)] };
        let (how, times) = (misbehaviour(&mut rng), rng.u32(1..4));
        events.push((ms(rng.u64(..length)), Event::Misbehave { on, how, times }));
    }
    let taken_back_early = rng.u8(..3) == 0;
    if taken_back_early {
        for _ in 0..rng.usize(1..4) {
            let kind = if rng.u8(..4) == 0 { UndoKind::Restore } else { UndoKind::Undo };
            let event = Event::TakeBack { pick: rng.usize(..1_000), kind, deletes: rng.bool() };
            events.push((ms(rng.u64(length / 3..length)), event));
        }
    }
    let taken_back = (rng.u8(..3) == 0).then(|| rng.bool());
    (Generations { all, taken_back, taken_back_early }, events)
}

/// Draws the generations of a source: each with some changed, some new and without some cases.
fn generations(rng: &mut Rng, source: usize) -> Vec<Generation> {
    let mut cases: Vec<(u64, u64)> = (0..rng.u64(1..30)).map(|case| (case, 0)).collect();
    let (mut next, mut all) = (cases.len() as u64, Vec::new());
    for number in 0..rng.u64(2..5) {
        all.push(Generation { source, number, cases: cases.clone() });
        for (_, version) in &mut cases {
            *version = if rng.u8(..3) == 0 { number + 1 } else { *version };
        }
        if rng.bool() && cases.len() > 1 {
            cases.remove(rng.usize(..cases.len()));
        }
        if rng.bool() {
            cases.push((next, 0));
            next += 1;
        }
    }
    all
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}
