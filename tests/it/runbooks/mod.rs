//! Injects the fault of each alert, and carries out the commands of its runbook as they are written until the fault is gone.

mod broker;
mod certificates;
mod connections;
mod dead;
mod defects;
mod desk;
mod duplicates;
mod events;
mod machine;
mod page;
mod pruning;
mod replays;
mod rules;
mod servers;
mod store;
mod store_file;
mod stuck;
mod tenant_files;
mod waiting;

use std::collections::BTreeSet;

use testmo_courier::store::shelf::Shelved;

use self::page::{blocks, capitals, placeholders, text_of};
use crate::support::stage::Stage;
use crate::watching::alerts;

/// How the fault of an alert ends.
enum Ending {
    /// The commands under `Fix` end it.
    Commands,
    /// Somebody else ends it, or work that is no command; the commands under `Diagnose` print what the page shows.
    Outside(&'static str),
}

/// What is known of the runbook of an alert.
struct Entry {
    alert: &'static str,
    /// The test that injects the fault and carries out the commands; a test that does not exist does not compile.
    test: fn(),
    /// The source of the test.
    source: &'static str,
    ending: Ending,
}

use Ending::{Commands, Outside};

const TABLE: [Entry; 25] = [
    entry("CourierAbsent", machine::a_worker_that_ended_is_started, include_str!("machine.rs"), Commands),
    entry("CourierApiKeyExpiring", connections::TEST, include_str!("connections.rs"), Commands),
    entry("CourierBrokerDown", broker::connections_to_a_broker_come_back, include_str!("broker.rs"), Commands),
    entry(
        "CourierCertificateExpiring",
        certificates::a_renewed_certificate_is_taken_over,
        include_str!("certificates.rs"),
        Commands,
    ),
    entry("CourierDeadLetters", dead::TEST, include_str!("dead.rs"), Commands),
    entry(
        "CourierDeliveryBudgetBurning",
        defects::TEST,
        include_str!("defects.rs"),
        Outside(
            "More workers, a faster machine or a right clock end it, and the alert of a cause has commands of its own.",
        ),
    ),
    entry(
        "CourierDeliveryBudgetShrinking",
        defects::TEST,
        include_str!("defects.rs"),
        Outside("More workers or another schedule of generators and deployments end it."),
    ),
    entry(
        "CourierDuplicateCases",
        duplicates::duplicates_are_named_with_both_ids,
        include_str!("duplicates.rs"),
        Outside("The tenant decides which case of each pair to keep, and the worker deletes nothing."),
    ),
    entry(
        "CourierErrorBudgetBurning",
        defects::TEST,
        include_str!("defects.rs"),
        Outside("Another version of the worker ends it; the alert of the cause has the commands for what failed."),
    ),
    entry(
        "CourierErrorBudgetShrinking",
        defects::TEST,
        include_str!("defects.rs"),
        Outside("Another version of the worker ends it; the alert of the cause has the commands for what failed."),
    ),
    entry("CourierEventsExpiring", events::TEST, include_str!("events.rs"), Commands),
    entry("CourierEventsNotPublished", events::TEST, include_str!("events.rs"), Commands),
    entry("CourierEventsUnroutable", events::TEST, include_str!("events.rs"), Commands),
    entry("CourierInsecureOrigins", machine::origins_without_tls_are_removed, include_str!("machine.rs"), Commands),
    entry("CourierPanics", defects::TEST, include_str!("defects.rs"), Commands),
    entry(
        "CourierReplayStopped",
        replays::stopped_replays_go_on_or_are_cancelled,
        include_str!("replays.rs"),
        Commands,
    ),
    entry("CourierRequestsRejected", dead::TEST, include_str!("dead.rs"), Commands),
    entry(
        "CourierRetentionLagging",
        pruning::old_work_is_pruned_once_the_cause_is_gone,
        include_str!("pruning.rs"),
        Commands,
    ),
    entry("CourierShelfNeedsPerson", waiting::TEST, include_str!("waiting.rs"), Commands),
    entry("CourierStoreDown", store::a_database_comes_back, include_str!("store.rs"), Commands),
    entry("CourierStuck", stuck::a_worker_that_hangs_is_restarted, include_str!("stuck.rs"), Commands),
    entry("CourierTenantConnectionFailing", connections::TEST, include_str!("connections.rs"), Commands),
    entry(
        "CourierTenantFilesBroken",
        tenant_files::files_are_used_again_and_held_connections_removed,
        include_str!("tenant_files.rs"),
        Commands,
    ),
    entry(
        "CourierTestmoFailing",
        waiting::TEST,
        include_str!("waiting.rs"),
        Outside("Testmo or its operator ends it; the commands only shorten what follows."),
    ),
    entry("CourierUnknownTenant", connections::TEST, include_str!("connections.rs"), Commands),
];

const fn entry(alert: &'static str, test: fn(), source: &'static str, ending: Ending) -> Entry {
    Entry { alert, test, source, ending }
}

#[test]
fn every_alert_has_a_runbook_that_a_test_carries_out() {
    let listed: BTreeSet<String> = TABLE.iter().map(|entry| entry.alert.to_owned()).collect();
    assert_eq!(listed, alerts(), "each alert has an entry in the table of the runbooks");
    for Entry { alert, test, source, ending } in &TABLE {
        // That there is a test is certain once this is compiled.
        let _: &fn() = test;
        assert!(source.contains(&format!("Page::of(\"{alert}\")")), "the test of {alert} does not open its page");
        let page = blocks(&text_of(alert));
        let under = |heading: &str| page.iter().filter(|block| block.heading == heading).count();
        assert!(under("Diagnose") > 0, "{alert} has no command under Diagnose");
        match ending {
            Commands => assert!(under("Fix") > 0, "{alert} has no command under Fix"),
            Outside(why) => {
                assert!(why.ends_with('.'), "{alert}: {why}");
                let mute = page.iter().find(|block| block.heading == "Diagnose" && block.shown.is_empty());
                assert!(mute.is_none(), "{alert} does not show what a command under Diagnose prints");
            }
        }
    }
}

#[test]
fn the_commands_of_a_runbook_are_in_blocks_and_their_words_in_capitals_are_explained() {
    const PROGRAMS: [&str; 8] = [
        "testmo-courier ",
        "rabbitmqctl ",
        "rabbitmqadmin ",
        "systemctl ",
        "journalctl ",
        "openssl ",
        "psql ",
        "fuser ",
    ];
    let (explained, mut used) = (placeholders(), BTreeSet::new());
    for alert in alerts() {
        let text = text_of(&alert);
        let mut is_prose = true;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_prose = !is_prose;
            }
            let quoted = line.split('`').skip(1).step_by(2);
            let outside =
                quoted.filter(|_| is_prose).find(|quoted| PROGRAMS.iter().any(|name| quoted.starts_with(name)));
            assert_eq!(outside, None, "{alert}: a command in the text is carried out by no test");
        }
        let commands: Vec<String> = blocks(&text).into_iter().map(|block| block.commands).collect();
        // SQL and what the log is searched for have capitals of their own.
        let is_ours = |line: &&str| !line.starts_with("journalctl ");
        for line in commands.iter().flat_map(|commands| commands.lines()).filter(is_ours) {
            let strange = capitals(line).find(|word| !explained.iter().any(|known| known == word));
            assert!(strange.is_none() || line.starts_with("psql "), "{alert}: {strange:?} is not explained: {line}");
            used.extend(capitals(line).map(str::to_owned));
        }
    }
    let unused: Vec<&String> = explained.iter().filter(|word| !used.contains(*word)).collect();
    assert!(unused.is_empty(), "{unused:?} are explained and not used");
}

/// Returns an id of the shelf for an entry of a tenant, as a person reads it from `shelf list`.
async fn entry_of(stage: &Stage, tenant: &str) -> String {
    let shelf = stage.shelf().await;
    let is_it = |row: &&Shelved| row.tenant().is_some_and(|of| of.as_str() == tenant);
    shelf.iter().find(is_it).unwrap_or_else(|| panic!("{tenant} has no entry in {shelf:?}")).id.to_string()
}
