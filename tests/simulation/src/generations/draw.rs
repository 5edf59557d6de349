//! Draws the generations of some sources, and what people do with their cases.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::generation::Dropped;
use testmo_courier::batch::undo::UndoKind;
use testmo_sim::model::HistoryForm;

use super::edits::Edit;
use crate::mutation::Mutation;
use crate::plan::{ACCOUNTS, Kind, Plan, millis, ms};

/// The forms of histories, mostly those that are understood.
const FORMS: [HistoryForm; 9] = [
    HistoryForm::Fields,
    HistoryForm::Fields,
    HistoryForm::Requests,
    HistoryForm::Requests,
    HistoryForm::Joined,
    HistoryForm::Joined,
    HistoryForm::Prose,
    HistoryForm::Empty,
    HistoryForm::Absent,
];

/// The sources and their generations, in the usual weather.
#[derive(Clone, Debug)]
pub(super) struct GenerationPlan {
    pub(super) plan: Plan,
    pub(super) generations: Vec<Generation>,
    /// What people do, with its time, account, and the case by a number that may be too large.
    pub(super) edits: Vec<(Duration, &'static str, Edit, usize)>,
    /// What else happens, with its time.
    pub(super) turns: Vec<(Duration, Turn)>,
    /// Whether each batch is taken back when all is quiet, and whether its cases are deleted then.
    pub(super) taken_back: Option<bool>,
    /// How each account shows the histories of cases.
    pub(super) histories: [HistoryForm; ACCOUNTS.len()],
}

/// Something that changes what generations find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A tenant is connected to another account.
    Moves { tenant: usize, account: &'static str },
    /// An account has lost its cases, and its ids start again; somebody else's cases have them next.
    StartsAgain { account: &'static str },
    /// A person takes a batch back, or takes that back; the process may end after so many calls and answers.
    TakesBack { which: usize, kind: UndoKind, deletes: bool, crossings: Option<u32> },
}

/// One batch of a source.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) source: usize,
    /// Later generations have higher numbers.
    pub(super) number: u64,
    /// The numbers of its cases, each with the version of its name.
    pub(super) cases: Vec<(u64, u64)>,
    pub(super) at: Vec<Duration>,
    /// The number of the generation that it names as the one that it replaces; it has no source key then.
    pub(super) replaces: Option<u64>,
    /// Whether its source has no key.
    pub(super) has_no_key: bool,
}

impl GenerationPlan {
    /// Draws the plan of a seed.
    pub(super) fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut plan = Plan::of(seed, mutation);
        let mut rng = Rng::with_seed(seed ^ 0x0067_e4e5);
        plan.kind = Kind::Usual;
        (plan.batches, plan.broken) = (Vec::new(), Vec::new());
        plan.actions.retain(|(_, action)| action.is_of_neighbours());
        plan.rates.too_late = 0;
        let span = millis(plan.healed);
        for tenant in &mut plan.tenants {
            tenant.dropped = [Dropped::Leave, Dropped::Retire, Dropped::Delete][rng.usize(..3)];
        }
        let mut generations: Vec<Generation> =
            (0..rng.usize(1..4)).flat_map(|source| generations(&mut rng, source, span)).collect();
        let edits = (0..rng.usize(..16)).map(|_| {
            let at = ms(&mut rng, 2_000..span + 20_000);
            let edit = match rng.u8(..8) {
                0..=2 => Edit::Rename,
                3..=4 => Edit::Describe,
                5 => Edit::Move,
                _ => Edit::Delete,
            };
            (at, ACCOUNTS[rng.usize(..2)], edit, rng.usize(..40))
        });
        let mut edits: Vec<_> = edits.collect();
        edits.sort_by_key(|(at, ..)| *at);
        let mut rng = Rng::with_seed(seed ^ 0x0071_e2b5);
        replace_by_name(&mut rng, &mut generations);
        let (turns, taken_back) = turns(&mut rng, &mut plan);
        let mut rng = Rng::with_seed(seed ^ 0x0068_1573);
        let histories = ACCOUNTS.map(|_| FORMS[rng.usize(..FORMS.len())]);
        Self { plan, generations, edits, turns, taken_back, histories }
    }

    /// Returns whether the ids of an account start again at some time.
    pub(super) fn starts_again(&self, of: &str) -> bool {
        self.turns.iter().any(|(_, turn)| matches!(turn, Turn::StartsAgain { account } if *account == of))
    }

    /// Returns whether tenants are connected to other accounts.
    pub(super) fn moves(&self) -> bool {
        self.turns.iter().any(|(_, turn)| matches!(turn, Turn::Moves { .. }))
    }

    /// Returns whether the histories of an account say what was changed, in a known form.
    pub(super) fn has_known_history(&self, of: &str) -> bool {
        let form = ACCOUNTS.iter().zip(self.histories).find(|(account, _)| **account == of).map(|(_, form)| form);
        match form {
            Some(HistoryForm::Fields | HistoryForm::Requests | HistoryForm::Joined) => true,
            Some(HistoryForm::Prose | HistoryForm::Empty | HistoryForm::Absent) | None => false,
        }
    }

    /// Returns whether a tenant is connected to another account and then to the former one again.
    pub(super) fn comes_back(&self, of: usize) -> bool {
        self.turns.iter().filter(|(_, turn)| matches!(turn, Turn::Moves { tenant, .. } if *tenant == of)).count() > 1
    }

    /// Returns whether a person takes batches back before all is quiet.
    pub(super) fn is_taken_back_early(&self) -> bool {
        self.turns.iter().any(|(_, turn)| matches!(turn, Turn::TakesBack { .. }))
    }

