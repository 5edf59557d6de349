//! Has bash complete commands by the script that the program prints.

use std::process::Command;

use super::Folder;

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_and_options() {
    let folder = Folder::empty();
    let printed = folder.courier(&["completions", "bash"]);
    printed.is(0, &["complete -F _testmo__courier"]);
    std::fs::write(folder.path().join("script"), &printed.out).expect("a file");
    let offered = |words: &str| {
        // What bash does when a person presses the tabulator.
        let typed = format!("source ./script; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))");
        let ask = "_testmo__courier testmo-courier \"${COMP_WORDS[-1]}\"; echo \"${COMPREPLY[*]}\"";
        let output = Command::new("bash").args(["-ec", &format!("{typed}; {ask}")]).current_dir(folder.path()).output();
        let output = output.expect("bash");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(offered("testmo-courier tenants ver").trim(), "verify");
    assert_eq!(offered("testmo-courier tenants set --fol").trim(), "--folder");
    assert!(offered("testmo-courier completions ''").contains("bash zsh fish"));
    for shell in ["zsh", "fish"] {
        folder.courier(&["completions", shell]).is(0, &["rotate-master-key"]);
    }
    folder.courier(&["completions", "cmd"]).is(2, &["bash, zsh, fish"]);
}
