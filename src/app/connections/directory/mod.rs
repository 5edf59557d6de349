//! Follows a directory with one file for each tenant: takes over what changes in it.
//!
//! | file | responsibility |
//! | --- | --- |
//! | `snapshot`, `entry`, `file` | read the files, and say what is wrong with one |
//! | `stamps` | recognizes files that have not changed since they were read |
//! | `absent` | decides which connections are removed because their files are gone |
//! | `round` | carries out what follows from one reading |
//!
//! The store keeps what was taken over, so a broken file leaves the last good version in force, also after a restart. A content
//! is taken over once: a worker whose mount still shows a former content does not bring that back, unless it is started again with it.

mod absent;
mod entry;
mod file;
mod round;
mod snapshot;
mod stamps;

use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

pub use self::round::FileCounts;
use self::round::Follower;
pub(in crate::app) use self::round::UNREADABLE;
use self::stamps::KnownFiles;
use super::super::context::AppContext;
use crate::config::Config;

/// How many files this may have open: those of the directory, its connections to the store, and those to Testmo.
pub const FILES: u32 = 24;
/// How many connections to a database server it uses.
const STORE_CONNECTIONS: u32 = 2;
/// How long nothing is read after the store could not be opened.
const RECOVERY: Duration = Duration::from_secs(1);

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenFile {
    /// Its name.
    pub file: String,
    /// What is wrong, with the place.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Returns the files of a directory that cannot be used, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn broken(directory: &Path) -> std::io::Result<Vec<BrokenFile>> {
    let snapshot::Snapshot { tenants, strays } = snapshot::snapshot(directory, &KnownFiles::new())?;
    let of_tenants = tenants.into_values().filter_map(|(name, read)| Some((name, read.err()?)));
    let broken = |(file, fault): (String, file::FileFault)| {
        let problem = fault.to_string();
        BrokenFile { file, problem, remedy: fault.remedy }
    };
    let mut found: Vec<BrokenFile> = of_tenants.chain(strays).map(broken).collect();
    found.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(found)
}

/// Follows the directory of a configuration until `stop`, and shows after each reading how many files are in which state. This takes
/// a thread of its own, as use cases stay on one thread.
pub async fn follow(config: Config, stop: CancellationToken, show: impl Fn(FileCounts) + Send + 'static) {
    let runtime = Handle::current();
    let following = spawn_blocking(move || runtime.block_on(follow_here(config, stop, show)));
    // A panic is passed on, and nothing else ends it before `stop`.
    if let Err(error) = following.await
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic)
    }
}

async fn follow_here(config: Config, stop: CancellationToken, show: impl Fn(FileCounts)) {
    let Some(directory) = config.tenants.directory.clone() else { return stop.cancelled().await };
    let Some(context) = stop.run_until_cancelled(open(config)).await else { return };
    let mut due = interval(context.config.tenants.poll_interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut follower = Follower::new(&context, directory);
    let following = async {
        loop {
            due.tick().await;
            show(follower.round().await);
        }
    };
    stop.run_until_cancelled(following).await.unwrap_or(());
    context.close().await;
}

/// Opens what use cases work with; the worker has opened the same store before, so what fails here will pass.
async fn open(mut config: Config) -> AppContext {
    config.store.max_connections = config.store.max_connections.min(STORE_CONNECTIONS);
    loop {
        match AppContext::open(config.clone()).await {
            Ok(context) => return context,
            Err(error) => tracing::warn!(%error, "the directory of tenants is not followed yet"),
        }
        sleep(RECOVERY).await;
    }
}
