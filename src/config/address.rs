//! Reads the addresses of the broker and of the store, with users and passwords that have keys of their own.

use std::path::{Path, PathBuf};

use url::Url;

use super::reader::Reader;
use super::secret::{Secret, unusable};
use super::url::{file_of, has_password, is_server, redacted};

/// The only parameters that an SQLite store's URL may have: they say what is done anyway.
const ALLOWED: [&str; 2] = ["mode=rw", "mode=rwc"];
/// The parameters that name files for TLS.
const PARAMETERS: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
/// What a broker's address looks like.
const AMQP_URL: &str = "an address such as amqp://user:password@host:5672/%2f";
/// What a store's address looks like.
const STORE_URL: &str = "sqlite:FILE, or postgres://USER:PASSWORD@HOST:5432/DATABASE";

/// How an address was configured, without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The URL without its passwords, and without what other keys put into it; empty if it came from a file.
    pub url: String,
    /// The file that the URL came from.
    pub url_file: Option<PathBuf>,
    /// The user, if it has a key of its own.
    pub user: String,
    /// Whether the password has a key of its own.
    pub has_password: bool,
    /// The file that the password came from.
    pub password_file: Option<PathBuf>,
}

/// Reads the broker's address.
pub(super) fn read_amqp_url(r: &mut Reader<'_>) -> (String, Written) {
    let (url, password) = (Secret::read(r, "amqp.url"), Secret::read(r, "amqp.password"));
    let user = r.text("amqp.user");
    // The address by default has a user and a password that nobody has written.
    let is_default = url.file.is_none() && !r.is_set("amqp.url");
    let mut written = written(&url, &password);
    written.user.clone_from(&user);
    let Some(text) = url.text else { return (String::new(), written) };
    let Some(mut parsed) = Url::parse(&text).ok().filter(is_broker) else {
        r.problem(&url.name, AMQP_URL);
        return (text, written);
    };
    if user.is_empty() && !password.is_given() {
        return (text, written);
    }
    if is_default {
        parsed = without_credentials(parsed);
    }
    let has_user = !parsed.username().is_empty();
    if parsed.password().is_some() || (has_user && !user.is_empty()) {
        r.mistake(format!(
            "`{}` holds a user or a password that `amqp.user` or `amqp.password` sets, too: leave it out of the address",
            url.name
        ));
    } else if user.is_empty() && !has_user {
        r.mistake("`amqp.password` is set without a user: set `amqp.user`, too".into());
    } else if !password.is_given() {
        r.mistake("`amqp.user` is set without a password: set `amqp.password_file` or `amqp.password`, too".into());
    }
    if url.file.is_none() {
        written.url = parsed.to_string();
    }
    (with_credentials(parsed, &user, password.text.as_deref()).into(), written)
}

/// Reads the store's address.
pub(super) fn read_store_url(r: &mut Reader<'_>) -> (String, Written) {
    let (url, password) = (Secret::read(r, "store.url"), Secret::read(r, "store.password"));
    let written = written(&url, &password);
    let Some(text) = url.text else { return (String::new(), written) };
    if let Some((path, parameters)) = file_of(&text) {
        check_file(r, &url.name, path, parameters);
        if password.is_given() {
            r.mistake("`store.password` is for a database on a server: leave it out, or set `store.url` to one".into());
        }
        return (text, written);
    }
    let Some(mut parsed) = Url::parse(&text).ok().filter(|_| is_server(&text)) else {
        r.problem(&url.name, STORE_URL);
        return (text, written);
    };
    check_certificates(r, &url.name, &parsed);
    if !password.is_given() {
        return (text, written);
    }
    if has_password(&parsed) {
        r.mistake(format!("`{}` holds a password, and `store.password` is set: leave one of them out", url.name));
    }
    // A parameter also serves an address of a socket, which has no host to put a password before.
    parsed.query_pairs_mut().append_pair("password", password.text.as_deref().unwrap_or_default());
    (parsed.into(), written)
}

fn check_file(r: &mut Reader<'_>, name: &str, path: &str, parameters: &str) {
    let unknown: Vec<String> = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty() && !ALLOWED.contains(parameter))
        .map(|parameter| format!("`{}`", parameter.split('=').next().unwrap_or(parameter)))
        .collect();
    if path.trim_matches('/').is_empty() {
        r.problem(name, STORE_URL);
    } else if path == ":memory:" {
        r.problem(name, "sqlite:FILE: what is in memory would not outlive the process");
    } else if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        r.problem(name, &format!("sqlite:FILE, which has no parameter {unknown}: leave out what follows the `?`"));
    }
}

/// Checks that the files which a database's address names for TLS can be read.
fn check_certificates(r: &mut Reader<'_>, name: &str, url: &Url) {
    for (parameter, file) in url.query_pairs().filter(|(parameter, _)| PARAMETERS.contains(&parameter.as_ref())) {
        if let Some(problem) = unusable(Path::new(&*file), parameter == "sslkey") {
            r.mistake(format!("`{name}`: {parameter}={file}: {problem}"));
        }
    }
    let has = |wanted: &str| url.query_pairs().any(|(parameter, _)| parameter == wanted);
    if has("sslcert") != has("sslkey") {
        r.mistake(format!("`{name}`: sslcert and sslkey belong together: give both"));
    }
}

