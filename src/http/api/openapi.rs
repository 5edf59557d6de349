//! Builds the OpenAPI 3.1 document of the API from the table of routes.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::super::admin::problem::{MEDIA_TYPE, ProblemDocument};
use super::route::{Access, Answer, Body, Kind, Precondition, Route, Scope, Verb};
use super::table::routes;

/// Returns the OpenAPI document.
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let (mut reading, mut writing) = (settings.clone().into_generator(), settings.for_serialize().into_generator());
    let problem: Value = writing.subschema_for::<ProblemDocument>().into();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let operation = operation(route, &mut reading, &mut writing, &problem);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.name().to_ascii_lowercase()] = operation;
    }
    let mut schemas = writing.take_definitions(true);
    schemas.extend(reading.take_definitions(true));
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "testmo-courier",
            "version": "1.0.0",
            "summary": "What people and programs may ask of testmo-courier.",
            "description": "A request carries a token, which `testmo-courier tokens create` makes. A refused request is \
                            answered with a problem document (RFC 9457) whose `code` says why. See docs/api.md.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of testmo-courier."},
            },
            "schemas": schemas,
        },
    })
}

/// The first words of paths, with what they are about.
const TAGS: [(&str, &str); 10] = [
    ("overview", "What a person has to act on."),
    ("tenants", "The connections of tenants."),
    ("links", "Short-lived links of tenants."),
    ("shelf", "Batches that cannot be delivered now."),
    ("replays", "Replays of many batches, a few of each cause first."),
    ("batches", "Batches that were sent."),
    ("lanes", "Pauses and limits."),
    ("messages", "Checks of messages."),
    ("tokens", "Tokens of people and programs."),
    ("audit", "What people have changed."),
];

fn tags() -> Vec<Value> {
    TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect()
}

/// Returns the tag of a route.
fn tag(route: &Route) -> &'static str {
    let parts: Vec<&str> = route.path.split('/').collect();
    match (parts.get(3).copied().unwrap_or_default(), parts.get(5).copied()) {
        ("tenants", Some("links")) => "links",
        ("tenants", Some("preview")) | ("lint", _) => "messages",
        ("find", _) | ("tenants", Some("compare")) => "batches",
        _ if route.access == Access::Link => "links",
        (first, _) => TAGS.iter().map(|(name, _)| *name).find(|name| *name == first).unwrap_or("overview"),
    }
}

