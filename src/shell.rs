//! Writes arguments of commands that people copy into a shell.

use std::borrow::Cow;

/// Returns an argument as it is written in a shell.
pub fn in_shell(argument: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return Cow::Borrowed(argument);
    }
    Cow::Owned(format!("'{}'", argument.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_quoted_where_a_shell_would_read_something_else() {
        for (argument, written) in
            [("TC-2=3722", "TC-2=3722"), ("#2=3722", "'#2=3722'"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(in_shell(argument), written);
        }
    }
}
