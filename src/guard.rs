//! Keeps a panic inside the unit of work in which it happened, and names the tasks that a worker runs.
//!
//! A unit is one item of a task's work: a message, a row, a batch of requests, an event. Its panic fails that unit and
//! nothing else. A panic outside a unit ends the loop of its task, and with it the worker (`worker/supervisor.rs`).

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;

#[cfg(not(panic = "unwind"))]
compile_error!("panics have to unwind: with `panic = \"abort\"` each of them would end the worker at once");

/// A task of the worker: a loop that runs until the worker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Takes batches from their queue.
    Intake,
    /// Empties the queue of dead letters onto the shelf.
    DeadQueue,
    /// Empties the queue of unroutable messages onto the shelf.
    UnroutedQueue,
    /// Takes due batches off the shelf.
    Shelf,
    /// Queues batches in lanes and works on them.
    Dispatcher,
    /// Verifies failed connections again.
    Recheck,
    /// Checks for cases that appeared late.
    LateDuplicates,
    /// Checks for edits by people that were overwritten.
    OverwrittenEdits,
    /// Reports API keys that expire.
    Expiry,
    /// Carries out replays.
    Replay,
    /// Prunes rows that are older than the retention.
    Prune,
    /// Makes batches searchable.
    Search,
    /// Publishes the events of the outbox.
    OutboxRelay,
    /// Checks broker and store, and sets the gauges.
    Health,
    /// Writes to the store.
    Store,
    /// Keeps a connection to the broker that consumes.
    Consumer,
    /// Keeps the connection to the broker that publishes.
    Publisher,
    /// Serves metrics and health.
    Admin,
    /// Serves the API.
    Api,
    /// Takes over the files of tenants.
    TenantFiles,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 20] = [
        Self::Intake,
        Self::DeadQueue,
        Self::UnroutedQueue,
        Self::Shelf,
        Self::Dispatcher,
        Self::Recheck,
        Self::LateDuplicates,
        Self::OverwrittenEdits,
        Self::Expiry,
        Self::Replay,
        Self::Prune,
        Self::Search,
        Self::OutboxRelay,
        Self::Health,
        Self::Store,
        Self::Consumer,
        Self::Publisher,
        Self::Admin,
        Self::Api,
        Self::TenantFiles,
    ];

    /// Returns the task's name in logs, metrics and readiness.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake_queue",
            Self::DeadQueue => "dead_letter_queue",
            Self::UnroutedQueue => "unrouted_queue",
            Self::Shelf => "shelf_poller",
            Self::Dispatcher => "dispatcher",
            Self::Recheck => "reverify",
            Self::LateDuplicates => "late_duplicates",
            Self::OverwrittenEdits => "overwritten_edits",
            Self::Expiry => "key_expiry",
            Self::Replay => "replays",
            Self::Prune => "prune",
            Self::Search => "search",
            Self::OutboxRelay => "outbox_relay",
            Self::Health => "health",
            Self::Store => "store_writer",
            Self::Consumer => "consumer",
            Self::Publisher => "publisher",
            Self::Admin => "http",
            Self::Api => "api",
            Self::TenantFiles => "tenant_files",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Locks a mutex. If a panic has poisoned it, what it protects may be half changed: the process ends at once with exit
/// code 1, which leaves the same as a crash. Going on without it would leave a worker that runs and does not work.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    lock_or(mutex, || {
        tracing::error!("a panic left shared state half changed; the process ends and has to be started again");
        std::process::exit(1)
    })
}

fn lock_or<T>(mutex: &Mutex<T>, end: impl FnOnce() -> Infallible) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|_| match end() {})
}

/// The most characters of a panic's message that are kept, because the message may quote the input.
const LONGEST_MESSAGE: usize = 500;

/// A panic that was caught, with its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Panic(pub String);

impl Panic {
    fn of(payload: &(dyn Any + Send)) -> Self {
        Self(message_of(payload).chars().take(LONGEST_MESSAGE).collect())
    }
}

/// Returns the text that a panic was raised with.
pub fn message_of(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// Runs a unit of work. Everything that the work borrows has to stay usable after a panic in the middle of the work.
///
/// # Errors
/// When the work panics.
pub fn guarded<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panic>> {
    // An async function would hold the work twice: as its argument, and while it awaits the work.
    AssertUnwindSafe(work).catch_unwind().map(|end| end.map_err(|payload| Panic::of(&*payload)))
}

/// Runs a unit of work that waits for nothing, under the condition of [`guarded`].
///
/// # Errors
/// When the work panics.
pub fn guarded_now<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panic::of(&*payload))
}

/// Counts the panics of a module that has no metrics.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// Counts one more panic.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of panics.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does nothing; a build for tests panics if that was ordered for this point and for `what`, the identity of the unit.
#[cfg(not(debug_assertions))]
pub fn may_panic(_point: &str, _what: &dyn fmt::Display) {}

/// Waits forever; a build for tests panics if that was ordered for the loop of this task.
#[cfg(not(debug_assertions))]
pub async fn ordered_end(_task: Task) {
    std::future::pending().await
}

#[cfg(debug_assertions)]
pub use self::ordered::{may_panic, order, ordered_end};

/// Panics on order, for integration tests. A release build holds nothing of this.
#[cfg(debug_assertions)]
mod ordered {
    use std::fmt;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::signal::unix::{SignalKind, signal};

    use super::Task;

    /// The order that this process was given; the tasks of all its workers share it.
    static ORDER: OnceLock<Order> = OnceLock::new();

    #[derive(Debug)]
    enum Order {
        /// Ends the loop of a task at the next SIGUSR1.
        Loop(Task),
        /// Panics so many times at a point, for units whose identity contains the needle.
        Unit { point: String, times_left: AtomicU32, needle: String },
        /// Ends the process at a point, for each unit whose identity contains the needle.
        Abort { point: String, needle: String },
    }

