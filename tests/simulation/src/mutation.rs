//! Has the known bugs that the checks must notice.

/// A bug, added at the boundary between the worker and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutation {
    /// Reconciliation finds nothing, as if the worker had skipped it before sending the cases again.
    SkipReconcile,
    /// The broker forgets a message as soon as it is delivered, as if the worker had acknowledged it before storing the
    /// outcome.
    AckEarly,
    /// Claims last for less time than a request may take.
    ShortLease,
    /// Records are stored even if their epoch has changed.
    NoEpochCheck,
    /// Reconciliation may adopt rows that the ledger holds for other cases.
    AdoptHeld,
    /// Reconciliation sees no rows that seem to be too old, as if a shifted time of creation excluded them.
    HideOldRows,
    /// Reconciliation reads only the beginning of a list, as if the list descended although it does not.
    ReadOnePage,
    /// Events that no queue is bound for are not set aside, but published again and again before all others.
    KeepUnbound,
    /// The intake takes a message only when the one before is settled.
    TakeOneByOne,
    /// An account that is open again seems to be paused to lanes that wait for it.
    HideOpenAccounts,
    /// A claim that is given back keeps its permit for its whole lease.
    KeepPermits,
    /// The task that publishes events of the store stops, and nobody notices.
    StopRelay,
    /// Events of an outcome are not stored with it.
    LoseEvents,
    /// An event counts as published as soon as it is read.
    MarkSentEarly,
    /// A shelf row is removed although it was shelved again meanwhile.
    UnshelveChanged,
    /// Several workers may hold the claim to one folder.
    ShareFolderClaims,
    /// Requests are permitted while the account asked for none.
    IgnorePauses,
    /// The result of verifying a connection is stored although the connection was changed meanwhile.
    JudgeChanged,
    /// Outcomes of a replay are marked as counted apart from being counted, so that a crash in between counts them twice.
    CountApart,
    /// A replay starts an entry although a person changed it since it was planned.
    StartChanged,
    /// A replay starts entries although it was paused or cancelled.
    StartPaused,
    /// A replay goes on although too much failed again.
    IgnoreStops,
    /// Nothing is remembered of the cases that were written.
    ForgetWritten,
    /// Several batches may have one source.
    ShareSources,
}

impl Mutation {
    /// All mutations.
    pub const ALL: [Self; 24] = [
        Self::SkipReconcile,
        Self::AckEarly,
        Self::ShortLease,
        Self::NoEpochCheck,
        Self::AdoptHeld,
        Self::HideOldRows,
        Self::ReadOnePage,
        Self::KeepUnbound,
        Self::TakeOneByOne,
        Self::HideOpenAccounts,
        Self::KeepPermits,
        Self::StopRelay,
        Self::LoseEvents,
        Self::MarkSentEarly,
        Self::UnshelveChanged,
        Self::ShareFolderClaims,
        Self::IgnorePauses,
        Self::JudgeChanged,
        Self::CountApart,
        Self::StartChanged,
        Self::StartPaused,
        Self::IgnoreStops,
        Self::ForgetWritten,
        Self::ShareSources,
    ];
}