fn operation(route: &Route, reading: &mut SchemaGenerator, writing: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "tags": [tag(route)],
        "summary": route.about,
        "description": rights(route),
        "parameters": parameters(route),
        "responses": responses(route, writing, problem),
    });
    if route.access == Access::Link {
        operation["security"] = json!([]);
    }
    let body = match route.body {
        Body::None => None,
        Body::Json(schema) => Some(Value::from(schema(reading))),
        Body::Message => Some(json!({"description": "A message as generators publish it; see docs/publishing.md."})),
    };
    if let Some(schema) = body {
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

/// Says who may use a route.
fn rights(route: &Route) -> String {
    let who = match route.access {
        Access::Token(role) => format!("Needs the role {}.", role.name()),
        Access::Link => "Needs no token.".to_owned(),
    };
    let scope = match route.scope {
        Scope::Path => " A token for one tenant may name no other.",
        Scope::Entry | Scope::Discarded | Scope::Rows => {
            " A token for one tenant sees and changes only what belongs to this tenant."
        }
        Scope::All => " Not for tokens for one tenant.",
        Scope::Nothing => "",
    };
    who + scope
}

fn parameters(route: &Route) -> Vec<Value> {
    let of_path = route.path_parameters().map(|name| {
        let (about, pattern) = match name {
            "tenant" => ("The id of the tenant.", "^[A-Za-z0-9._:@-]{1,64}$"),
            "batch" => ("The id of the batch within its tenant, percent-encoded.", "^[!-~]{1,128}$"),
            "link" => ("The link.", "^[A-Za-z0-9_-]{1,64}$"),
            "group" => ("The id of the group.", "^c-[0-9a-f]{8}$"),
            "replay" => ("The number of the replay.", "^[1-9][0-9]{0,17}$"),
            "name" => ("The name of the token.", "^[A-Za-z0-9._-]{1,64}$"),
            _ => ("The id of the entry, as the list shows it.", "^[0-9a-f]{8,16}$"),
        };
        json!({"name": name, "in": "path", "required": true, "description": about,
               "schema": {"type": "string", "pattern": pattern}})
    });
    let of_query = route.query.iter().map(|parameter| {
        let required = matches!(parameter.kind, Kind::Needed(_));
        json!({"name": parameter.name, "in": "query", "required": required, "description": parameter.about,
               "schema": schema_of(parameter.kind)})
    });
    let mut all: Vec<Value> = of_path.chain(of_query).collect();
    let mut header = |name: &str, about: &str| {
        all.push(json!({"name": name, "in": "header", "required": false, "description": about,
                        "schema": {"type": "string"}}));
    };
    if route.precondition == Precondition::Tenant {
        header("If-Match", "The ETag of the connection that is changed, or `*`. This or If-None-Match is needed.");
        header("If-None-Match", "`*` if there is no connection yet.");
    }
    if route.verb == Verb::Post && route.changes {
        header(
            "Idempotency-Key",
            "A word of 1 to 255 visible ASCII characters, such as a UUID. A request that is sent again with the same key \
             within a day is answered and not carried out again.",
        );
    }
    all
}

/// Returns the schema of the values of a parameter.
fn schema_of(kind: Kind) -> Value {
    match kind {
        Kind::Text(example) => json!({"type": "string", "minLength": 1, "maxLength": 1_000, "examples": [example]}),
        Kind::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Word(words) => json!({"type": "string", "enum": words()}),
        Kind::Needed(kind) => schema_of(*kind),
    }
}

fn responses(route: &Route, writing: &mut SchemaGenerator, problem: &Value) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, answer) in route.answers {
        let content = match answer {
            Answer::Json(schema) => json!({"application/json": {"schema": Value::from(schema(writing))}}),
            Answer::JsonOrCsv(schema) => json!({
                "application/json": {"schema": Value::from(schema(writing))},
                "text/csv": {"schema": {"type": "string"}},
            }),
            Answer::Bytes => json!({"application/octet-stream": {"schema": {}}}),
        };
        let mut response = json!({"description": success(*status), "content": content});
        if matches!(route.id, "getTenant" | "putTenant") {
            response["headers"] = json!({"ETag": {"description": "Names what people have entered.",
                                                  "schema": {"type": "string"}}});
        }
        responses.insert(status.to_string(), response);
    }
    for status in route.refused_with() {
        let refusal = json!({"description": refusal(status), "content": {MEDIA_TYPE: {"schema": problem}}});
        responses.insert(status.to_string(), refusal);
    }
    responses
}

fn success(status: u16) -> &'static str {
    if status == 201 { "Created." } else { "Done." }
}

fn refusal(status: u16) -> &'static str {
    match status {
        400 => "A parameter, a header or the JSON is wrong.",
        401 => "There is no token, or it is not valid.",
        403 => "The token may not do this.",
        404 => "There is no such thing, or the token may not know of it.",
        409 => "The present state does not allow this, or the same request is being carried out.",
        412 => "The connection is not as the precondition says.",
        413 => "The body is too large.",
        415 => "The body is not application/json.",
        421 => "The host is not one of this API.",
        422 => "What was entered cannot be used.",
        428 => "A precondition is needed.",
        503 => "The store or Testmo does not answer, or too much is being done.",
        _ => "A defect in this program.",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::admin::problem::Code;
    use super::*;

    #[test]
    fn every_code_has_a_status_that_is_documented_where_it_can_occur() {
        for code in Code::ALL {
            assert!(code.status() == 500 || code.status() == 405 || refusal(code.status()) != refusal(500), "{code:?}");
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn check(value: &Value, all: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        assert!(all.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                    }
                    members.values().for_each(|member| check(member, all));
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, all)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = openapi();
        check(&document, &document);
        assert!(!document.to_string().contains("Code\":{\"enum\":[]"));
    }
}
