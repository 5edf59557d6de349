//! Follows what the program says as a person does who has a configuration and a shell.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use crate::support::process::run_reading;

/// A folder with a configuration, and a shell in which a person follows what the program says.
pub(super) struct Desk {
    pub(super) folder: tempfile::TempDir,
    pub(super) environment: HashMap<String, String>,
}

impl Desk {
    pub(super) fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment = HashMap::from([
            ("COURIER_AMQP__URL".to_owned(), "amqp://u:p@127.0.0.1:1/%2f".to_owned()),
            ("COURIER_STORE__URL".to_owned(), format!("sqlite:{}", path("courier.db"))),
            ("COURIER_KEYS__MASTER_KEY_FILE".to_owned(), path("courier.key")),
        ]);
        let mut desk = Self { folder, environment };
        settings.iter().for_each(|(name, value)| desk.set(name, value));
        desk
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn run(&self, line: &str) -> (Option<i32>, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_testmo-courier")).parent().expect("a folder");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).env_clear().envs(&self.environment).current_dir(self.folder.path());
        shell.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        run_reading(shell, "")
    }

    #[track_caller]
    pub(super) fn works(&self, line: &str) {
        let (code, said) = self.run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
    }

    /// Runs a line that has to fail with a remedy, and returns the first command that is quoted in it, if there is one.
    #[track_caller]
    pub(super) fn fails(&self, line: &str, remedy: &str) -> String {
        let (code, said) = self.run(line);
        assert!(code.is_some_and(|code| code > 0) && said.contains(remedy), "{line}: {remedy:?} is not in {said}");
        let quoted = said.split('`').skip(1).step_by(2).find(|quoted| quoted.contains(' '));
        quoted.unwrap_or_default().to_owned()
    }
}
