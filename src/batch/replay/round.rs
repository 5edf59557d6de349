//! Decides whether a replay goes on.

/// How a part of a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartState {
    /// How many batches are still to be started.
    pub left: u64,
    /// How many are started and have no counted outcome.
    pub under_way: u64,
    /// Whether too many failed.
    pub stopped: bool,
}

/// What follows for the replay as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Something is under way, or can be started now or later.
    GoesOn,
    /// Every batch has an outcome.
    IsDone,
    /// What is left is in parts that stopped.
    Stops,
}

/// Returns what follows from how the parts are.
pub fn course(parts: impl IntoIterator<Item = PartState>) -> Course {
    let mut course = Course::IsDone;
    for part in parts {
        if part.under_way > 0 || (part.left > 0 && !part.stopped) {
            return Course::GoesOn;
        }
        if part.left > 0 {
            course = Course::Stops;
        }
    }
    course
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_stops_only_when_nothing_else_can_go_on() {
        let part = |left, under_way, stopped| PartState { left, under_way, stopped };
        assert_eq!(course([]), Course::IsDone);
        assert_eq!(course([part(0, 0, false), part(0, 0, true)]), Course::IsDone);
        assert_eq!(course([part(5, 0, true), part(0, 1, false)]), Course::GoesOn);
        assert_eq!(course([part(5, 0, true), part(1, 0, false)]), Course::GoesOn);
        assert_eq!(course([part(5, 0, true), part(0, 0, false)]), Course::Stops);
        assert_eq!(course([part(5, 1, true)]), Course::GoesOn);
    }
}
