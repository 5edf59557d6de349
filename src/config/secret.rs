//! Reads settings that hold a secret: each from its own key, or from the file that the key with `_file` names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use super::reader::Reader;
use crate::private_file;

/// The most bytes of a file with a secret.
const LONGEST: u64 = 65_536;

/// A setting that holds a secret.
pub(super) struct Secret {
    /// The secret; empty if none is set, and `None` if its file cannot be used, which is reported then.
    pub(super) text: Option<String>,
    /// The file that it came from.
    pub(super) file: Option<PathBuf>,
    /// The key that a person has to correct if the secret is wrong.
    pub(super) name: String,
}

impl Secret {
    /// Reads the secret of `key`.
    pub(super) fn read(r: &mut Reader<'_>, key: &str) -> Self {
        let name = format!("{key}_file");
        let file = r.text(&name);
        if file.is_empty() {
            return Self { text: Some(r.text(key)), file: None, name: key.to_owned() };
        }
        if r.is_set(key) {
            r.mistake(format!("`{key}` and `{name}` are both set: leave one of them out"));
        }
        let file = PathBuf::from(file);
        let text = match secret_in(&file) {
            Ok(text) => Some(text),
            Err(problem) => {
                r.mistake(format!("`{name}`: {}: {problem}", file.display()));
                None
            }
        };
        Self { text, file: Some(file), name }
    }

    /// Returns whether a person has set it.
    pub(super) fn is_given(&self) -> bool {
        self.file.is_some() || self.text.as_ref().is_some_and(|text| !text.is_empty())
    }
}

/// Returns what is wrong with a file, and what to do; others must have no access to it if it is private.
pub(super) fn unusable(file: &Path, is_private: bool) -> Option<String> {
    match File::open(file) {
        Err(error) => Some(unreadable(&error)),
        Ok(_) => private_file::remedy_if_open(file).filter(|_| is_private).map(|remedy| open(&remedy)),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read ({error}); check the path, and whether this user may read the file and its folder")
}

fn open(remedy: &str) -> String {
    format!("other users of this machine can read or change it; run `{remedy}`")
}

/// Returns the secret in a file without the line break at its end, or what is wrong with the file and what to do.
pub(crate) fn secret_in(file: &Path) -> Result<String, String> {
    let opened = File::open(file).map_err(|error| unreadable(&error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if let Some(remedy) = private_file::remedy_if_open(file) {
        return Err(open(&remedy));
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes; the file has to hold the secret alone"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not text in UTF-8; write the secret as text".to_owned())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("is empty; write the secret into it".to_owned());
    }
    if text.contains(char::is_control) {
        return Err(
            "holds more than one line, or a control character; the file has to hold the secret alone".to_owned()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use crate::config::{Sources, load};

    fn with(environment: &[(&str, &str)]) -> Result<String, Vec<String>> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&Sources { environment, ..Sources::default() }).map(|config| config.amqp.url).map_err(|error| error.0)
    }

    #[test]
    fn a_file_holds_the_secret_alone_and_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let path = file.to_str().unwrap();
        let read = || with(&[("COURIER_AMQP__USER", "u"), ("COURIER_AMQP__PASSWORD_FILE", path)]);
        let problem = || {
            let problems = read().unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with("`amqp.password_file`: "), "{problems:?}");
            assert!(problems[0].contains(path) && !problems[0].contains("hunter2"), "{problems:?}");
            problems.concat()
        };
        assert!(problem().contains("cannot be read"), "there is none");
        for (mode, content, url) in [
            (0o600, "hunter2\n", "amqp://u:hunter2@127.0.0.1:5672/%2f"),
            (0o400, "hunter2\r\n", "amqp://u:hunter2@127.0.0.1:5672/%2f"),
            (0o440, " a%40:/?#b", "amqp://u:%20a%2540%3A%2F%3F%23b@127.0.0.1:5672/%2f"),
        ] {
            drop(std::fs::remove_file(&file));
            write(&file, content).unwrap();
            set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read().unwrap(), url);
        }
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(problem().contains(&format!("run `chmod 640 {path}`")));
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        for (content, why) in [
            ("\n".to_owned(), "is empty"),
            ("hunter2\nhunter3\n".to_owned(), "more than one line"),
            ("hunter2".repeat(10_000), "is longer than 65536 bytes"),
        ] {
            write(&file, content).unwrap();
            assert!(problem().contains(why));
        }
        write(&file, b"hunter2\xff").unwrap();
        assert!(problem().contains("not text"));
        write(&file, "hunter2").unwrap();
        let twice =
            [("COURIER_AMQP__PASSWORD", "x"), ("COURIER_AMQP__PASSWORD_FILE", path), ("COURIER_AMQP__USER", "u")];
        let problems = with(&twice).unwrap_err();
        assert_eq!(problems, ["`amqp.password` and `amqp.password_file` are both set: leave one of them out"]);
    }

    #[test]
    fn a_wrong_secret_is_reported_under_the_key_that_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        write(&file, "http://u:hunter2@h").unwrap();
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        for (variable, key) in [("AMQP_URL_FILE", "amqp"), ("DATABASE_URL_FILE", "store")] {
            let problems = with(&[(variable, file.to_str().unwrap())]).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].contains(&format!("`{key}.url_file` has to be")),
                "{problems:?}"
            );
            assert!(!problems[0].contains("hunter2"));
        }
    }
}
