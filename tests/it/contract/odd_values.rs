//! Lists values that are wrong in most places of a message, and right in some.

use serde_json::{Value, json};

/// Values that are wrong in most places, and right in some.
pub(super) fn odd_values() -> Vec<Value> {
    let mut odd = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(12.0),
        json!(1e300),
        json!((1_u64 << 53) - 1),
        json!(1_u64 << 53),
        json!(u64::MAX),
        json!([]),
        json!([null]),
        json!([[]]),
        json!({}),
        json!([{}]),
        json!({"custom_x": 1}),
        json!({"custom_": 1}),
        json!({"custom_X": 1}),
        json!({"name": "a"}),
        json!([{"name": "a"}]),
        json!([{"action": "a"}]),
        json!([{"action": null}]),
        json!(["a", "b"]),
        json!(vec!["t"; 50]),
        json!(vec!["t"; 51]),
        json!(vec!["f"; 20]),
        json!(vec!["f"; 21]),
        json!(vec![json!({"action": "a"}); 500]),
        json!(vec![json!({"action": "a"}); 501]),
        json!(vec![json!({"name": "a"}); 1_000]),
        json!(vec![json!({"name": "a"}); 1_001]),
    ];
    for text in [
        "",
        " ",
        "\t\n",
        "\u{feff}",
        "\u{85}",
        "\u{1}",
        "\u{0}",
        "a\u{0}",
        " a ",
        "a\tb",
        "a\n",
        "\u{feff}a",
        "\u{200b}",
        "a b",
        "ä",
        "#1",
        "#2",
        "TC-1",
        "high",
        "urgent",
        "12",
        "Feature: x",
        "2026-11-23T09:30:00Z",
        "2026-11-23T09:30:00.123456789+01:00",
        "2026-11-23T09:30:00",
        "2026-02-30T09:30:00Z",
        "2026-11-23t09:30:00z",
        "2026-11-23 09:30Z",
        "2026-11-23T09:30:00.1234567890Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T10:30:00+01:00[Europe/Berlin]",
        "yesterday",
    ] {
        odd.push(json!(text));
    }
    for length in [64, 65, 128, 129, 200, 201, 255, 256, 1_000, 1_001, 2_000, 2_001] {
        odd.push(json!("é".repeat(length)));
        odd.push(json!("x".repeat(length)));
        odd.push(json!(format!(" {} ", "x".repeat(length))));
    }
    odd
}
