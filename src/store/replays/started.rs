//! Names replays, and the places in them from which entries of the shelf are started.

use std::fmt;
use std::str::FromStr;

/// The number of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayId(pub i64);

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ReplayId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| format!("`{text}` is not the number of a replay as printed by `replays list`"))
    }
}

/// The start of an entry, in the change that makes it due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemStart {
    /// The replay.
    pub replay: ReplayId,
    /// The epoch of the replay.
    pub epoch: i64,
    /// Who holds the replay.
    pub holder: String,
    /// The place of the entry in the replay.
    pub place: u64,
    /// The part that it belongs to.
    pub part: u32,
    /// How often a person had changed the entry when it was planned.
    pub person_epoch: i64,
}
