//! Reads what a message says of cases that earlier batches wrote.

use crate::batch::BatchId;
use crate::batch::message::OnRepeat;
use crate::batch::message::reader::Reader;

/// Reads what is done with cases that exist.
pub(super) fn read_on_repeat(r: &mut Reader<'_>) -> Option<OnRepeat> {
    let text = r.text()?;
    match OnRepeat::ALL.into_iter().find(|choice| choice.name() == text) {
        Some(choice) => Some(choice),
        None => r.fault("is not a choice", "send create, update, skip or wait"),
    }
}

/// Reads the id of the batch that is replaced.
pub(super) fn read_replaced(r: &mut Reader<'_>, own: Option<&BatchId>, on_repeat: Option<OnRepeat>) -> Option<BatchId> {
    let text = r.text()?;
    let replaced = BatchId::new(text).map_err(|e| r.fault_of(&e)).ok()?;
    if own == Some(&replaced) {
        return r.fault("is the batch itself", "send the batch_id of the earlier batch");
    }
    if on_repeat == Some(OnRepeat::Create) {
        let remedy = "send update, skip or wait as on_repeat, or leave out replaces";
        return r.fault("cannot be combined with create as on_repeat", remedy);
    }
    Some(replaced)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::batch::message::decode::decode;

    fn decoded(on_repeat: &Value, replaces: &Value) -> Result<Option<String>, String> {
        let message = json!({"schema_version": 1, "batch_id": "b-2", "tenant_id": "acme", "on_repeat": on_repeat,
            "generated_at": "2026-11-23T09:30:00Z", "replaces": replaces, "cases": [{"name": "a"}]});
        let batch = decode(message.to_string().as_bytes());
        batch.map(|batch| batch.replaces.map(|id| id.as_str().to_owned())).map_err(|broken| broken.detail())
    }

    #[test]
    fn a_batch_replaces_another_one_and_then_creates_nothing_again() {
        for (on_repeat, replaces) in [(Value::Null, "b-1"), (json!("update"), "b-1"), (json!("wait"), "B/2")] {
            assert_eq!(decoded(&on_repeat, &json!(replaces)), Ok(Some(replaces.to_owned())));
        }
        assert_eq!(decoded(&json!("create"), &Value::Null), Ok(None));
        for (on_repeat, replaces, said) in [
            (Value::Null, json!("b-2"), "is the batch itself"),
            (Value::Null, json!("b 1"), "is not an id"),
            (Value::Null, json!(7), "/replaces"),
            (json!("create"), json!("b-1"), "cannot be combined with create"),
        ] {
            let faults = decoded(&on_repeat, &replaces).unwrap_err();
            assert!(faults.contains(said), "{faults}");
        }
    }
}
