//! Ends the record of a batch, and opens it again at a person's request.

use super::{BatchRecord, BatchState, CaseState};

impl BatchRecord {
    /// Records the terminal state that the batch reached at `now`, in milliseconds on the store's clock.
    pub fn settle(&mut self, state: BatchState, now: i64) {
        self.state = state;
        self.settled_at = Some(now);
        self.epoch += 1;
    }

    /// Reopens a finished batch at a person's request, so that cases that did not arrive are tried again; returns
    /// whether there was a reason to. Cases in Testmo stay as they are. A lost case is reconciled before it is pushed
    /// if it was sent to `account`, the tenant's present account; in any other account only the person could check. A
    /// case that was refused for its faults stays refused.
    pub fn reopen(&mut self, account: Option<&str>) -> bool {
        match self.state {
            BatchState::Partial | BatchState::Failed => {}
            BatchState::Open | BatchState::Delivered | BatchState::Discarded | BatchState::Undone => return false,
        }
        let is_left = |state: &CaseState| match state {
            CaseState::Refused(_) => !state.is_invalid(),
            CaseState::Waiting | CaseState::Claimed | CaseState::Lost => true,
            CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Repeated(_) => false,
        };
        if !self.cases.iter().any(|case| is_left(&case.state)) {
            return false;
        }
        for case in &mut self.cases {
            case.suspicion = None;
            match case.state {
                CaseState::Refused(_) if case.state.is_invalid() => {}
                CaseState::Refused(_) => case.state = CaseState::Waiting,
                CaseState::Lost => {
                    let sent_to = self.targets.get(case.target).map(|target| target.account.as_str());
                    case.state = CaseState::Waiting;
                    case.unclear = account.is_none_or(|account| sent_to == Some(account));
                    self.unclear_since = Some(self.first_seen_at);
                }
                CaseState::Waiting
                | CaseState::Claimed
                | CaseState::Created(_)
                | CaseState::Adopted(_)
                | CaseState::Repeated(_) => {}
            }
        }
        self.resolve_if_clear();
        self.state = BatchState::Open;
        self.settled_at = None;
        self.revision += 1;
        self.epoch += 1;
        true
    }

    /// Gives up an open batch at `now`, at a person's request; returns whether the batch was open. None of its pushes
    /// may be under way. Whether an ended push created its cases is never found out.
    pub fn discard(&mut self, now: i64) -> bool {
        if self.state != BatchState::Open {
            return false;
        }
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            (case.state, case.unclear) = (CaseState::Waiting, true);
        }
        self.open_push = None;
        self.state = BatchState::Discarded;
        self.settled_at = Some(now);
        self.revision += 1;
        self.epoch += 1;
        true
    }
}
