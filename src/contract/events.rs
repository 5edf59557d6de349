//! Lists every type of event with its schema and an example.

use jiff::civil::date;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::batch::event::{
    self, CaseInput, ConnectionChange, ConnectionFailed, ConnectionRestored, DaysLeft, Deferred, Duplicated,
    EditsOverwritten, Envelope, Event, EventInput, KeyExpired, KeyExpiring, MessageInput, MessageInvalid, Settled,
    Undone, Waiting,
};
use crate::batch::generation::Overwritten;
use crate::batch::ledger::{BatchRecord, BatchState, Change, OpenPush, PreviousCase, Refusal, Repeat, Target};
use crate::batch::message::Source;
use crate::batch::render::left_out::LeftOut;
use crate::batch::undo::{How, Intent, ItemKind, ItemState, Left, Setting, Undo, UndoItem, UndoKind};
use crate::batch::{Reason, TenantId, verdict::answer::FieldRefusal};
use crate::contract::portable;

/// The time of the examples: 2026-11-23T09:30:04Z, in milliseconds since 1970-01-01 UTC.
const MOMENT: i64 = 1_795_426_204_000;

/// A type of event.
pub struct Kind {
    /// The name of the type in the schemas.
    pub name: &'static str,
    /// The CloudEvents type.
    pub kind: &'static str,
    /// When events of this type are sent.
    pub when: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    example: fn() -> Option<Event>,
}

/// Every type of event.
pub const KINDS: [Kind; 12] = [
    Kind {
        name: "BatchDelivered",
        kind: event::DELIVERED,
        when: "Every case of a batch is in Testmo.",
        schema: Envelope::<Settled>::json_schema,
        example: || settled(&[], None),
    },
    Kind {
        name: "BatchPartiallyDelivered",
        kind: event::PARTIALLY_DELIVERED,
        when: "Some cases of a batch are in Testmo; the others will not be created.",
        schema: Envelope::<Settled>::json_schema,
        example: || settled(&[1], Some(Reason::CaseRefused)),
    },
    Kind {
        name: "BatchFailed",
        kind: event::FAILED,
        when: "No case of a batch is in Testmo, or a person discarded the batch.",
        schema: Envelope::<Settled>::json_schema,
        example: || settled(&[0, 1], Some(Reason::AllRefused)),
    },
    Kind {
        name: "BatchUndone",
        kind: event::UNDONE,
        when: "A person took back what a batch did, or had duplicates of its cases removed.",
        schema: Envelope::<Undone>::json_schema,
        example: undone,
    },
    Kind {
        name: "MessageInvalid",
        kind: event::MESSAGE_INVALID,
        when: "A message never became work: it is not a valid batch, too large, undeliverable, or in conflict with a batch \
               of the same id. The event says nothing about the outcome of a batch of that id.",
        schema: Envelope::<MessageInvalid>::json_schema,
        example: broken,
    },
    Kind {
        name: "BatchDeferred",
        kind: event::DEFERRED,
        when: "A batch is expected to wait for more than 5 minutes. Sent once for each batch and revision, and again if \
               the tenant still has no connection a day later.",
        schema: Envelope::<Deferred>::json_schema,
        example: || {
            Some(event::deferred(Waiting::of(&record()), Reason::ServerError, None, Some(MOMENT + 1_800_000), MOMENT))
        },
    },
    Kind {
        name: "CaseDuplicated",
        kind: event::DUPLICATED,
        when: "Cases of a batch were found in Testmo twice, because Testmo carried out a request after its cases had been \
               sent again.",
        schema: Envelope::<Duplicated>::json_schema,
        example: || {
            let mut record = record();
            record.created(&[(0, 3_721), (1, 3_722)]);
            Some(event::duplicated(&record, &[(0, 3_801), (1, 3_802)], MOMENT))
        },
    },
    Kind {
        name: "EditOverwritten",
        kind: event::OVERWRITTEN,
        when: "A request of a batch, or of its undo, overwrote an edit that a person made between the reading of the case and the \
               request, or may have. Sent where Testmo shows the history of cases.",
        schema: Envelope::<EditsOverwritten>::json_schema,
        example: overwritten,
    },
    Kind {
        name: "ConnectionFailed",
        kind: event::CONNECTION_FAILED,
        when: "A tenant's connection stopped working. The tenant's batches are held until it works again.",
        schema: Envelope::<ConnectionFailed>::json_schema,
        example: || {
            let detail = Some("Testmo answered 401 Unauthorized");
            of_connection(|change| event::connection_failed(change, Reason::KeyRefused, detail))
        },
    },
    Kind {
        name: "ConnectionRestored",
        kind: event::CONNECTION_RESTORED,
        when: "A tenant's connection works again. The tenant's batches are sent.",
        schema: Envelope::<ConnectionRestored>::json_schema,
        example: || of_connection(|change| event::connection_restored(change, 3)),
    },
    Kind {
        name: "KeyExpiring",
        kind: event::KEY_EXPIRING,
        when: "A tenant's API key expires in at most 14, 7 or 1 days, or today.",
        schema: Envelope::<KeyExpiring>::json_schema,
        example: || of_key(|tenant| event::key_expiring(tenant, date(2026, 11, 30), DaysLeft::Seven, 7, MOMENT)),
    },
    Kind {
        name: "KeyExpired",
        kind: event::KEY_EXPIRED,
        when: "A tenant's API key has expired.",
        schema: Envelope::<KeyExpired>::json_schema,
        example: || of_key(|tenant| event::key_expired(tenant, date(2026, 11, 22), MOMENT)),
    },
];

