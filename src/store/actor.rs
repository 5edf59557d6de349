//! Names who changes something, with which rights, and through which face of the program.

use std::fmt;
use std::str::FromStr;

/// What somebody may do. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also replays, discards, edits, pauses and verifies.
    Operator,
    /// Also changes tenants and tokens.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| format!("`{text}` is not a role: write viewer, operator or admin"))
    }
}

/// The part of the program through which something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// A command.
    CommandLine,
    /// The JSON API.
    Api,
    /// The pages.
    Console,
    /// The worker, because of something that a person did before.
    Worker,
}

impl Face {
    /// Every face.
    pub const ALL: [Self; 4] = [Self::CommandLine, Self::Api, Self::Console, Self::Worker];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommandLine => "command_line",
            Self::Api => "api",
            Self::Console => "console",
            Self::Worker => "worker",
        }
    }
}

impl FromStr for Face {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let face = Self::ALL.into_iter().find(|face| face.name() == text);
        face.ok_or_else(|| format!("`{text}` is not command_line, api, console or worker"))
    }
}

/// The most characters of an actor's name that are kept.
const LONGEST_NAME: usize = 100;

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    /// What it may do.
    pub role: Role,
    /// Through which face.
    pub face: Face,
}

impl Actor {
    /// Names an actor; of a long name only the beginning is kept, and a blank one becomes `unknown`.
    pub fn new(name: &str, role: Role, face: Face) -> Self {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        Self { name: if name.is_empty() { "unknown".into() } else { name }, role, face }
    }

    /// Returns the actor's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        for face in Face::ALL {
            assert_eq!(face.name().parse(), Ok(face));
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert!("root".parse::<Role>().unwrap_err().contains("viewer, operator or admin"));
        assert!("".parse::<Face>().is_err());
    }

    #[test]
    fn a_name_is_kept_to_what_can_be_shown() {
        let name = |text: &str| Actor::new(text, Role::Admin, Face::Api).name().to_owned();
        assert_eq!(name(" anna\n"), "anna");
        assert_eq!(name("\u{1b}[31mroot"), "[31mroot");
        assert_eq!(name("\t"), "unknown");
        assert_eq!(name(&"x".repeat(500)).len(), LONGEST_NAME);
    }
}
