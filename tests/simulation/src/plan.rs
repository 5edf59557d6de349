//! Draws from the seed everything about a run that is decided beforehand.

pub(crate) mod flood;

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::batch::generation::Dropped;
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};

use crate::batches::{BatchPlan, batches};
use crate::mutation::Mutation;
use crate::people::{self, Act};
use crate::weather::Rates;

/// The Testmo accounts of a run.
pub(crate) const ACCOUNTS: [&str; 2] = ["north", "south"];

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) replicas: usize,
    pub(crate) tenants: Vec<TenantPlan>,
    pub(crate) batches: Vec<BatchPlan>,
    /// Messages that are not batches, with their times.
    pub(crate) broken: Vec<(Duration, String)>,
    pub(crate) actions: Vec<(Duration, Action)>,
    pub(crate) rates: Rates,
    pub(crate) limits: Limits,
    /// Whether tenants have users in both accounts.
    pub(crate) roams: bool,
    /// When all faults end.
    pub(crate) healed: Duration,
}

/// What is special about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Testmo keeps to the settle time.
    Usual,
    /// One message stops every worker that reads it.
    Poison,
    /// Testmo also commits later than the settle time.
    Late,
    /// Many small batches arrive at once, so that requests carry cases of several batches.
    Many,
    /// Batches of a tenant in trouble arrive before those of a healthy one.
    Flood,
    /// Nothing fails and nobody acts but one person, who replays what is on the shelf.
    Quiet,
}

/// A tenant and its connection.
#[derive(Clone, Debug)]
pub(crate) struct TenantPlan {
    pub(crate) name: String,
    pub(crate) account: &'static str,
    pub(crate) folder: u64,
    /// Whether its cases carry their batch tag.
    pub(crate) batch_tag: bool,
    /// Whether the tenant is connected from the beginning, or only when all faults end.
    pub(crate) connected: bool,
    /// What is done with cases that a later generation does not have.
    pub(crate) dropped: Dropped,
}

/// Settings of the workers that differ from run to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_cases: usize,
    pub(crate) concurrency: usize,
    pub(crate) account_limit: u32,
    pub(crate) pack: bool,
    pub(crate) prefetch: u16,
    pub(crate) tries: u32,
    pub(crate) longest_wait: Duration,
}

