//! Creates the messages that the contestants consume: batches like those of a generator, about 2 kB with 5 cases.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Value, json};

/// The name of the Celery task that consumes the batches.
const CELERY_TASK: &str = "deliver";

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// The form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The batch as JSON, as the project's own contract defines it.
    Plain,
    /// The batch as the argument of a Celery task.
    Celery,
}

/// Returns a batch in a form; the names of cases are unique within a tenant.
pub(crate) fn draft(form: Form, tenant: &str, number: usize, cases: usize) -> Draft {
    let (id, batch) = (batch_id(number), batch(tenant, number, cases));
    let plain = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.as_str().into());
    match form {
        Form::Plain => Draft { body: batch.to_string().into_bytes(), properties: plain },
        Form::Celery => celery(&id, &batch, plain),
    }
}

/// Returns the id of a batch by its number.
pub(crate) fn batch_id(number: usize) -> String {
    format!("b-{number:06}")
}

fn batch(tenant: &str, number: usize, cases: usize) -> Value {
    json!({
        "schema_version": 1,
        "batch_id": batch_id(number),
        "tenant_id": tenant,
        "generated_at": "2026-11-23T09:30:00Z",
        "source": {"key": format!("SHOP-{number}"), "title": "Pay with a saved card"},
        "cases": (0..cases).map(|case| one_case(number, case)).collect::<Vec<_>>(),
    })
}

fn one_case(batch: usize, case: usize) -> Value {
    json!({
        "external_id": format!("TC-{case}"),
        "name": format!("Pay with saved card {case} of basket {batch}"),
        "steps": [
            {"action": "Open the basket with two articles", "expected": "The sum is 25.00"},
            {"action": "Choose the card that ends in 4242 & confirm", "expected": "The bank asks for a code"},
            {"action": "Enter the code", "data": "123 456", "expected": "The order is confirmed within 5 s"},
        ],
        "priority": "high",
        "tags": ["checkout", "payment"],
    })
}

/// Returns a message in version 2 of Celery's protocol: arguments in the body, the task in the headers.
fn celery(id: &str, batch: &Value, plain: BasicProperties) -> Draft {
    let body = json!([[batch], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]);
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("lang", text("py")),
        ("task", text(CELERY_TASK)),
        ("id", text(id)),
        ("root_id", text(id)),
        ("parent_id", AMQPValue::Void),
        ("group", AMQPValue::Void),
        ("shadow", AMQPValue::Void),
        ("eta", AMQPValue::Void),
        ("expires", AMQPValue::Void),
        ("retries", AMQPValue::LongInt(0)),
        ("timelimit", AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void, AMQPValue::Void]))),
        ("argsrepr", text("...")),
        ("kwargsrepr", text("{}")),
        ("origin", text("bench")),
        ("ignore_result", AMQPValue::Boolean(true)),
    ] {
        headers.insert(ShortString::from(name), value);
    }
    let properties = plain.with_content_encoding("utf-8".into()).with_correlation_id(id.into()).with_headers(headers);
    Draft { body: body.to_string().into_bytes(), properties }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_five_cases_is_about_two_kilobytes_and_is_one_that_the_worker_takes() {
        let draft = draft(Form::Plain, "acme", 17, 5);
        assert!((1_800..2_800).contains(&draft.body.len()), "{} bytes", draft.body.len());
        let decoded = testmo_courier::batch::message::decode::decode(&draft.body);
        assert!(decoded.is_ok(), "{decoded:?}");
    }

    #[test]
    fn celery_gets_the_same_batch_as_an_argument() {
        let plain: Value = serde_json::from_slice(&draft(Form::Plain, "acme", 17, 5).body).unwrap();
        let celery: Value = serde_json::from_slice(&draft(Form::Celery, "acme", 17, 5).body).unwrap();
        assert_eq!(celery[0][0], plain);
    }
}
