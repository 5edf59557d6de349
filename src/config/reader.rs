//! Is each configured value of its form? Reads leaves by key and gathers every mistake.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};

pub(super) struct Reader<'a> {
    values: &'a HashMap<String, Value>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a HashMap<String, Value>) -> Self {
        Self { values, problems: Vec::new() }
    }

    pub(super) fn into_problems(mut self) -> Vec<String> {
        self.problems.sort();
        self.problems
    }

    pub(super) fn refuse_unknown(&mut self, known: &HashMap<String, Value>) {
        for (key, value) in self.values {
            if !known.contains_key(key) {
                let near = known.keys().min_by_key(|k| (distance(k, key), (*k).clone()));
                let near = near.filter(|k| distance(k, key) <= 1 + key.len() / 4);
                let hint = near.map_or("`config show` lists those there are".into(), |k| format!("is `{k}` meant?"));
                self.problems.push(format!("{}unknown key `{key}`; {hint}", origin(value)));
            }
        }
    }

    /// The value as text; numbers and truth values are written out, as the environment knows only text.
    pub(super) fn text(&mut self, key: &str) -> String {
        let Some(value) = self.values.get(key) else { return String::new() };
        value.clone().into_string().unwrap_or_else(|_| {
            self.problem(key, "a text");
            String::new()
        })
    }

    pub(super) fn name(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.trim().is_empty() || text.len() > 200 {
            self.problem(key, "a name of 1 to 200 characters");
        }
        text
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, form: &str) -> Option<T> {
        let parsed = self.text(key).parse().ok();
        if parsed.is_none() {
            self.problem(key, form);
        }
        parsed
    }

    pub(super) fn whole<T: TryFrom<u64> + Default>(&mut self, key: &str, range: RangeInclusive<u64>) -> T {
        let number: Option<u64> = self.text(key).replace('_', "").parse().ok();
        let fitting = number.filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok());
        fitting.unwrap_or_else(|| {
            self.problem(key, &format!("a whole number from {} to {}", range.start(), range.end()));
            T::default()
        })
    }

    pub(super) fn truth(&mut self, key: &str) -> bool {
        self.parsed(key, "true or false").unwrap_or_default()
    }

    pub(super) fn time(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        match humantime_serde::re::humantime::parse_duration(&self.text(key)) {
            Ok(time) if range.contains(&time) => time,
            Ok(_) | Err(_) => {
                let (from, to) = (in_words(*range.start()), in_words(*range.end()));
                self.problem(key, &format!("a time from {from} to {to}, such as \"10s\" or \"5m\""));
                Duration::ZERO
            }
        }
    }

    /// A list of texts; in the environment, separated by commas.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.values.get(key) else { return Vec::new() };
        let entries: Option<Vec<String>> = if let ValueKind::Array(items) = &value.kind {
            items.iter().map(|item| item.clone().into_string().ok()).collect()
        } else if let ValueKind::String(text) = &value.kind {
            Some(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
        } else {
            None
        };
        entries.unwrap_or_else(|| {
            self.problem(key, "a list of texts");
            Vec::new()
        })
    }

    /// The value itself is not told: it may hold a password.
    pub(super) fn problem(&mut self, key: &str, expected: &str) {
        let place = self.values.get(key).map(origin).unwrap_or_default();
        self.problems.push(format!("{place}`{key}` has to be {expected}"));
    }
}

fn origin(value: &Value) -> String {
    value.origin().map(|place| format!("{place}: ")).unwrap_or_default()
}

/// A time as it can be written; whole days are not told in years, whose length nobody knows.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds > 86_400 && time.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) {
        return format!("{}days", seconds / 86_400);
    }
    humantime_serde::re::humantime::format_duration(time).to_string()
}

/// How many letters differ, roughly: enough to find the key that was meant.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
