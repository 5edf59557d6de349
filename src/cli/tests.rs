//! Checks that the texts of every command stay as they are.

use clap::{Command, CommandFactory, Parser};

use super::{Cli, names_a_key};

fn texts(command: &mut Command, path: &str, all: &mut String) {
    let help = command.render_long_help().to_string();
    all.push_str(&format!("\n$ {path} --help\n{help}"));
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name());
        texts(below, &path, all);
    }
}

#[test]
fn every_command_explains_itself() {
    let mut command = Cli::command();
    command.build();
    let mut all = String::new();
    texts(&mut command, "testmo-courier", &mut all);
    insta::assert_snapshot!(all);
}

#[test]
fn the_declarations_of_the_command_line_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn an_api_key_on_the_command_line_is_recognized_as_one() {
    let misuse = |arguments: &[&str]| Cli::try_parse_from(arguments).unwrap_err();
    for option in ["--key", "--api-key", "--token", "--key=s3cret"] {
        assert!(names_a_key(&misuse(&["testmo-courier", "tenants", "set", "acme", option, "s3cret"])), "{option}");
    }
    assert!(!names_a_key(&misuse(&["testmo-courier", "tenants", "set", "acme", "--keys", "x"])));
    assert!(!names_a_key(&misuse(&["testmo-courier", "tenants"])));
}
