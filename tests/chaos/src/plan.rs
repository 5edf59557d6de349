//! What happens in one run? A list of actions with their times, drawn from a seed.

use std::time::Duration;

use fastrand::Rng;

/// The names of the tenants, each with a Testmo account of its own.
pub(crate) const TENANTS: [&str; 3] = ["amber", "birch", "cedar"];

/// Something that is done to the worker or one of its neighbours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Publish a batch, perhaps one that was published before.
    Publish { tenant: &'static str, batch: usize, cases: usize },
    /// kill -9 and start again after a while.
    Kill { worker: usize, away: Duration },
    /// SIGTERM, wait for the end, start again.
    Restart { worker: usize },
    /// SIGSTOP, and SIGCONT after a while.
    Pause { worker: usize, away: Duration },
    /// The broker closes every connection.
    CloseConnections,
    /// kill -9 of the broker, and start it again.
    KillBroker,
    /// Every connection between the worker and a neighbour breaks.
    Cut { link: Link },
    /// Nothing passes between the worker and a neighbour for a while.
    Stall { link: Link, away: Duration },
    /// Testmo misbehaves some times.
    Misbehave { tenant: &'static str, how: Misbehaviour, times: u32 },
}

/// A connection that goes through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Broker,
    Testmo,
}

/// What Testmo does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    Error { status: u16, after_commit: bool },
    Throttle { seconds: u64 },
    Late { ms: u64, commit_late: bool },
    CutBefore,
    CutAfter,
    HalfAnswer,
    Garbage,
    DropLast,
}

/// The actions of one run with their times, in order.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) actions: Vec<(Duration, Action)>,
}

impl Plan {
    /// The plan of a seed for `workers` replicas; every fourth kills the broker.
    pub(crate) fn of(seed: u64, workers: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let length = rng.u64(8_000..20_000);
        let mut actions = Vec::new();
        let batches = rng.usize(20..60);
        for batch in 0..batches {
            let tenant = TENANTS[rng.usize(..TENANTS.len())];
            let cases = if rng.u8(..10) == 0 { rng.usize(100..300) } else { rng.usize(1..30) };
            let publish = Action::Publish { tenant, batch, cases };
            let at = rng.u64(..length);
            if rng.u8(..5) == 0 {
                actions.push((at + rng.u64(..4_000), publish.clone()));
            }
            actions.push((at, publish));
        }
        for _ in 0..rng.usize(3..14) {
            let at = rng.u64(500..length);
            actions.push((at, trouble(&mut rng, workers)));
        }
        if seed % 4 == 3 {
            // The queues were declared before the plan began, longer ago than a quorum queue needs.
            actions.push((rng.u64(length / 4..length), Action::KillBroker));
        }
        actions.sort_by_key(|(at, _)| *at);
        let timed = |(at, action)| (Duration::from_millis(at), action);
        Self { seed, actions: actions.into_iter().map(timed).collect() }
    }
}

fn trouble(rng: &mut Rng, workers: usize) -> Action {
    let worker = rng.usize(..workers);
    let link = if rng.bool() { Link::Broker } else { Link::Testmo };
    match rng.u8(..12) {
        0..=2 => Action::Kill { worker, away: ms(rng, 0..2_000) },
        3 => Action::Restart { worker },
        4 => Action::Pause { worker, away: ms(rng, 50..900) },
        5 => Action::CloseConnections,
        6 => Action::Cut { link },
        // Longer than a request may take would be a commit beyond the settle time.
        7 => Action::Stall { link, away: ms(rng, 100..900) },
        _ => {
            let tenant = TENANTS[rng.usize(..TENANTS.len())];
            Action::Misbehave { tenant, how: misbehaviour(rng), times: rng.u32(1..4) }
        }
    }
}

fn misbehaviour(rng: &mut Rng) -> Misbehaviour {
    match rng.u8(..9) {
        0 | 1 => Misbehaviour::Error { status: [500, 502, 503, 504][rng.usize(..4)], after_commit: rng.bool() },
        2 => Misbehaviour::Throttle { seconds: rng.u64(1..3) },
        3 | 4 => Misbehaviour::Late { ms: rng.u64(800..1_800), commit_late: rng.bool() },
        5 => Misbehaviour::CutBefore,
        6 => Misbehaviour::CutAfter,
        7 => Misbehaviour::HalfAnswer,
        _ => [Misbehaviour::Garbage, Misbehaviour::DropLast][rng.usize(..2)],
    }
}

fn ms(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}
