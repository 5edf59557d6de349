//! Lists messages of a hostile or faulty publisher.

use serde_json::{Value, json};

fn minimal() -> Value {
    json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
           "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "Sign in"}]})
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// Returns messages as an attacker, or a publisher with a bug, sends them.
pub fn messages() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 2_000_000;
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut value = minimal();
        edit(&mut value);
        bytes(&value)
    };
    let many = |size: usize, open: &str, item: &dyn Fn(usize) -> String, close: &str| {
        let mut text = open.to_owned();
        for n in 0.. {
            if text.len() >= size {
                break;
            }
            text += if n > 0 { "," } else { "" };
            text += &item(n);
        }
        (text + close).into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", vec![]),
        ("one brace", text("{")),
        ("deep lists", "[".repeat(SIZE).into_bytes()),
        ("deep objects", "{\"a\":".repeat(SIZE / 5).into_bytes()),
        (
            "deep fields",
            with(&|v| {
                let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
                v["cases"][0]["fields"] = json!({"custom_a": deep});
            }),
        ),
        ("huge number", text(r#"{"schema_version":1e999}"#)),
        ("long number", format!(r#"{{"schema_version":{}}}"#, "9".repeat(1_000_000)).into_bytes()),
        ("lone surrogate", text(r#"{"batch_id":"\ud800"}"#)),
        ("wrong pair", text(r#"{"batch_id":"\ud800\u0041"}"#)),
        ("NUL bytes", vec![0; 1_000]),
        ("NUL in a name", with(&|v| v["cases"][0]["name"] = json!("a\0b"))),
        ("NUL in a key", with(&|v| v["a\0b"] = json!(1))),
        ("no UTF-8", vec![0xff; 1_000]),
        ("byte order mark", [b"\xef\xbb\xbf".to_vec(), bytes(&minimal())].concat()),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        ("trailing garbage", [bytes(&minimal()), b" x".to_vec()].concat()),
        ("two messages", [bytes(&minimal()), bytes(&minimal())].concat()),
        ("a list of messages", bytes(&json!([minimal()]))),
        ("a text", bytes(&json!("x".repeat(1_000)))),
        ("numbers as strings", with(&|v| v["folder_id"] = json!("12"))),
        ("a long key", with(&|v| v["k".repeat(1_000_000)] = json!(1))),
        ("a key that commands the terminal", with(&|v| v["\u{1b}[2J\r\n"] = json!(1))),
        ("a long field", with(&|v| v["cases"][0]["fields"] = json!({"K".repeat(1_000_000): 1}))),
        ("a long id", with(&|v| v["batch_id"] = json!("x".repeat(1_000_000)))),
        ("a repeated key", text(r#"{"schema_version":1,"schema_version":1}"#)),
        ("repeated ids", with(&|v| v["cases"] = json!(vec![json!({"name": "a", "external_id": "x"}); 1_000]))),
        ("a fault in each of 1,000 cases", with(&|v| v["cases"] = json!(vec![json!({"name": ""}); 1_000]))),
        ("a million cases", with(&|v| v["cases"] = json!(vec![json!(0); 1_000_000]))),
        (
            "tags of every kind",
            with(&|v| {
                let tags = ["A", "→", "sqai-0123456789ab", "-", "a\u{7}b", "🎉 x", "\u{202e}x"];
                v["cases"][0]["tags"] = json!(tags);
            }),
        ),
        ("8 MB of tiny keys", many(4 * SIZE, "{", &|n| format!("\"{n:x}\":1"), "}")),
        ("2 MB of one key", many(SIZE, "{", &|_| "\"a\":1".into(), "}")),
        ("2 MB of long keys", many(SIZE, "{", &|n| format!("\"{n}{}\":1", "~/".repeat(500)), "}")),
        ("2 MB of cases", many(SIZE, r#"{"cases":["#, &|_| "0".into(), "]}")),
        ("2 MB of fields", many(SIZE, r#"{"cases":[{"fields":{"#, &|n| format!("\"{n:x}\":0"), "}}]}")),
        ("2 MB of open tags", with(&|v| v["cases"][0]["description"] = json!("<a ".repeat(SIZE / 3)))),
        ("10 MB of name", with(&|v| v["cases"][0]["name"] = json!("x".repeat(10_000_000)))),
        ("10 MB of blanks", with(&|v| v["cases"][0]["name"] = json!(" ".repeat(10_000_000)))),
    ]
}