impl Kind {
    /// Returns an event of this type, as JSON.
    pub fn example(&self) -> Value {
        let event = (self.example)();
        event.and_then(|event| serde_json::from_str(&event.body).ok()).unwrap_or_default()
    }

    /// Returns the schema of the whole event, and adds the definitions it needs to `generator`.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        let mut schema: Value = (self.schema)(generator).into();
        schema["title"] = json!(self.name);
        schema["description"] = json!(self.when);
        schema["properties"]["type"] = json!({"description": "The type of the event.", "const": self.kind});
        schema["properties"]["specversion"] = json!({"description": "The version of CloudEvents.", "const": "1.0"});
        schema
    }
}

/// Returns the JSON Schema of all events.
pub fn events_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    // Some data types have the name of their type of event, hence the suffix.
    let kinds: Map<String, Value> =
        KINDS.iter().map(|kind| (format!("{}Event", kind.name), kind.schema(&mut generator))).collect();
    let mut one_of: Vec<Value> = kinds.keys().map(|name| json!({"$ref": format!("#/$defs/{name}")})).collect();
    one_of.push(json!({"$ref": "#/$defs/LaterEvent"}));
    let mut definitions = generator.take_definitions(true);
    definitions.extend(kinds);
    definitions.insert("LaterEvent".into(), later_event());
    portable::name_definitions(&mut definitions);
    let mut schema = json!({
        "$comment": portable::DIALECTS,
        "title": "Events of testmo-courier",
        "description": "CloudEvents 1.0 in structured JSON. Members may be added; ignore unknown ones.",
        "oneOf": one_of,
        "$defs": definitions,
    });
    portable::remove_formats(&mut schema);
    portable::name_types(&mut schema);
    schema
}

/// Returns the schema of an event whose type a later version adds.
fn later_event() -> Value {
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.kind).collect();
    let text = json!({"type": "string"});
    json!({
        "title": "LaterEvent",
        "description": "An event of a type that a later version adds. Ignore it.",
        "type": "object",
        "properties": {
            "specversion": {"description": "The version of CloudEvents.", "const": "1.0"},
            "id": text,
            "source": text,
            "type": {"description": "The type of the event.", "type": "string", "not": {"enum": known}},
        },
        "required": ["specversion", "id", "source", "type"],
    })
}

/// Returns the record of a batch whose two cases were pushed.
fn record() -> BatchRecord {
    let key = "acme/shop-142-1".parse().expect("an example's key is well-formed");
    let mut record = BatchRecord::fresh(key, String::new(), ["TC-1".to_owned(), "TC-2".to_owned()]);
    let push = OpenPush { id: String::new(), connection: String::new(), batch_tag: None, committed: false };
    let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
    record.claim(&[0, 1], push, &target);
    record
}

