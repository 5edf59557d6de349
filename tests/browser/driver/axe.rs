//! Finds what keeps people from using a page, with axe-core.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::Chromium;

/// Runs axe, and writes each finding with the elements that it is about.
const RUN: &str = "\
    const done = arguments[arguments.length - 1]; \
    const node = (node) => `${node.target.join(' ')} (${(node.failureSummary || '').replace(/\\s+/g, ' ')})`; \
    const line = (found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map(node).join('; ')}`; \
    axe.run(document, { resultTypes: ['violations'] }) \
        .then((result) => done(result.violations.map(line)), (error) => done([`axe: ${error}`]));";

/// Returns axe's script, as npm installs it.
fn source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env/node.sh");
        let installed = Command::new(installer).arg("tests/browser").output().expect("an end");
        assert!(installed.status.success(), "{installed:?}");
        let modules = String::from_utf8(installed.stdout).expect("a path");
        std::fs::read_to_string(Path::new(modules.trim()).join("axe-core/axe.min.js")).expect("axe-core")
    })
}

impl Chromium {
    /// Returns what axe finds on the page.
    pub(crate) async fn findings(&self) -> Vec<String> {
        self.client.execute(source(), vec![]).await.expect("a script that runs");
        let found = self.client.execute_async(RUN, vec![]).await.expect("an end of axe");
        let found = found.as_array().expect("findings");
        found.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
    }
}
