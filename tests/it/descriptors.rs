//! Checks that a worker with few file descriptors delivers everything, whatever else takes descriptors.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use testmo_courier::store::shelf::ShelfState;
use testmo_sim::faults::{CommitTime, Fault};
use testmo_sim::world::AccountSpec;
use tokio::task::JoinSet;

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Enough files for some connections to Testmo, and for fewer than there are hosts.
const FEW: &str = "ulimit -n 84";

/// Passes connections on to a stand-in, as a host of its own.
async fn pass_on(listener: TcpListener, target: SocketAddr) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let mut passed = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        passed.spawn(async move {
            let mut server = tokio::net::TcpStream::connect(target).await.expect("the stand-in");
            // How a connection ends is the business of its two ends.
            drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_hosts_than_descriptors_get_everything_and_nothing_is_dead() {
    let tenants: Vec<String> = (0..60).map(|n| format!("tenant-{n}")).collect();
    let hosts: Vec<TcpListener> = tenants.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let address = |host: &TcpListener| host.local_addr().expect("its address");
    let origins: Vec<String> =
        tenants.iter().zip(&hosts).map(|(tenant, host)| format!("http://{}/{tenant}", address(host))).collect();
    let origins = [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", &*origins.join(","))];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &origins).await;
    let mut passing = JoinSet::new();
    for (tenant, host) in tenants.iter().zip(hosts) {
        stage.testmo.create(tenant, AccountSpec::with_one_folder(&key_of(tenant))).expect("an account");
        let origin = format!("http://{}/{tenant}", address(&host));
        passing.spawn(pass_on(host, stage.testmo.address()));
        assert!(stage.connect_to(tenant, &origin, &key_of(tenant)).await);
        // Long enough for many requests to be under way at once.
        stage.account(tenant).set_faults([on_create(Fault::Slow { ms: 200, commit: CommitTime::BeforeDelay })]);
    }
    let process = Process::start_limited(&stage, FEW).await;
    for id in ["b-1", "b-2"] {
        for tenant in &tenants {
            stage.publish(&batch(tenant, id, 2)).await;
        }
    }
    for id in ["b-1", "b-2"] {
        for tenant in &tenants {
            stage.delivered(&format!("{tenant}/{id}")).await;
        }
    }
    for tenant in &tenants {
        let mut there = stage.account(tenant).case_names();
        there.sort();
        assert_eq!(there, [names("b-1", 2), names("b-2", 2)].concat(), "{tenant}");
    }
    assert!(stage.shelf().await.iter().all(|row| row.state != ShelfState::Dead));
    let said = process.output();
    assert!(said.contains("the limit of open files leaves room for fewer requests at once"), "{said}");
    for trouble in ["Too many open files", "unable to open", "no socket is left"] {
        assert!(!said.contains(trouble), "{trouble}: {said}");
    }
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_to_the_observe_port_stop_neither_delivery_nor_probes() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start_limited(&stage, FEW).await;
    // The worker has closed most of the others by then.
    let mut held = VecDeque::new();
    for n in 0..1_000 {
        let mut stream = TcpStream::connect(process.address).expect("a connection");
        if n % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: cou").expect("half of a head");
        }
        held.push_back(stream);
        if held.len() > 200 {
            held.pop_front();
        }
        if n % 100 == 0 {
            stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
        }
    }
    for n in (0..1_000).step_by(100) {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    until(async || process.metric("process_open_fds").is_some()).await;
    let open = process.metric("process_open_fds").expect("a number");
    assert!(open < 60.0, "{open} descriptors are open");
    let said = process.output();
    assert!(!said.contains("Too many open files"), "{said}");
    drop(held);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_too_low_is_named_with_what_is_needed() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let mut process = Process::launch_limited(&stage, "ulimit -n 40");
    assert_eq!(process.exit().await.code(), Some(2));
    let said = process.output();
    assert!(said.contains("the limit of open files is 40, but the worker needs at least"), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_limit_is_raised() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start_limited(&stage, "ulimit -Sn 70 && ulimit -Hn 500").await;
    assert_eq!(process.metric("process_max_fds"), Some(500.0));
    let said = process.output();
    assert!(said.contains("the limit of open files was raised"), "{said}");
    process.stop().await;
    stage.end().await;
}
