//! Shows texts as language models write them in a browser, and compares what it shows with lists written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use percent_encoding::percent_decode_str;
use serde_json::json;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::render;
use testmo_sim::model::RichText;

use crate::support::batches::batch;
use crate::support::stage::Stage;

/// The formats of texts.
const FORMATS: [&str; 2] = ["markdown", "plain"];

/// A text, and its nodes in each format.
struct Sample {
    name: String,
    text: String,
    nodes: [String; 2],
}

fn corpus() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut samples = Vec::new();
    for file in ["shapes", "code", "languages", "tricky"] {
        let content = fs::read_to_string(folder.join(file).with_extension("txt")).expect("a corpus");
        let mut parts: Vec<(&str, String)> = Vec::new();
        for line in content.lines() {
            match (line.strip_prefix("@@ "), parts.last_mut()) {
                (Some(name), _) => parts.push((name, String::new())),
                (None, Some((_, lines))) => lines.extend([line, "\n"]),
                (None, None) => panic!("{file}: a line before the first name"),
            }
        }
        for part in parts.chunks(3) {
            let [(name, text), (first, markdown), (second, plain)] = part else { panic!("{file}: an unfinished text") };
            assert_eq!([*first, *second], FORMATS, "{file}: {name}");
            samples.push(Sample {
                name: (*name).into(),
                text: text.trim_end_matches('\n').into(),
                nodes: [markdown.trim_end().into(), plain.trim_end().into()],
            });
        }
    }
    samples
}

/// Returns a text of this format as Testmo receives it.
fn html(text: &str, format: &str) -> String {
    let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "format": format,
        "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a", "description": text}]});
    let batch = decode(message.to_string().as_bytes()).expect("a batch");
    let sent = render(&batch, &Mapping::default(), &FieldKinds::default());
    let entry: serde_json::Value = serde_json::from_str(&sent[0].entry).expect("an entry");
    entry["custom_description"].as_str().expect("a text").to_owned()
}

fn page(samples: &[Sample]) -> String {
    let style = "body{font:15px sans-serif;margin:16px;max-width:900px}section{display:flex;gap:24px;border-top:1px solid #bbb}\
         section>div{flex:1 1 0;min-width:0}section>h6{flex:0 0 90px}pre{background:#f2f2f2;padding:8px;overflow:auto}\
         td,th{border:1px solid #bbb;padding:2px 8px}table{border-collapse:collapse}";
    let mut page = format!("<!doctype html><meta charset=utf-8><style>{style}</style><body>");
    for (index, sample) in samples.iter().enumerate() {
        write!(page, "<section id=t{index}><h6>{}</h6>", sample.name).expect("a page");
        for format in FORMATS {
            write!(page, "<div id={format}-{index}>{}</div>", html(&sample.text, format)).expect("a page");
        }
        page.push_str("</section>");
    }
    write!(page, "<script>{}</script>", include_str!("../corpus/nodes.js")).expect("a page");
    page
}

/// Returns what a browser shows of a page, as the page's script reads it: a list of nodes for each text and format.
fn seen(page: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    // It stays for people who want to see it.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rendered.html");
    fs::write(&file, page).expect("a page");
    let browser = Command::new("timeout")
        .args(["240", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("a browser");
    let dom = String::from_utf8_lossy(&browser.stdout);
    let found = dom.split("data-found=\"").nth(1).and_then(|rest| rest.split('"').next());
    let found = found.expect("the browser shows the page: tests/env/install.sh chromium installs the browser");
    serde_json::from_str(&percent_decode_str(found).decode_utf8_lossy()).expect("lists of nodes")
}

#[test]
fn a_browser_shows_every_text_as_its_author_meant_it() {
    let samples = corpus();
    assert_eq!(samples.len(), 60);
    // Where the system has no package of a browser, `make test` says so.
    if std::env::var_os("WITHOUT_BROWSER").is_some() {
        return;
    }
    let seen = seen(&page(&samples));
    let mut wrong = String::new();
    for (index, sample) in samples.iter().enumerate() {
        for (format, nodes) in FORMATS.iter().zip(&sample.nodes) {
            let shown = &seen[&format!("{format}-{index}")];
            if shown != nodes {
                write!(wrong, "\n{} ({format}) should be\n{nodes}\nbut is\n{shown}\n", sample.name).expect("a text");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_drops_what_it_does_not_know_keeps_every_text() {
    let samples = corpus();
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.rich_text = RichText::Sanitized);
    stage.start_worker();
    let mut message = batch("acme", "b-1", samples.len());
    message["format"] = json!("markdown");
    message.as_object_mut().expect("a batch").remove("source");
    for (index, sample) in samples.iter().enumerate() {
        message["cases"][index]["description"] = json!(sample.text);
    }
    stage.publish(&message).await;
    stage.delivered("acme/b-1").await;
    let stored = stage.account("acme").cases();
    assert_eq!(stored.len(), samples.len());
    for (case, sample) in stored.iter().zip(&samples) {
        assert_eq!(case.custom["custom_description"], html(&sample.text, "markdown"), "{}", sample.name);
    }
    stage.end().await;
}

#[test]
fn the_examples_of_the_guide_become_what_it_says() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-for-testmo.md");
    let guide = fs::read_to_string(guide).expect("a guide");
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in guide.lines() {
        match fence {
            Some(end) if line == end => fence = None,
            Some(_) => blocks.last_mut().expect("a block").1.extend([line, "\n"]),
            None => {
                let language = line.trim_start_matches('`');
                let ticks = &line[..line.len() - language.len()];
                if ticks.len() >= 3 {
                    fence = Some(ticks);
                    blocks.push((language, String::new()));
                }
            }
        }
    }
    // A message, which tests/it/contract/strict.rs reads.
    blocks.retain(|(language, _)| *language != "json");
    assert!(blocks.len() >= 16, "{blocks:?}");
    for pair in blocks.chunks(2) {
        let [("markdown", text), ("html", expected)] = pair else { panic!("{pair:?}") };
        assert_eq!(html(text, "markdown"), expected.replace('\n', ""), "{text}");
    }
}