fn settled(refused: &[usize], reason: Option<Reason>) -> Option<Event> {
    let mut record = record();
    let said = FieldRefusal { field: "custom_risk".into(), message: "The selected value is invalid.".into() };
    let refusal = Refusal { reason: Reason::CaseRefused, said: vec![said] };
    record.not_created(refused.iter().map(|index| (*index, refusal.clone())).collect());
    let created = (0..2).filter(|index| !refused.contains(index));
    record.created(&created.map(|index| (index, 3_721 + index as u64)).collect::<Vec<_>>());
    record.state = record.outcome()?;
    let source = Source { key: Some("SHOP-142".into()), ..Source::default() };
    let names = ["Pay with a saved card", "A card that has expired is refused"];
    let left_out = LeftOut { what: "issues".into(), value: None, why: "the mapping names no integration_id" };
    let left_out = [vec![left_out], vec![]];
    let own = ["Checkout".to_owned(), "Cards".to_owned()];
    let described = names.into_iter().zip([Some(&own[..]), None]).zip(&left_out);
    let cases: Vec<CaseInput<'_>> =
        described.map(|((name, path), left_out)| CaseInput { name, path, left_out }).collect();
    let input = EventInput { source: &source, cases: &cases, now: MOMENT, reason, detail: None, replay: None };
    event::of_settlement(&record, &input)
}

fn undone() -> Option<Event> {
    let mut record = record();
    record.created(&[(0, 3_721), (1, 3_722)]);
    record.undo(MOMENT);
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    let (fields, former) = (object(json!({"state_id": 5})), object(json!({"state_id": 1})));
    let retired = Intent::Set(Setting { fields, former, ..Setting::default() });
    let item = |position, id, state| UndoItem { state, ..UndoItem::waiting(position, id, ItemKind::Created) };
    let items = vec![
        item(0, 3_721, ItemState::Done(Some(Box::new(retired)))),
        item(1, 3_722, ItemState::Left(Left::Edited(vec!["custom_steps".into()]))),
    ];
    let before = BatchState::Delivered;
    let undo = Undo { number: 3, kind: UndoKind::Undo, how: How::default(), before, items, is_done: true };
    event::undone(&record, &undo, &[428], MOMENT)
}

fn overwritten() -> Option<Event> {
    let mut record = record();
    let previous = PreviousCase { batch: Some("shop-141-1".into()), id: 3_721, folder: 428 };
    record.repeats(vec![(0, Some(previous), Repeat::only(Change::Updated))]);
    let edit = Overwritten {
        id: 3_721,
        folder: Some(428),
        is_certain: true,
        fields: vec!["name".into()],
        written: "Pay with a saved card".into(),
        lost: Some("Pay with a saved credit card".into()),
        entry: None,
    };
    Some(event::edits_overwritten(&record, ("https://acme.testmo.net", 3), &[edit], "9", MOMENT))
}

fn broken() -> Option<Event> {
    let bytes =
        br#"{"schema_version":1,"tenant_id":"acme","batch_id":"shop-142-2","generated_at":"2026-11-23T09:30:00Z",
        "cases":[{"nam":"Pay with a saved card"}]}"#;
    let faults = crate::batch::message::decode::decode(bytes).err()?.faults().to_vec();
    let key: crate::batch::BatchKey = "acme/shop-142-2".parse().ok()?;
    let hash = crate::batch::raw_hash(bytes);
    let sent = [("message_id", "shop-142-2"), ("app_id", "casewright")];
    let properties = sent.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Some(event::of_message(&MessageInput {
        tenant: Some(&key.tenant),
        batch: Some(&key.batch),
        raw_hash: &hash,
        properties: &properties,
        reason: Reason::InvalidMessage,
        faults: &faults,
        detail: None,
        now: MOMENT,
    }))
}

fn of_connection(make: impl Fn(ConnectionChange<'_>) -> Event) -> Option<Event> {
    of_key(|tenant| {
        make(ConnectionChange { tenant, version: "5f0e91c2a4d7b836", epoch: 1_795_340_000_007, at: MOMENT })
    })
}

fn of_key(make: impl Fn(&TenantId) -> Event) -> Option<Event> {
    TenantId::new("acme").ok().map(|tenant| make(&tenant))
}
