//! Changes lists of cases as known bugs of reconciliation would make them look.

use serde_json::Value;
use testmo_courier::testmo::Answer;
use testmo_sim::Time;

use crate::mutation::Mutation;

/// How old rows may be at most if old ones are hidden, in milliseconds.
const YOUNG_MS: i64 = 2_000;

/// Returns a list of cases as a worker with a bug would read it; `now` is the time of the account.
pub(super) fn misread(answer: Answer, mutation: Mutation, now: i64) -> Answer {
    let Ok(mut list) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let Some(rows) = list["result"].as_array_mut() else { return answer };
    if mutation == Mutation::SkipReconcile {
        rows.clear();
    } else if mutation == Mutation::HideOldRows {
        let youngest = Time(now - YOUNG_MS).of_case();
        rows.retain(|row| row["created_at"].as_str().is_some_and(|at| at >= youngest.as_str()));
    } else if mutation == Mutation::ReadOnePage {
        rows.sort_by_key(|row| row["id"].as_u64());
        rows.truncate(2);
    } else {
        return answer;
    }
    list["next_page"] = Value::Null;
    Answer { body: list.to_string().into_bytes(), ..answer }
}
