//! Reads an API key from the terminal without showing it, from the standard input, or from a file; never from the
//! command line, where the shell's history and other users can see it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use testmo_courier::app::connections::set::clean_key;

use super::super::failure::Failure;

/// The most bytes that are read, far more than any key has.
const MOST_BYTES: u64 = 4_096;

/// The ways in which a key may be given.
#[derive(Args, Debug, Default)]
#[group(multiple = false)]
pub(super) struct KeySource {
    /// Read the API key from this file
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Read the API key from the standard input
    #[arg(long)]
    api_key_stdin: bool,
    /// Ask for a new API key although one is stored
    #[arg(long)]
    new_api_key: bool,
}

impl KeySource {
    /// Returns whether a key is to be entered even where one is kept.
    pub(super) fn is_given(&self) -> bool {
        self.api_key_file.is_some() || self.api_key_stdin || self.new_api_key
    }

    /// Reads the key; `why` says what it is needed for.
    pub(super) fn read(&self, why: &str) -> Result<SecretString, Failure> {
        let text = match &self.api_key_file {
            Some(file) => File::open(file).and_then(limited).map_err(|error| {
                Failure::usage(
                    format!("{} cannot be read ({error})", file.display()),
                    "check the path of --api-key-file",
                )
            })?,
            None if self.api_key_stdin => limited(io::stdin()).map_err(|error| {
                Failure::usage(format!("the standard input cannot be read ({error})"), "send only the key")
            })?,
            None => asked(why)?,
        };
        checked(&text)
    }
}

fn limited(source: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
    source.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn asked(why: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(why, "use --api-key-stdin or --api-key-file FILE, or enter the key on a terminal"));
    }
    let typed = rpassword::prompt_password("API key (not shown): ");
    typed.map(Zeroizing::new).map_err(|error| {
        Failure::usage(
            format!("the API key cannot be asked for ({error})"),
            "use --api-key-stdin or --api-key-file FILE",
        )
    })
}

/// Checks a key: one that contains blanks or unusual characters was copied incorrectly.
fn checked(text: &str) -> Result<SecretString, Failure> {
    let key = clean_key(text);
    let copy = "copy it again from the user profile page in Testmo, or generate a new one there";
    if key.expose_secret().is_empty() {
        return Err(Failure::usage("the API key is empty", copy));
    }
    if !key.expose_secret().chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::usage("the API key contains spaces, line breaks or invalid characters", copy));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_what_was_copied_with_it() {
        for text in [
            " testmo_api_abc=\n",
            "\"testmo_api_abc=\"",
            "'testmo_api_abc='\r\n",
            "Bearer testmo_api_abc=",
            "Authorization: Bearer testmo_api_abc=",
            "\"bearer testmo_api_abc=\"",
        ] {
            assert_eq!(checked(text).unwrap().expose_secret(), "testmo_api_abc=", "{text}");
        }
        for text in ["", " \n", "two words", "two\nlines", "schlüssel", "a\u{200b}b"] {
            let failure = checked(text).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(text.trim().is_empty() || !format!("{failure:?}").contains(text), "{failure:?}");
        }
    }
}
