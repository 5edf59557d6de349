//! Names the person who gives a command.

use std::collections::HashMap;

use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::config::Sources;

/// The variables in which a login name is found: who became another user by `sudo`, and the user.
const LOGIN_NAMES: [&str; 3] = ["SUDO_USER", "USER", "LOGNAME"];

/// Where the system keeps the names of its users.
const USERS: &str = "/etc/passwd";

/// Returns who gives the command: the name that is given, or else the login name. Those who can read the store and the master
/// key may do everything.
pub(super) fn actor(given: Option<&str>) -> Actor {
    let name = given.map_or_else(
        || {
            let users = std::fs::read_to_string(USERS).unwrap_or_default();
            login_name(&Sources::of_process(Vec::new()).environment, &users, rustix::process::getuid().as_raw())
        },
        str::to_owned,
    );
    Actor::new(&name, Role::Admin, Face::CommandLine)
}

/// Returns the login name, or the number of a user who has none.
fn login_name(environment: &HashMap<String, String>, users: &str, uid: u32) -> String {
    let named = LOGIN_NAMES.iter().filter_map(|name| environment.get(*name)).find(|name| !name.trim().is_empty());
    named.cloned().or_else(|| user_of(users, uid)).unwrap_or_else(|| format!("uid {uid}"))
}

/// Returns the name of a user by its number; a line is `name:password:uid:...`.
fn user_of(users: &str, uid: u32) -> Option<String> {
    let found = users.lines().find(|line| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(uid))?;
    found.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_given_by_the_user_who_became_root_then_by_the_user_then_by_a_number() {
        const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        for (environment, uid, expected) in [
            (&[("SUDO_USER", "anna"), ("USER", "root")][..], 0, "anna"),
            (&[("SUDO_USER", " "), ("USER", "bert"), ("LOGNAME", "carla")], 0, "bert"),
            (&[("LOGNAME", "carla")], 0, "carla"),
            (&[], 1_000, "anna"),
            (&[], 65_532, "uid 65532"),
        ] {
            let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(login_name(&environment, USERS, uid), expected);
        }
    }

    #[test]
    fn a_given_name_comes_before_the_login_name() {
        let given = actor(Some("anna"));
        assert_eq!((given.name(), given.role, given.face), ("anna", Role::Admin, Face::CommandLine));
    }
}
