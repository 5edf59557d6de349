//! Holds why a case is refused although it was never sent.

use serde::Serialize;

use crate::batch::message::fault::Fault;

/// The faults of a case, which refuse this case alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Faulty {
    /// The first faults of the case; at least one.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// The number of further faults of the case.
    #[serde(skip)]
    pub more: usize,
    /// The hash over the case as it was written. The fingerprint of its batch counts this hash and no sentence, because
    /// sentences may change with a version.
    pub content: String,
}
