//! Holds the waiting entries of a tenant, and decides which of them go into the next request.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::bisect::Bisect;
use super::ticket::{QueueClass, Ticket, Work};
use crate::batch::fitting;

/// After this many turns of first tries, it is the turn of the entries that are tried again.
const TURNS_OF_FIRST: u32 = 9;
/// How long a search for the case at fault is kept while its batch waits elsewhere, such as on the shelf.
const SEARCH_KEPT: Duration = Duration::from_secs(3_600);

/// The waiting entries of a tenant in one account.
#[derive(Debug)]
pub(super) struct Queue<E> {
    first: VecDeque<Waiting<E>>,
    again: VecDeque<Waiting<E>>,
    turns_of_first: u32,
    /// How many turns the tenant has used in advance, by work that took several requests.
    pub(super) owed: u32,
    /// Packs under way.
    pub(super) in_flight: usize,
    pub(super) bisect: Bisect,
    /// When a request was last refused as a whole.
    refused_at: Option<Instant>,
    /// Cases that wait.
    cases: usize,
}

#[derive(Debug)]
pub(super) struct Waiting<E> {
    pub(super) ticket: Ticket,
    pub(super) entry: E,
}

/// What a queue does at its turn.
#[derive(Debug)]
pub(super) enum Pick<E> {
    /// Starts these entries, each with how many of its cases are sent; 0 for an entry that is worked on alone.
    Go(Vec<(Waiting<E>, usize)>),
    /// Waits for more entries to share the request while others are under way; until this time, if it depends on time.
    Wait(Option<Instant>),
    /// The queue is empty.
    Nothing,
}

impl<E> Queue<E> {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            first: VecDeque::new(),
            again: VecDeque::new(),
            turns_of_first: 0,
            owed: 0,
            in_flight: 0,
            bisect: Bisect::new(limits.max_cases),
            refused_at: None,
            cases: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.again.is_empty()
    }

    /// Returns whether entries wait or are under way.
    pub(super) fn has_work(&self) -> bool {
        !self.is_empty() || self.in_flight > 0
    }

    /// Returns whether forgetting the queue loses nothing. A search for a case at fault would start over, although its
    /// batch only waits elsewhere.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let searching = self.bisect.is_on() && self.refused_at.is_some_and(|at| now < at + SEARCH_KEPT);
        !self.has_work() && !searching
    }

    /// Records that a request of `sent` cases was refused as a whole.
    pub(super) fn refused(&mut self, sent: usize, counts: bool, now: Instant) {
        self.bisect.refused(sent, counts);
        self.refused_at = Some(now);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.again.len()
    }

    /// Returns how many cases wait.
    pub(super) fn cases(&self) -> usize {
        self.cases
    }

    pub(super) fn push_back(&mut self, waiting: Waiting<E>) {
        self.cases += waiting.cases();
        match waiting.ticket.class {
            QueueClass::Again => self.again.push_back(waiting),
            QueueClass::First => {
                let arrived_at = waiting.ticket.arrived_at;
                let behind = self.first.iter().rposition(|other| other.ticket.arrived_at <= arrived_at);
                self.first.insert(behind.map_or(0, |at| at + 1), waiting);
            }
        }
    }

    pub(super) fn push_front(&mut self, waiting: Waiting<E>) {
        self.cases += waiting.cases();
        self.of(waiting.ticket.class).push_front(waiting);
    }

    fn of(&mut self, class: QueueClass) -> &mut VecDeque<Waiting<E>> {
        match class {
            QueueClass::First => &mut self.first,
            QueueClass::Again => &mut self.again,
        }
    }

    /// Returns the entries that go next, if any start at `now`. While another request of the tenant is under way,
    /// entries wait at most `patience` for others to share their request.
    pub(super) fn pick(&mut self, limits: &Limits, now: Instant, patience: Duration) -> Pick<E> {
        if self.bisect.is_on() && self.in_flight > 0 {
            return Pick::Wait(None);
        }
        let again = !self.again.is_empty() && (self.first.is_empty() || self.turns_of_first >= TURNS_OF_FIRST);
        let (lead, other) =
            if again { (QueueClass::Again, QueueClass::First) } else { (QueueClass::First, QueueClass::Again) };
        let most = self.bisect.limit();
        let Some(leader) = self.of(lead).front() else { return Pick::Nothing };
        let own = match (&leader.ticket.work, leader.ticket.apart) {
            (Work::Alone, _) => Some(0),
            (Work::Cases(sizes), Some(apart)) => Some(fitting(sizes, apart.min(most), limits.max_bytes, true)),
            (Work::Cases(_), None) => None,
        };
        if let Some(count) = own {
            self.count_turn(lead);
            let alone = self.of(lead).pop_front();
            self.cases -= alone.as_ref().map_or(0, Waiting::cases);
            return Pick::Go(alone.into_iter().map(|waiting| (waiting, count)).collect());
        }
        let (version, since) = (leader.ticket.version.clone(), leader.ticket.since);
        let mut load = Load::new(limits, most);
        let chosen: Vec<Vec<usize>> = [lead, other].map(|class| load.choose(self.of(class), &version)).into();
        let due = since + patience;
        if limits.pack && self.in_flight > 0 && !load.is_full && due > now {
            return Pick::Wait(Some(due));
        }
        self.count_turn(lead);
        let mut parts = Vec::new();
        for (class, takes) in [lead, other].into_iter().zip(chosen) {
            self.take(class, &takes, &mut parts);
        }
        Pick::Go(parts)
    }

    fn count_turn(&mut self, class: QueueClass) {
        match class {
            QueueClass::First if self.again.is_empty() => self.turns_of_first = 0,
            QueueClass::First => self.turns_of_first += 1,
            QueueClass::Again => self.turns_of_first = 0,
        }
    }

    /// Removes the entries from which cases are sent; the numbers in `takes` belong to the first entries of the queue.
    fn take(&mut self, class: QueueClass, takes: &[usize], parts: &mut Vec<(Waiting<E>, usize)>) {
        let queue = self.of(class);
        let mut passed = Vec::new();
        let mut cases = 0;
        for &count in takes {
            let Some(waiting) = queue.pop_front() else { break };
            if count > 0 {
                cases += waiting.cases();
                parts.push((waiting, count));
            } else {
                passed.push(waiting);
            }
        }
        for waiting in passed.into_iter().rev() {
            queue.push_front(waiting);
        }
        self.cases -= cases;
    }

    /// Removes the entries that `unwanted` selects; `unwanted` is called in the order of the queue.
    pub(super) fn take_out(&mut self, mut unwanted: impl FnMut(&Waiting<E>) -> bool) -> Vec<Waiting<E>> {
        let mut out = Vec::new();
        for class in [QueueClass::First, QueueClass::Again] {
            let queue = self.of(class);
            if queue.is_empty() {
                continue;
            }
            let (take, keep): (VecDeque<_>, VecDeque<_>) = std::mem::take(queue).into_iter().partition(&mut unwanted);
            *queue = keep;
            out.extend(take);
        }
        self.cases -= out.iter().map(Waiting::cases).sum::<usize>();
        out
    }
}

