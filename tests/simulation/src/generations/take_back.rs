//! Lets people take batches back, and take that back, as the command line does it.

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::undo::{Tools, UndoError, UndoKind, carry_out, plan};
use testmo_courier::batch::BatchKey;
use testmo_courier::testmo::Client;
use tokio::time::sleep;

use crate::fuse::Fuse;
use crate::people::FIRST_PERSON;
use crate::stage::Stage;

/// How often a person gives the same command until it comes to its end.
const TRIES: usize = 400;
/// How long a person waits in between.
const PAUSE: Duration = Duration::from_secs(7);

/// What a person takes back.
#[derive(Clone, Debug)]
pub(super) struct TakeBack {
    pub(super) key: BatchKey,
    pub(super) kind: UndoKind,
    pub(super) deletes: bool,
    /// After how many calls and answers the first process ends.
    pub(super) crossings: Option<u32>,
}

/// How one command ended.
enum End {
    /// There is nothing left to do, or never will be.
    Done,
    /// It may go on later.
    Again,
}

impl TakeBack {
    /// Gives the command until it comes to its end; returns whether it did. `person` is the number of the first process.
    pub(super) async fn carry_out(&self, stage: &Arc<Stage>, person: u64) -> bool {
        for attempt in 0..TRIES {
            let fuse = Fuse::new();
            if attempt == 0 {
                fuse.blow_after(self.crossings);
            }
            let number = FIRST_PERSON + person * TRIES as u64 + attempt as u64;
            let end = tokio::select! {
                biased;
                () = fuse.blown() => {
                    stage.diary.note(|| format!("w{number} is gone"));
                    End::Again
                }
                end = self.give(stage, number, fuse.clone()) => end,
            };
            match end {
                End::Done => return true,
                End::Again => sleep(PAUSE).await,
            }
        }
        false
    }

    async fn give(&self, stage: &Arc<Stage>, number: u64, fuse: Fuse) -> End {
        let store = stage.store.of(number, fuse.clone());
        let client = Client::over(Arc::new(stage.testmo.of(number, fuse)));
        let tenants = stage.tenants_at(store.clone());
        let tools = Tools { store: &store, tenants: &tenants, client: &client, config: &stage.config.testmo };
        let actor = Actor::new("a person", Role::Admin, Face::CommandLine);
        let note = |what: &str| stage.diary.note(|| format!("w{number} {:?} of {}: {what}", self.kind, self.key));
        let plan = match plan(&tools, &self.key, self.kind, self.deletes).await {
            Ok(plan) if !plan.changes_anything() => {
                note(&format!("nothing to do: {:?}", plan.forecast.items));
                return End::Done;
            }
            Ok(plan) => plan,
            Err(error) => {
                note(&error.to_string());
                return end_of(&error);
            }
        };
        match carry_out(&tools, plan, &actor, "a plan").await {
            Ok(outcome) => {
                note(&format!("{:?}, {:?}", outcome.interrupted, outcome.undo.items));
                if outcome.interrupted.is_some() { End::Again } else { End::Done }
            }
            Err(error) => {
                note(&error.to_string());
                end_of(&error)
            }
        }
    }
}

/// Decides whether the same command may succeed later.
fn end_of(error: &UndoError) -> End {
    let is_final =
        matches!(error, UndoError::NoBatch(_) | UndoError::Pruned(_) | UndoError::Nothing(_) | UndoError::Begun { .. });
    if is_final { End::Done } else { End::Again }
}
