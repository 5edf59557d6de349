//! Reads the configuration: embedded defaults, then files, then the environment, and reports all mistakes together.

mod address;
mod admin;
mod amqp;
mod live;
mod reader;
mod renamed;
mod secret;
mod sections;
mod tenants;
#[cfg(test)]
mod tests;
mod traces;
mod url;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Map, Value};

pub use self::address::Written;
pub use self::admin::Admin;
pub use self::amqp::{Amqp, TenantBinding};
pub(crate) use self::secret::secret_in;
pub use self::sections::{
    Config, Content, Events, Keys, Log, LogFormat, Observe, Requests, Retry, Shelf, Store, Testmo, Worker,
};
pub use self::tenants::Tenants;
pub use self::traces::Traces;
pub use self::url::{SecretUrl, redacted};

/// Every configuration key with its default and its meaning.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The beginning of the names of variables that hold settings.
const PREFIX: &str = "COURIER_";

/// Variables without that beginning that hold settings, too, with the keys that they set.
const WELL_KNOWN: [(&str, &str); 4] = [
    ("AMQP_URL", "amqp.url"),
    ("AMQP_URL_FILE", "amqp.url_file"),
    ("DATABASE_URL", "store.url"),
    ("DATABASE_URL_FILE", "store.url_file"),
];

/// The variable that orders a crash, which only test builds know; to others it is an unknown key.
#[cfg(debug_assertions)]
const CRASH_AT: &str = "COURIER_CRASH_AT";
/// The variable that orders a panic, which only test builds know, too.
#[cfg(debug_assertions)]
const PANIC_AT: &str = "COURIER_PANIC_AT";

/// All mistakes in a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// The sources of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// TOML files; later ones override earlier ones.
    pub files: Vec<PathBuf>,
    /// Environment variables; only `COURIER_<SECTION>__<KEY>`, `AMQP_URL`, `DATABASE_URL`, and these two with `_FILE` are
    /// read.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// Combines the given files with this process's environment.
    pub fn of_process(files: Vec<PathBuf>) -> Self {
        // A variable that is not UTF-8 cannot be one of ours.
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self { files, environment: std::env::vars_os().filter_map(text).collect() }
    }

    /// Returns the variables whose names begin like those of settings and that are not read, sorted.
    pub fn ignored(&self) -> Vec<String> {
        let keys = keys();
        let begin_alike = self.environment.keys().filter(|name| name.starts_with(PREFIX) && !is_order(name));
        let mut ignored: Vec<String> = begin_alike.filter(|name| !is_meant(name, &keys)).cloned().collect();
        ignored.sort();
        ignored
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// With a sentence for each mistake: unknown and renamed keys, wrong values, files that cannot be read.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let missing: Vec<String> = sources.files.iter().filter_map(|file| unreadable(file)).collect();
    if !missing.is_empty() {
        return Err(ConfigError(missing));
    }
    let values = merge(sources).map_err(|error| ConfigError(vec![not_toml(&error)]))?;
    let known = flatten(&config::Config::builder().add_source(defaults()).build().map_err(|e| one(&e))?)?;
    let mut reader = reader::Reader::new(&values);
    reader.refuse_unknown(&known);
    let config = sections::read(&mut reader);
    #[cfg(debug_assertions)]
    let config = Config {
        crash_at: sources.environment.get(CRASH_AT).cloned(),
        panic_at: sources.environment.get(PANIC_AT).cloned(),
        ..config
    };
    let mut problems = reader.into_problems();
    if problems.is_empty() {
        problems = config.contradictions();
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
}

/// Returns every configuration key, sorted.
pub fn keys() -> Vec<String> {
    let defaults = config::Config::builder().add_source(defaults()).build();
    // The defaults are part of the program, and a test reads them.
    let mut keys: Vec<String> =
        defaults.ok().and_then(|defaults| flatten(&defaults).ok()).unwrap_or_default().into_keys().collect();
    keys.sort();
    keys
}

fn unreadable(file: &Path) -> Option<String> {
    let error = std::fs::File::open(file).err()?;
    Some(format!("{}: cannot be read ({error}): check the path given with --config", file.display()))
}

/// Says where a file is not TOML, and why. The parser would also quote the line, which may hold a password.
fn not_toml(error: &config::ConfigError) -> String {
    let config::ConfigError::FileParse { uri, cause } = error else { return error.to_string() };
    let said = cause.to_string();
    let place = said.lines().next().and_then(|line| line.strip_prefix("TOML parse error at ")).unwrap_or("some place");
    let what = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("{}: is not valid TOML at {place}: {what}", uri.as_deref().unwrap_or("a file"))
}

fn defaults() -> File<config::FileSourceString, FileFormat> {
    File::from_str(DEFAULTS, FileFormat::Toml)
}

fn merge(sources: &Sources) -> Result<HashMap<String, Value>, config::ConfigError> {
    let mut builder = config::Config::builder().add_source(defaults());
    for file in &sources.files {
        builder = builder.add_source(File::from(file.as_path()).format(FileFormat::Toml));
    }
    for (variable, key) in WELL_KNOWN {
        if let Some(value) = sources.environment.get(variable) {
            let values: Map<String, String> = [(key.replace('.', "__"), value.clone())].into();
            builder = builder.add_source(Environment::default().separator("__").source(Some(values)));
        }
    }
    let keys = keys();
    let ours = sources.environment.iter().filter(|(name, _)| is_meant(name, &keys) && !is_order(name));
    let ours: Map<String, String> = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
    let environment = Environment::with_prefix("COURIER").prefix_separator("_").separator("__").source(Some(ours));
    let merged = builder.add_source(environment).build()?;
    flatten(&merged).map_err(|error| config::ConfigError::Message(error.to_string()))
}

/// Returns whether a variable is meant as a setting. Kubernetes describes a service named `courier` to its neighbours in
/// variables such as `COURIER_PORT` and `COURIER_SERVICE_HOST`. A name without the two underscores that has the words of a
/// setting is a mistake.
fn is_meant(variable: &str, keys: &[String]) -> bool {
    let letters = |text: &str| text.replace(['_', '.'], "").to_lowercase();
    variable
        .strip_prefix(PREFIX)
        .is_some_and(|name| name.contains("__") || keys.iter().any(|key| letters(key) == letters(name)))
}

/// Returns whether a variable is an order of a test.
#[cfg(debug_assertions)]
fn is_order(variable: &str) -> bool {
    variable == CRASH_AT || variable == PANIC_AT
}

/// No variable is: only builds for tests know orders.
#[cfg(not(debug_assertions))]
fn is_order(_: &str) -> bool {
    false
}

fn one(error: &config::ConfigError) -> ConfigError {
    ConfigError(vec![error.to_string()])
}

/// Returns every leaf by its dotted key.
fn flatten(config: &config::Config) -> Result<HashMap<String, Value>, ConfigError> {
    fn walk(prefix: &str, value: Value, leaves: &mut HashMap<String, Value>) {
        if let config::ValueKind::Table(table) = value.kind {
            for (key, value) in table {
                let dotted = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                walk(&dotted, value, leaves);
            }
        } else {
            leaves.insert(prefix.to_owned(), value);
        }
    }
    let mut leaves = HashMap::new();
    walk("", config.cache.clone(), &mut leaves);
    Ok(leaves)
}