/// Something that is done to the workers or to their neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process is killed at once.
    Kill { replica: usize },
    /// The process is killed after the given number of further calls and answers.
    KillAfter { replica: usize, crossings: u32 },
    /// The process is asked to stop, and starts again.
    Restart { replica: usize },
    /// The process is frozen for a time.
    Freeze { replica: usize, time: Duration },
    /// The broker ends every connection of a worker.
    Cut { replica: usize },
    /// The broker becomes reachable, or unreachable.
    Broker { up: bool },
    /// The store becomes available, or unavailable.
    Store { up: bool },
    /// The store answers claims and changes this much later than they take effect.
    Lag { time: Duration },
    /// An account answers each request with a status, or honestly (`None`).
    Answer { account: &'static str, status: Option<u16> },
    /// An account becomes reachable, or unreachable.
    Reach { account: &'static str, reachable: bool },
    /// An account answers no request, or answers again.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests of single plans order this"))]
    Hang { account: &'static str, hangs: bool },
    /// A message of a tenant, if that is known, is put on the shelf for a reason, and is due.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests of single plans order this"))]
    Shelve { tenant: Option<TenantId>, reason: Reason, body: Vec<u8> },
    /// Testmo no longer accepts a tenant's key.
    Revoke { tenant: usize },
    /// The tenant enters a new key.
    Renew { tenant: usize },
    /// A person pauses or limits a lane, or cancels this.
    Order(LaneOverride),
    /// A person does something with replays, or with entries of the shelf.
    Person { person: u64, act: Act },
    /// The store's clock is set forward or back by milliseconds, within what the worker assumes about clocks.
    Jump { ms: i64 },
}

impl Action {
    /// Returns whether it is done to workers or their neighbours, not to what waits on the shelf.
    pub(crate) fn is_of_neighbours(&self) -> bool {
        !matches!(self, Self::Person { .. } | Self::Shelve { .. })
    }
}

impl Plan {
    /// Draws the plan of a seed.
    pub(crate) fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let kind = match rng.u8(..20) {
            0 => Kind::Poison,
            1 => Kind::Late,
            2..=5 => Kind::Many,
            6 => Kind::Flood,
            _ => Kind::Usual,
        };
        let healed = Duration::from_millis(rng.u64(15_000..60_000));
        let tenants: Vec<TenantPlan> = (0..rng.usize(1..4)).map(|n| tenant(&mut rng, n)).collect();
        let batches = batches(&mut rng, &tenants, healed, kind == Kind::Many);
        let replicas = rng.usize(1..4);
        let broken = match rng.u8(..6) {
            0 => vec![(ms(&mut rng, 0..10_000), format!("no batch {seed}"))],
            _ => Vec::new(),
        };
        let mut plan = Self {
            seed,
            kind,
            mutation,
            replicas,
            tenants,
            batches,
            broken,
            actions: Vec::new(),
            rates: rates(&mut rng, kind),
            limits: limits(&mut rng, kind),
            roams: false,
            healed,
        };
        if kind == Kind::Flood {
            flood::flood(&mut plan, &mut rng);
        } else {
            plan.draw_actions(&mut rng);
            if plan.kind != Kind::Poison {
                let acts = people::draw(seed, plan.healed, plan.tenants.len());
                if !acts.is_empty() {
                    plan.actions.extend(acts);
                    people::lead_astray(&mut plan);
                }
            }
        }
        plan.actions.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_actions(&mut self, rng: &mut Rng) {
        // A message becomes a suspect if it was in hand when workers stopped three times, and dead after three more
        // times.
        let mut kills = if self.kind == Kind::Poison { 0 } else { rng.u32(..3) };
        // Freezes and clock jumps use up the same margin.
        let freezes = rng.bool();
        for _ in 0..rng.usize(1..9) {
            let at = ms(rng, 100..millis(self.healed) * 3 / 4);
            let replica = rng.usize(..self.replicas);
            match rng.u8(..21) {
                0..=1 if kills > 0 => {
                    kills -= 1;
                    self.actions.push((at, Action::Kill { replica }));
                }
                2..=5 if kills > 0 => {
                    kills -= 1;
                    self.actions.push((at, Action::KillAfter { replica, crossings: rng.u32(..40) }));
                }
                6 => self.actions.push((at, Action::Restart { replica })),
                7 | 8 if freezes => {
                    let time = ms(rng, 50..6_000);
                    self.actions.push((at, Action::Freeze { replica, time }));
                }
                9 => self.actions.push((at, Action::Cut { replica })),
                10 => self.for_a_while(rng, at, Action::Broker { up: false }, Action::Broker { up: true }),
                11 => self.for_a_while(rng, at, Action::Store { up: false }, Action::Store { up: true }),
                12 => {
                    let account = ACCOUNTS[rng.usize(..2)];
                    let status = Some([403, 404, 408, 503][rng.usize(..4)]);
                    let honest = Action::Answer { account, status: None };
                    self.for_a_while(rng, at, Action::Answer { account, status }, honest);
                }
                13 => {
                    let account = ACCOUNTS[rng.usize(..2)];
                    let reach = |reachable| Action::Reach { account, reachable };
                    self.for_a_while(rng, at, reach(false), reach(true));
                }
                14 => {
                    let tenant = rng.usize(..self.tenants.len());
                    self.for_a_while(rng, at, Action::Revoke { tenant }, Action::Renew { tenant });
                }
                15..=17 => {
                    let time = ms(rng, 100..5_000);
                    self.for_a_while(rng, at, Action::Lag { time }, Action::Lag { time: Duration::ZERO });
                }
                18 | 19 => {
                    let lane = match rng.bool() {
                        true => LaneSelector::Tenant(self.tenants[rng.usize(..self.tenants.len())].id()),
                        false => LaneSelector::Account(origin_of(ACCOUNTS[rng.usize(..2)])),
                    };
                    let paused = rng.bool();
                    let most = if paused { None } else { Some(1) };
                    let free = LaneOverride { lane: lane.clone(), paused: false, most: None };
                    self.for_a_while(rng, at, Action::Order(LaneOverride { lane, paused, most }), Action::Order(free));
                }
                // Where Testmo may exceed the settle time, a jump must not make the late-duplicate check come early as
                // well.
                _ if !freezes && self.kind != Kind::Late => {
                    let ms = if rng.bool() { rng.i64(0..60_000) } else { -rng.i64(0..60_000) };
                    self.actions.push((at, Action::Jump { ms }));
                }
                _ => {}
            }
        }
    }

    fn for_a_while(&mut self, rng: &mut Rng, at: Duration, begin: Action, end: Action) {
        let until = at + ms(rng, 200..12_000);
        self.actions.extend([(at, begin), (until, end)]);
    }
}

impl TenantPlan {
    /// Returns the tenant's id.
    pub(crate) fn id(&self) -> TenantId {
        self.name.parse().expect("a tenant")
    }
}

/// Returns the origin of an account, as workers know it.
pub(crate) fn origin_of(account: &str) -> String {
    format!("https://{account}.testmo.net")
}

fn tenant(rng: &mut Rng, number: usize) -> TenantPlan {
    TenantPlan {
        name: format!("t{number}"),
        account: ACCOUNTS[usize::from(rng.u8(..10) < 3)],
        folder: rng.u64(1..3),
        batch_tag: rng.u8(..3) > 0,
        connected: rng.u8(..10) > 0,
        dropped: Dropped::Leave,
    }
}

fn rates(rng: &mut Rng, kind: Kind) -> Rates {
    let mut upto = |most: u8| if rng.bool() { rng.u8(..=most) } else { 0 };
    Rates {
        store: upto(8),
        create: upto(60),
        read: upto(30),
        confirm: upto(30),
        ack: upto(5),
        slow: upto(60),
        too_late: if kind == Kind::Late { 50 } else { 0 },
        ..Rates::default()
    }
}

fn limits(rng: &mut Rng, kind: Kind) -> Limits {
    let most = if kind == Kind::Many { 3..16 } else { 1..7 };
    Limits {
        max_cases: rng.usize(most),
        concurrency: rng.usize(1..4),
        account_limit: rng.u32(1..6),
        pack: rng.u8(..5) > 0,
        prefetch: if kind == Kind::Many { rng.u16(5..30) } else { rng.u16(1..12) },
        tries: rng.u32(1..5),
        longest_wait: ms(rng, 5_000..60_000),
    }
}

pub(crate) fn ms(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
