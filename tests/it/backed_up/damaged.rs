//! Checks that a backup that is not what was written is refused with a reason and a remedy, and nothing is restored.

use std::fs;

use super::*;

/// A stage without a worker, a backup of its store, and a place for another store.
async fn backed_up() -> (Stage, String) {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let file = path(&stage, "backup.gz");
    done(&stage, &["store", "backup", &file]);
    stage.store.close().await;
    let place = format!("sqlite:{}", path(&stage, "restored.db"));
    stage.environment.insert("COURIER_STORE__URL".into(), place.clone());
    stage.config.store.url = place;
    (stage, file)
}

/// Lets a stage end, whose store has to be there.
async fn ended(mut stage: Stage, file: &str) {
    done(&stage, &["store", "restore", file, "--yes"]);
    let url = stage.config.store.url.clone();
    use_store(&mut stage, &url).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_wherever_it_is_damaged() {
    let (stage, file) = backed_up().await;
    let whole = fs::read(&file).expect("a backup");
    let other = path(&stage, "damaged.gz");
    let try_with = |bytes: &[u8]| {
        fs::write(&other, bytes).expect("a file");
        let (check, restore) = (
            run(&stage, &["store", "restore", &other, "--check"]),
            run(&stage, &["store", "restore", &other, "--yes"]),
        );
        assert_eq!(check.0, restore.0, "{} {}", check.1, restore.1);
        assert!(!stage.path("restored.db").exists(), "nothing is created");
        check
    };
    for at in [0, 1, 30, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let (code, said) = try_with(&whole[..at]);
        assert!(
            code == Some(1) && said.contains("damaged") || code == Some(2) && said.contains("not a backup"),
            "{said}"
        );
    }
    // Each bit of some bytes, beyond the part of the header that names no content.
    for at in (10..whole.len()).step_by((whole.len() / 12).max(1)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let (code, said) = try_with(&flipped);
        assert!(matches!(code, Some(1 | 2)), "byte {at}: {said}");
        assert!(said.contains("damaged") || said.contains("not a backup"), "byte {at}: {said}");
    }
    let (code, said) = try_with(&[whole.as_slice(), b"more"].concat());
    assert!(code == Some(1) && said.contains("follows its end"), "{said}");
    let (code, said) = try_with(b"a text");
    assert!(code == Some(2) && said.contains("`testmo-courier store backup` wrote"), "{said}");
    ended(stage, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_version_names_the_version_that_can_restore_it() {
    let (stage, file) = backed_up().await;
    for (from, to) in [("\"format\":1", "\"format\":2"), ("\"schema\":", "\"schema\":9")] {
        let other = path(&stage, "newer.gz");
        rewritten(&file, &other, from, to);
        let said = refused(&stage, &["store", "restore", &other, "--check"], 1);
        assert!(said.contains("written by version") && said.contains("use that version"), "{said}");
    }
    ended(stage, &file).await;
}

/// Writes a backup with one text replaced by another.
fn rewritten(file: &str, other: &str, from: &str, to: &str) {
    use std::io::{Read, Write};
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(file).expect("a backup")).read_to_string(&mut text).expect("a text");
    assert!(text.contains(from));
    let mut out = flate2::write::GzEncoder::new(fs::File::create(other).expect("a file"), Default::default());
    out.write_all(text.replacen(from, to, 1).as_bytes()).expect("a file");
    out.finish().expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_readable_file_is_named_with_what_to_do() {
    let (stage, file) = backed_up().await;
    let folder = path(&stage, "");
    for place in [folder.as_str(), "/nowhere/backup.gz"] {
        assert!(refused(&stage, &["store", "restore", place, "--check"], 2).contains("check the path"));
    }
    ended(stage, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_cannot_be_written_leaves_nothing_under_its_name() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let store = stage.config.store.file().expect("a file").display().to_string();
    assert!(refused(&stage, &["store", "backup", &store, "--replace"], 2).contains("is the store itself"));
    for place in [path(&stage, ""), "/nowhere/backup.gz".to_owned(), "/dev/null".to_owned()] {
        let (code, said) = run(&stage, &["store", "backup", &place, "--replace"]);
        assert!(code == Some(2) && said.contains("check the path"), "{place}: {said}");
    }
    // A limit on the size of files serves as a full disk.
    let file = path(&stage, "backup.gz");
    let program = command(&stage);
    let mut shell = std::process::Command::new("/bin/sh");
    let limited = "trap '' XFSZ && ulimit -f 1 && exec \"$0\" store backup \"$1\"";
    shell.arg("-c").arg(limited).arg(program.get_program()).arg(&file).env_clear().envs(&stage.environment);
    let output = shell.output().expect("a shell");
    assert!(!output.status.success(), "{output:?}");
    assert!(!stage.path("backup.gz").exists() && !stage.path("backup.gz.partial").exists());
    done(&stage, &["store", "backup", &file]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_not_restored_without_its_master_key() {
    let (stage, file) = backed_up().await;
    let key = stage.config.keys.master_key_file.clone();
    let kept = fs::read(&key).expect("a key");
    fs::write(&key, format!("{}\n", "ab".repeat(32))).expect("a key");
    for option in ["--check", "--yes"] {
        let (code, said) = run(&stage, &["store", "restore", &file, option]);
        assert_ne!(code, Some(0), "{said}");
        let remedy = if option == "--yes" { "restore that master key file" } else { "cannot be decrypted" };
        assert!(said.contains(remedy), "{said}");
    }
    assert!(refused(&stage, &["run"], 1).contains("incomplete"), "nobody uses what cannot be decrypted");
    fs::write(&key, kept).expect("a key");
    ended(stage, &file).await;
}
