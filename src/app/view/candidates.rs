//! Shows missing cases, and the cases in Testmo that they may be, to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::candidates::{Decided, Found};

/// The missing cases of an entry, and the cases in Testmo that they may be.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CandidatesView {
    id: String,
    batch: String,
    missing: Vec<MissingView>,
    candidates: Vec<MatchView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<DecidedView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct MissingView {
    case: String,
    name: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct MatchView {
    testmo_id: u64,
    name: String,
    link: String,
    has_batch_tag: bool,
    may_be: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DecidedView {
    adopted: usize,
    created_by_next_replay: usize,
    delivered: bool,
}

impl CandidatesView {
    /// Shows what was found.
    pub fn of(found: &Found) -> Self {
        let missing = |case: &super::super::candidates::MissingCase| MissingView {
            case: case.key.clone(),
            name: case.name.clone(),
        };
        let candidate = |of: &super::super::candidates::Candidate| MatchView {
            testmo_id: of.id,
            name: of.name.clone(),
            link: found.link(of),
            has_batch_tag: of.has_batch_tag,
            may_be: found.keys_of(of).into_iter().map(str::to_owned).collect(),
        };
        Self {
            id: found.entry.id.to_string(),
            batch: found.entry.batch.clone(),
            missing: found.missing.iter().map(missing).collect(),
            candidates: found.candidates.iter().map(candidate).collect(),
            decided: None,
        }
    }

    /// Adds what was decided.
    #[must_use]
    pub fn with(self, decided: Decided) -> Self {
        let Decided { adopted, missing, is_delivered } = decided;
        Self {
            decided: Some(DecidedView { adopted, created_by_next_replay: missing, delivered: is_delivered }),
            ..self
        }
    }
}
