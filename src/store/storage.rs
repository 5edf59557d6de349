//! Combines what a worker, and what an undo, needs from its store; simulations and benchmarks implement it, too.

use super::accounts::AccountStore;
use super::connections::ConnectionStore;
use super::folders::FolderStore;
use super::health::StoreHealth;
use super::instances::InstanceStore;
use super::ledger::LedgerStore;
use super::outbox::OutboxStore;
use super::prune::RetentionStore;
use super::replays::ReplayStore;
use super::search::SearchStore;
use super::shelf::ShelfStore;
use super::trend::TrendStore;
use super::unbound::UnboundStore;
use super::undos::UndoStore;
use super::windows::WindowStore;
use super::written::WrittenStore;

/// A store as a worker sees it. Each call is atomic.
pub trait Storage:
    StoreHealth
    + LedgerStore
    + RetentionStore
    + AccountStore
    + FolderStore
    + ShelfStore
    + OutboxStore
    + UnboundStore
    + ConnectionStore
    + InstanceStore
    + WrittenStore
    + ReplayStore
    + SearchStore
    + TrendStore
    + WindowStore
{
}

impl<T> Storage for T where
    T: StoreHealth
        + LedgerStore
        + RetentionStore
        + AccountStore
        + FolderStore
        + ShelfStore
        + OutboxStore
        + UnboundStore
        + ConnectionStore
        + InstanceStore
        + WrittenStore
        + ReplayStore
        + SearchStore
        + TrendStore
        + WindowStore
{
}

/// A store as an undo sees it.
pub trait UndoStorage: StoreHealth + LedgerStore + WrittenStore + ConnectionStore + UndoStore {}

impl<T> UndoStorage for T where T: StoreHealth + LedgerStore + WrittenStore + ConnectionStore + UndoStore {}
