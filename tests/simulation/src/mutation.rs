//! Which known bugs can be put back, to see whether the simulation notices?

/// A bug, put in at the seams between the worker and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutation {
    /// A look into Testmo finds nothing, as if there had been none before pushing again.
    SkipReconcile,
    /// The broker lets go of a message as soon as it is handed out, as if it had been acknowledged before the
    /// settlement.
    AckEarly,
    /// Claims hold for less than a request may take.
    ShortLease,
    /// Records are stored whatever their epoch is.
    NoEpochCheck,
    /// A look may adopt rows that the ledger holds for other cases.
    AdoptHeld,
}

impl Mutation {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::SkipReconcile, Self::AckEarly, Self::ShortLease, Self::NoEpochCheck, Self::AdoptHeld];
}