    /// Records an order: `loop:dispatcher`, or `unit:arrive:2:acme/b-1` to panic twice at the point `arrive` over a
    /// unit whose identity contains `acme/b-1`, or `abort:arrive:acme/b-1` to end the process there each time.
    ///
    /// # Panics
    /// When the order cannot be read: a test whose order has no effect would prove nothing.
    pub fn order(text: &str) {
        let order = parse(text).unwrap_or_else(|| panic!("COURIER_PANIC_AT cannot be {text:?}"));
        // Several workers of one process, as in tests, share the first order.
        drop(ORDER.set(order));
    }

    fn parse(text: &str) -> Option<Order> {
        match text.splitn(4, ':').collect::<Vec<_>>()[..] {
            ["abort", point, needle] => Some(Order::Abort { point: point.to_owned(), needle: needle.to_owned() }),
            ["loop", name] => Task::ALL.into_iter().find(|task| task.name() == name).map(Order::Loop),
            ["unit", point, times, needle] => {
                let times_left = AtomicU32::new(times.parse().ok().filter(|times| *times > 0)?);
                Some(Order::Unit { point: point.to_owned(), times_left, needle: needle.to_owned() })
            }
            _ => None,
        }
    }

    /// Panics if that was ordered for this point and this unit.
    pub fn may_panic(point: &str, what: &dyn fmt::Display) {
        let (at, needle) = match ORDER.get() {
            Some(Order::Unit { point, needle, .. } | Order::Abort { point, needle }) => (point, needle),
            Some(Order::Loop(_)) | None => return,
        };
        if at != point || !what.to_string().contains(needle.as_str()) {
            return;
        }
        if let Some(Order::Abort { .. }) = ORDER.get() {
            std::process::abort();
        }
        if let Some(Order::Unit { times_left, .. }) = ORDER.get() {
            let left = times_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            assert!(left.is_err(), "ordered at {point}\nover {what}");
        }
    }

    /// Panics at the next SIGUSR1 if that was ordered for this task; otherwise waits forever.
    pub async fn ordered_end(task: Task) {
        if !matches!(ORDER.get(), Some(Order::Loop(ordered)) if *ordered == task) {
            return std::future::pending().await;
        }
        let mut signals = signal(SignalKind::user_defined1()).expect("a signal that can be listened to");
        signals.recv().await;
        panic!("the loop of {task} ends as ordered");
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_loop_or_the_units_of_a_point() {
            for task in Task::ALL {
                assert!(matches!(parse(&format!("loop:{task}")), Some(Order::Loop(named)) if named == task));
            }
            let Some(Order::Unit { point, times_left, needle }) = parse("unit:arrive:2:a/b:c") else { panic!() };
            assert_eq!((point.as_str(), times_left.into_inner(), needle.as_str()), ("arrive", 2, "a/b:c"));
            assert!(matches!(parse("abort:arrive:a/b"), Some(Order::Abort { .. })));
            for wrong in
                ["", "loop", "loop:lunch", "abort:arrive", "unit:arrive", "unit:arrive:0:x", "unit:arrive:many:x"]
            {
                assert!(parse(wrong).is_none(), "{wrong}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_unit_that_panics_fails_with_its_message_and_its_neighbours_go_on() {
        let unit = async |n: u32| {
            tokio::task::yield_now().await;
            assert!(n != 2, "unit {n} has a defect");
            n
        };
        let mut ends = Vec::new();
        for n in 1..=3 {
            ends.push(guarded(unit(n)).await);
        }
        assert_eq!(ends, [Ok(1), Err(Panic("unit 2 has a defect".into())), Ok(3)]);
        assert_eq!(guarded_now(|| 4), Ok(4));
        assert_eq!(guarded_now(|| panic!("no")), Err::<(), _>(Panic("no".into())));
    }

    #[tokio::test]
    async fn a_unit_that_is_dropped_or_that_fails_has_not_panicked() {
        let dropped = tokio::time::timeout(std::time::Duration::ZERO, guarded(std::future::pending::<()>())).await;
        assert!(dropped.is_err());
        assert_eq!(guarded(async { Err::<(), _>("refused") }).await, Ok(Err("refused")));
    }

    #[tokio::test]
    async fn what_a_unit_held_is_released_by_its_panic() {
        let permits = tokio::sync::Semaphore::new(1);
        let end = guarded(async {
            let _permit = permits.acquire().await.unwrap();
            panic!("with a permit");
        })
        .await;
        assert_eq!(end, Err::<(), _>(Panic("with a permit".into())));
        assert_eq!(permits.available_permits(), 1);
    }

    #[test]
    fn a_mutex_that_a_panic_poisoned_is_never_passed_over() {
        let mutex = Mutex::new(0);
        *lock(&mutex) += 1;
        let poisoned = guarded_now(|| {
            let _held = lock(&mutex);
            panic!("with the lock");
        });
        assert_eq!(poisoned, Err::<(), _>(Panic("with the lock".into())));
        let end = guarded_now(|| drop(lock_or(&mutex, || panic!("the process ends"))));
        assert_eq!(end, Err(Panic("the process ends".into())));
    }

    #[test]
    fn the_message_of_a_panic_is_cut_and_may_be_missing() {
        let long = guarded_now::<()>(|| panic!("{}", "ü".repeat(2_000)));
        assert_eq!(long, Err(Panic("ü".repeat(LONGEST_MESSAGE))));
        let silent = guarded_now::<()>(|| std::panic::panic_any(7));
        assert_eq!(silent, Err(Panic("a panic without a message".into())));
    }
}
