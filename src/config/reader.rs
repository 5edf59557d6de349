//! Reads configured values by key and collects every mistake.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};

use super::renamed::{present_name, variable};

/// The text that names the environment as the origin of a value.
const OF_ENVIRONMENT: &str = "the environment: ";

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

    /// Reports every key that is not in `known`, with its present name or the name that was probably meant.
    pub(super) fn refuse_unknown(&mut self, known: &HashMap<String, Value>) {
        for (key, value) in self.values.iter().filter(|(key, _)| !known.contains_key(*key)) {
            let problem = match present_name(key) {
                Some(present) if origin(value) == OF_ENVIRONMENT => {
                    format!("`{}` was renamed to `{}`", variable(key), variable(present))
                }
                Some(present) => format!("{}`{key}` was renamed to `{present}`", origin(value)),
                None => {
                    let of_environment = origin(value) == OF_ENVIRONMENT;
                    let near = known.keys().min_by_key(|k| (distance(k, key), (*k).clone()));
                    let near = near.filter(|k| distance(k, key) <= 1 + key.len() / 4);
                    let name = |key: &str| if of_environment { variable(key) } else { key.to_owned() };
                    let hint =
                        near.map_or("`config show` lists all keys".into(), |k| format!("did you mean `{}`?", name(k)));
                    format!("{}unknown key `{}`; {hint}", origin(value), name(key))
                }
            };
            self.problems.push(problem);
        }
    }

    /// Returns a value as text; numbers and booleans are written out, because the environment has only text.
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
                self.problem(key, &format!("a duration from {from} to {to}, such as \"10s\" or \"5m\""));
                Duration::ZERO
            }
        }
    }

    /// Returns a list of texts; in the environment they are separated by commas.
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

    /// Returns whether a key has a value that is neither empty nor the default.
    pub(super) fn is_set(&self, key: &str) -> bool {
        let set = self.values.get(key).filter(|value| value.origin().is_some());
        set.is_some_and(|value| value.clone().into_string().is_ok_and(|text| !text.is_empty()))
    }

    /// Reports a mistake that is no wrong value of one key.
    pub(super) fn mistake(&mut self, mistake: String) {
        self.problems.push(mistake);
    }

    /// Reports a wrong value without showing it, because it may contain a password.
    pub(super) fn problem(&mut self, key: &str, expected: &str) {
        let place = self.values.get(key).map(origin).unwrap_or_default();
        self.problems.push(format!("{place}`{key}` has to be {expected}"));
    }
}

fn origin(value: &Value) -> String {
    value.origin().map(|place| format!("{place}: ")).unwrap_or_default()
}

/// Returns a time as it can be configured; whole days stay days, because the length of a year varies.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds > 86_400 && time.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) {
        return format!("{}days", seconds / 86_400);
    }
    humantime_serde::re::humantime::format_duration(time).to_string()
}

/// Returns roughly how many letters differ: enough to find the key that was meant.
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