    /// Returns the tenant of a source, by its number.
    pub(super) fn tenant_of(&self, source: usize) -> usize {
        source % self.plan.tenants.len()
    }

    /// Returns the key of the batch of a generation.
    pub(super) fn key_of(&self, generation: &Generation) -> BatchKey {
        self.key_of_number(generation.source, generation.number)
    }

    /// Returns the key of the batch of a generation of a source with a number.
    pub(super) fn key_of_number(&self, source: usize, number: u64) -> BatchKey {
        let tenant = &self.plan.tenants[self.tenant_of(source)].name;
        format!("{tenant}/{}", batch_id(source, number)).parse().expect("a key")
    }

    /// Returns the message of a generation.
    pub(super) fn body(&self, generation: &Generation) -> Vec<u8> {
        let Generation { source, number, .. } = generation;
        let case = |(case, version): &(u64, u64)| {
            json!({"name": name(*source, *case, *version), "external_id": format!("e{case}"),
                   "description": format!("what case {case} checks")})
        };
        let cases: Vec<Value> = generation.cases.iter().map(case).collect();
        let mut batch = json!({"schema_version": 1, "batch_id": batch_id(*source, *number), "on_repeat": "update",
            "tenant_id": self.plan.tenants[self.tenant_of(*source)].name, "cases": cases,
            "generated_at": format!("2026-11-23T09:{:02}:00Z", 10 + number)});
        if !generation.has_no_key {
            batch["source"] = json!({"key": format!("s{source}")});
        }
        if let Some(replaced) = generation.replaces {
            batch["replaces"] = batch_id(*source, replaced).into();
        }
        batch.to_string().into_bytes()
    }
}

/// Returns what the names of a case begin with, whatever becomes of it.
pub(super) fn prefix(source: usize, case: u64) -> String {
    format!("s{source} c{case} ")
}

/// Returns the name of a version of a case.
pub(super) fn name(source: usize, case: u64, version: u64) -> String {
    format!("{}v{version}", prefix(source, case))
}

fn batch_id(source: usize, number: u64) -> String {
    format!("g{source}-{number}")
}

/// Draws the generations of a source: mostly one after the other, each with some changed, some new and without some cases.
fn generations(rng: &mut Rng, source: usize, span: u64) -> Vec<Generation> {
    let mut cases: Vec<(u64, u64)> = (0..rng.u64(1..9)).map(|case| (case, 0)).collect();
    let (mut next, mut at, mut all) = (cases.len() as u64, ms(rng, 0..span / 3), Vec::new());
    for number in 0..rng.u64(2..6) {
        let mut times = vec![at];
        if rng.u8(..4) == 0 {
            times.push(at + ms(rng, 0..5_000));
        }
        let cases_now = cases.clone();
        all.push(Generation { source, number, cases: cases_now, at: times, replaces: None, has_no_key: false });
        for (_, version) in &mut cases {
            *version = if rng.u8(..3) == 0 { number + 1 } else { *version };
        }
        if rng.u8(..3) == 0 && cases.len() > 1 {
            cases.remove(rng.usize(..cases.len()));
        }
        if rng.u8(..3) == 0 {
            cases.push((next, 0));
            next += 1;
        }
        // Sometimes close behind, or even before.
        at = match rng.u8(..6) {
            0 => at.saturating_sub(ms(rng, 0..2_000)),
            1..=2 => at + ms(rng, 0..500),
            _ => at + ms(rng, 1_000..span / 2),
        };
    }
    all
}

/// Has the generations of some sources name the one that they replace, in place of a key of their source. Each is published
/// when the one before is settled.
fn replace_by_name(rng: &mut Rng, generations: &mut [Generation]) {
    let sources: Vec<usize> = (0..3).filter(|_| rng.u8(..4) == 0).collect();
    for generation in generations.iter_mut().filter(|generation| sources.contains(&generation.source)) {
        generation.has_no_key = true;
        generation.replaces = generation.number.checked_sub(1);
    }
}

/// Draws what else happens: tenants that move, accounts whose ids start again, and batches that are taken back.
fn turns(rng: &mut Rng, plan: &mut Plan) -> (Vec<(Duration, Turn)>, Option<bool>) {
    let (span, mut turns) = (millis(plan.healed), Vec::new());
    match rng.u8(..10) {
        0..=1 => {
            plan.roams = true;
            for tenant in 0..plan.tenants.len() {
                for _ in 0..rng.usize(..3) {
                    turns.push((
                        ms(rng, 1_000..span + 10_000),
                        Turn::Moves { tenant, account: ACCOUNTS[rng.usize(..2)] },
                    ));
                }
            }
        }
        2 => turns.push((ms(rng, 1_000..span + 10_000), Turn::StartsAgain { account: ACCOUNTS[rng.usize(..2)] })),
        3..=6 => {
            for _ in 0..rng.usize(1..5) {
                let kind = match rng.u8(..8) {
                    0 => UndoKind::Duplicates,
                    1..=2 => UndoKind::Restore,
                    _ => UndoKind::Undo,
                };
                let crossings = (rng.u8(..3) == 0).then(|| rng.u32(..60));
                let turn = Turn::TakesBack { which: rng.usize(..20), kind, deletes: rng.bool(), crossings };
                turns.push((ms(rng, 5_000..span + 20_000), turn));
            }
        }
        _ => {}
    }
    turns.sort_by_key(|(at, _)| *at);
    let is_settled = turns.iter().all(|(_, turn)| matches!(turn, Turn::TakesBack { .. }));
    let taken_back = (is_settled && rng.bool()).then(|| rng.bool());
    (turns, taken_back)
}