fn written(url: &Secret, password: &Secret) -> Written {
    let text = url.text.as_deref().filter(|_| url.file.is_none());
    Written {
        url: text.map(shown).unwrap_or_default(),
        url_file: url.file.clone(),
        user: String::new(),
        has_password: password.is_given() && password.file.is_none(),
        password_file: password.file.clone(),
    }
}

fn shown(url: &str) -> String {
    // The parser of URLs would change how a file is written.
    if file_of(url).is_some() { url.to_owned() } else { redacted(url) }
}

fn is_broker(url: &Url) -> bool {
    matches!(url.scheme(), "amqp" | "amqps") && url.has_host()
}

/// Returns a URL with this user, if it is not empty, and this password.
fn with_credentials(mut url: Url, user: &str, password: Option<&str>) -> Url {
    let has_user = user.is_empty() || url.set_username(&escaped(user)).is_ok();
    let is_whole = has_user && url.set_password(password.map(escaped).as_deref()).is_ok();
    debug_assert!(is_whole, "only a URL without a host takes none, and it was refused before");
    url
}

/// Returns a URL without a user and without a password.
fn without_credentials(mut url: Url) -> Url {
    let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    debug_assert!(is_bare, "only a URL without a host has none, and it was refused before");
    url
}

/// Escapes the sign that begins an escape; the parser of URLs escapes all others that need it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25")
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources, load};

    fn with(environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&Sources { environment, ..Sources::default() }).map_err(|error| error.0)
    }

    const USER: (&str, &str) = ("COURIER_AMQP__USER", "tom");
    const PASSWORD: (&str, &str) = ("COURIER_AMQP__PASSWORD", "a%4@:/b");

    #[test]
    fn user_and_password_of_the_broker_have_keys_of_their_own_beside_an_address_without_them() {
        for (url, whole) in [
            ("amqp://mq/v", "amqp://tom:a%254%40%3A%2Fb@mq/v"),
            ("amqps://[::1]:5671/%2f?heartbeat=5", "amqps://tom:a%254%40%3A%2Fb@[::1]:5671/%2f?heartbeat=5"),
        ] {
            let amqp = with(&[("AMQP_URL", url), USER, PASSWORD]).unwrap().amqp;
            assert_eq!((amqp.url.as_str(), amqp.written.url.as_str()), (whole, url));
        }
        let amqp = with(&[("AMQP_URL", "amqp://ann@mq/v"), PASSWORD]).unwrap().amqp;
        assert_eq!(amqp.url, "amqp://ann:a%254%40%3A%2Fb@mq/v");
        let amqp = with(&[USER, PASSWORD]).unwrap().amqp;
        assert_eq!(amqp.url, "amqp://tom:a%254%40%3A%2Fb@127.0.0.1:5672/%2f", "nobody has written guest:guest");
    }

    #[test]
    fn credentials_that_are_set_twice_or_in_part_are_mistakes() {
        for (set, why) in [
            (vec![("AMQP_URL", "amqp://ann:x@mq/v"), USER, PASSWORD], "leave it out of the address"),
            (vec![("AMQP_URL", "amqp://ann:x@mq/v"), PASSWORD], "leave it out of the address"),
            (vec![("AMQP_URL", "amqp://ann@mq/v"), USER, PASSWORD], "leave it out of the address"),
            (vec![("AMQP_URL", "amqp://mq/v"), PASSWORD], "set `amqp.user`"),
            (vec![("AMQP_URL", "amqp://mq/v"), USER], "set `amqp.password_file`"),
            (vec![("COURIER_STORE__PASSWORD", "x")], "is for a database on a server"),
            (
                vec![("DATABASE_URL", "postgres://u:y@db/d"), ("COURIER_STORE__PASSWORD", "x")],
                "`store.url` holds a password",
            ),
            (
                vec![("DATABASE_URL", "postgres:///d?password=y"), ("COURIER_STORE__PASSWORD", "x")],
                "`store.url` holds a password",
            ),
        ] {
            let problems = with(&set).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(why), "{problems:?}");
        }
    }

    #[test]
    fn the_password_of_a_database_has_a_key_of_its_own() {
        for (url, whole) in [
            ("postgres://u@db/d", "postgres://u@db/d?password=a%2B+%26%3D"),
            ("postgres:///d?host=/run&sslmode=disable", "postgres:///d?host=/run&sslmode=disable&password=a%2B+%26%3D"),
        ] {
            let store = with(&[("DATABASE_URL", url), ("COURIER_STORE__PASSWORD", "a+ &=")]).unwrap().store;
            assert_eq!((store.url.as_str(), store.written.url.as_str()), (whole, url));
            assert!(!format!("{store:?}").contains("a%2B"));
        }
    }
}
