//! Lists the known bugs that can be put back, to check that the simulation notices each of them.

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
}

impl Mutation {
    /// All mutations.
    pub const ALL: [Self; 5] =
        [Self::SkipReconcile, Self::AckEarly, Self::ShortLease, Self::NoEpochCheck, Self::AdoptHeld];
}
