//! Takes from a log what may leave the machine: of each line the time, the level, the message, and fields that hold no text
//! from outside.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value};

/// How much of the end of a log is read, in bytes.
const MOST_BYTES: u64 = 1_000_000;
/// How many of its lines are taken.
const MOST_LINES: usize = 1_000;
/// The fields with texts that are taken.
const SHOWN: [&str; 9] = ["timestamp", "level", "target", "message", "check", "reason", "state", "queue", "version"];
/// The levels of log lines.
const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Returns what may leave the machine of the last lines of a log.
pub(super) fn last_lines(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().filter_map(shown).collect();
    let first = lines.len().saturating_sub(MOST_LINES);
    Ok(lines[first..].iter().map(|line| format!("{line}\n")).collect())
}

/// Returns what is taken of a line; nothing of one that is neither JSON nor begins with a time and a level.
fn shown(line: &str) -> Option<String> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
        let kept: Map<String, Value> = fields.into_iter().filter(|(name, value)| is_shown(name, value)).collect();
        return Some(Value::Object(kept).to_string());
    }
    let mut words = line.split_whitespace();
    let (time, level) = (words.next()?, words.next()?);
    if !time.ends_with('Z') || !time.starts_with(|c: char| c.is_ascii_digit()) || !LEVELS.contains(&level) {
        return None;
    }
    // The fields follow the message.
    let message: Vec<&str> = words.take_while(|word| !word.contains('=')).collect();
    Some(format!("{time} {level} {}", message.join(" ")))
}

fn is_shown(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(_) => SHOWN.contains(&name),
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_only_fields_without_texts_from_outside_are_taken() {
        let json = r#"{"timestamp":"t","level":"WARN","message":"shelved","reason":"key_refused","cases":3,"detail":"Log in as Bob"}"#;
        assert_eq!(
            shown(json).as_deref(),
            Some(r#"{"timestamp":"t","level":"WARN","message":"shelved","reason":"key_refused","cases":3}"#)
        );
        assert_eq!(
            shown("2026-11-30T22:06:25.1Z  WARN a batch is shelved detail=\"Log in as Bob\" batch=x").as_deref(),
            Some("2026-11-30T22:06:25.1Z WARN a batch is shelved")
        );
        for other in ["", "thread 'main' panicked at Log in as Bob", "2026-11-30 noise"] {
            assert_eq!(shown(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_last_lines_are_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..1_500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        std::fs::write(file.path(), lines).unwrap();
        let taken = last_lines(file.path()).unwrap();
        assert_eq!(taken.lines().count(), MOST_LINES);
        assert!(taken.ends_with("{\"n\":1499}\n"));
    }
}
