//! Measures how much processor time texts take to become the HTML of Testmo: plain text for each case, and Markdown of
//! 1 MB of several kinds.
//!
//! `cargo bench --bench text` prints the times; `cargo bench --bench text -- plain ROUNDS` only renders plain text, for a
//! profiler that counts instructions.

use std::hint::black_box;
use std::io::Write;

use serde_json::{Value, json};
use testmo_courier::batch::Batch;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::render;

/// The size of a large text in bytes.
const LARGE: usize = 1_000_000;
/// How often each measurement is made.
const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().skip_while(|argument| *argument != "plain").nth(1);
    let cases: Vec<Value> = (0..1_000).map(case).collect();
    let plain = batch(json!(null), &json!(cases)).expect("a batch");
    if let Some(rounds) = rounds.and_then(|rounds| rounds.parse::<usize>().ok()) {
        return (0..rounds).for_each(|_| drop(black_box(render(&plain, &Mapping::default(), &FieldKinds::default()))));
    }
    report("plain text, each case of 1,000", micros(&plain) / 1_000.0);
    for (name, part) in [
        (
            "prose",
            "The **customer** pays with `4242` and sees _the receipt_ of the [shop](https://shop.example/a).\n\n",
        ),
        ("lists", "- one\n  - two\n    - three **bold**\n"),
        ("table", "| a | b | c |\n|---|---|---|\n| 1 | **2** | `3` |\n| 4 | 5 | 6<br>7 |\n\n"),
        ("code", "```json\n{\"a\": [1, 2, \"<&>\"]}\n```\n\n"),
        ("quotations inside each other", "> "),
        ("lists inside each other", "- "),
        ("open brackets", "["),
        ("open emphases", "*a _b "),
        ("open links", "[a](b"),
        ("definitions", "[a]: b\n\n"),
        ("markup", "<div>\n<b>a</b>\n\n"),
        ("backticks", "`a``b```c"),
        ("strong marks", "**a：** **b "),
        ("asterisks", "*"),
        ("comments", "<!--"),
        ("angles", "<a "),
        ("entities", "&a"),
        ("backslashes", "\\"),
        ("used definitions", "[a]: b\n[a] [b][a]\n\n"),
        ("pipes", "|a"),
        ("plain prose", "Öffnen Sie die Seite  und prüfen Sie <b> & mehr.\n"),
    ] {
        measure(name, &part.repeat(LARGE / part.len()));
    }
    let row = format!("{}\n{}\n", "|a".repeat(5_000), "|-".repeat(5_000));
    measure("rows without cells", &(row.clone() + &"|\n".repeat((LARGE - row.len()) / 2)));
}

/// Reports how long a text takes in each format.
fn measure(name: &str, text: &str) {
    for format in ["markdown", "plain"] {
        let Ok(large) = batch(json!(format), &json!([{"name": "a", "description": text}])) else { continue };
        report(&format!("1 MB of {name}, {format}"), micros(&large));
    }
}

fn case(index: usize) -> Value {
    let step = |n: usize| {
        json!({"action": format!("Open page {n} of the shop and choose \"Pay\""), "data": "4242 4242 4242 4242",
               "expected": "The page shows the total & the tax;\nno error is shown."})
    };
    json!({"external_id": format!("TC-{index}"), "name": format!("Pay with card {index}"),
           "description": "A customer who has saved a card pays with it.\n\nThe card was saved with an earlier order.",
           "preconditions": "- The customer is signed in\n- A card is saved", "priority": "high",
           "tags": ["checkout", "smoke"], "steps": (0..6).map(step).collect::<Vec<_>>()})
}

fn batch(format: Value, cases: &Value) -> Result<Batch, String> {
    let mut message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                             "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
    if !format.is_null() {
        message["format"] = format;
    }
    decode(message.to_string().as_bytes()).map_err(|broken| broken.detail())
}

/// Returns the median processor time of rendering a batch in microseconds.
fn micros(batch: &Batch) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = processor_nanos();
            drop(black_box(render(batch, &Mapping::default(), &FieldKinds::default())));
            (processor_nanos() - began) / 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// Returns the processor time of this thread, which other programs on the machine do not prolong.
fn processor_nanos() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux reports the times of a thread");
    times.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number of nanoseconds")
}

fn report(what: &str, micros: f64) {
    let line = format!("{what:45} {micros:10.1} us\n");
    std::io::stdout().write_all(line.as_bytes()).expect("an output");
}
