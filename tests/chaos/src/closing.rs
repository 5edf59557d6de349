//! Does what people do once every cause is fixed: brings replays to their end, restores what was discarded, and replays
//! what is dead and need not be.

use std::collections::BTreeMap;

use serde_json::Value;
use testmo_courier::app::replays::ReplayAction;

use crate::person::AT_ONCE;
use crate::stage::Stage;

/// How often a replay is resumed that stops again: each time, at least one more batch of it has an outcome.
const MOST_RESUMES: u32 = 100;
/// One of so many discarded entries stays discarded.
const STAYS_DISCARDED: usize = 3;

/// The work of people at the end.
#[derive(Default)]
pub(crate) struct Closing {
    resumes: BTreeMap<i64, u32>,
    has_restored: bool,
}

impl Closing {
    /// Does what can be done now, and returns what is not done yet. `curable` are the dead entries that can be sent now.
    pub(crate) async fn go_on(&mut self, stage: &Stage, curable: Vec<String>) -> anyhow::Result<Vec<String>> {
        let mut left = self.end_replays(stage).await?;
        if !left.is_empty() {
            return Ok(left);
        }
        let [person, ..] = &stage.persons;
        if !self.has_restored {
            self.has_restored = true;
            for (number, entry) in person.discarded().await?.iter().enumerate() {
                if let Some(id) = entry["id"].as_str().filter(|_| number % STAYS_DISCARDED != 0) {
                    person.restore(id).await?;
                }
            }
            left.push("what was discarded was restored".into());
        }
        if !curable.is_empty() {
            left.push(format!("{} are dead", curable.join(", ")));
            let is_delivered = person.replay(curable.clone(), AT_ONCE).await?;
            // The copy of a batch that another one has delivered.
            for entry in curable.iter().filter(|_| is_delivered) {
                person.discard(entry).await?;
            }
        }
        Ok(left)
    }

    /// Brings every replay nearer to its end, and returns those that have none yet.
    async fn end_replays(&mut self, stage: &Stage) -> anyhow::Result<Vec<String>> {
        let [person, ..] = &stage.persons;
        let mut left = Vec::new();
        for replay in person.replays().await? {
            let (id, state) = (replay["id"].as_i64().unwrap_or_default(), &replay["state"]);
            let action = match state.as_str().unwrap_or_default() {
                "done" | "cancelled" => continue,
                "planning" => Some(ReplayAction::Cancel),
                "planned" => Some(ReplayAction::Start),
                "paused" => Some(self.after_pause(id, &replay)?),
                _ => None,
            };
            left.push(format!("replay {id} is {state}"));
            if let Some(action) = action {
                person.act(action, id).await?;
            }
        }
        Ok(left)
    }

    fn after_pause(&mut self, id: i64, replay: &Value) -> anyhow::Result<ReplayAction> {
        anyhow::ensure!(replay["why"].is_string(), "replay {id} is paused and does not say why");
        let resumes = self.resumes.entry(id).or_default();
        *resumes += 1;
        anyhow::ensure!(*resumes <= MOST_RESUMES, "replay {id} stops again and again: {}", replay["why"]);
        Ok(ReplayAction::Resume)
    }
}