impl<E> Waiting<E> {
    pub(super) fn cases(&self) -> usize {
        match &self.ticket.work {
            Work::Alone => 1,
            Work::Cases(sizes) => sizes.len(),
        }
    }
}

/// A request that is being filled.
struct Load<'a> {
    limits: &'a Limits,
    most_cases: usize,
    cases: usize,
    bytes: usize,
    /// Whether nothing more fits.
    is_full: bool,
}

impl<'a> Load<'a> {
    fn new(limits: &'a Limits, most_cases: usize) -> Self {
        Self { limits, most_cases, cases: 0, bytes: 0, is_full: false }
    }

    /// Returns how many cases of each of the first entries of a queue go into the request. An entry that goes only in
    /// part is the last one, so that order is kept.
    fn choose<E>(&mut self, queue: &VecDeque<Waiting<E>>, version: &str) -> Vec<usize> {
        let mut takes = Vec::new();
        for waiting in queue {
            if self.is_full {
                break;
            }
            takes.push(match &waiting.ticket.work {
                Work::Cases(sizes) if &*waiting.ticket.version == version && waiting.ticket.apart.is_none() => {
                    self.add(sizes)
                }
                Work::Cases(_) | Work::Alone => 0,
            });
        }
        takes
    }

    fn add(&mut self, sizes: &[usize]) -> usize {
        let left = self.most_cases - self.cases;
        let count = fitting(sizes, left, self.limits.max_bytes.saturating_sub(self.bytes), self.cases == 0);
        self.cases += count;
        self.bytes += sizes[..count].iter().sum::<usize>();
        self.is_full |= count < sizes.len() || self.cases >= self.most_cases || !self.limits.pack;
        count
    }
}
