//! Checks claims to create a folder, the number of create requests, and the id that is stored.

use std::time::Duration;

use testmo_courier::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};

use crate::Subject;

cases! {
    ($) folders_cases in folders:
    a_folder_is_claimed_by_one_worker_and_free_again_after_the_settle_time,
    the_id_of_a_created_folder_is_known_to_every_worker_under_every_spelling_of_its_name,
    a_create_request_is_counted_before_it_is_sent_even_if_its_worker_dies,
    a_create_request_that_created_nothing_is_not_counted,
    a_worker_whose_claim_was_taken_over_may_not_send_but_a_folder_it_created_is_kept,
}

const LEASE: Duration = Duration::from_secs(60);
const LIMITS: FolderLimits = FolderLimits {
    window: Duration::from_secs(86_400),
    unknown: Duration::from_secs(86_400),
    spacing: Duration::from_secs(60),
};

fn folder() -> NewFolder {
    NewFolder { account: "a".into(), project: 1, parent: 2, name: "Größe n".into() }
}

fn created(id: u64) -> FolderEnd {
    FolderEnd::Created { id, shown_as: Some("n".into()) }
}

/// The requests of a worker about [`folder`].
impl dyn Subject + '_ {
    async fn claim_folder(&self, holder: &str) -> FolderClaim {
        self.store().claim_folder(&folder(), holder, LEASE).await.unwrap()
    }

    async fn begin_folder_request(&self, holder: &str) -> FolderPermit {
        self.store().begin_folder_request(&folder(), holder, &LIMITS).await.unwrap()
    }

    async fn release_folder(&self, holder: &str, end: FolderEnd) {
        self.store().release_folder(&folder(), holder, &end).await.unwrap();
    }
}

fn is_granted(claim: &FolderClaim) -> bool {
    matches!(claim, FolderClaim::Granted { .. })
}

async fn a_folder_is_claimed_by_one_worker_and_free_again_after_the_settle_time(f: &dyn Subject) {
    assert!(is_granted(&f.claim_folder("w1").await));
    assert_eq!(f.claim_folder("w2").await, FolderClaim::Busy(LEASE));
    f.release_folder("w1", FolderEnd::Unknown(Duration::from_secs(5))).await;
    assert_eq!(f.claim_folder("w1").await, FolderClaim::Busy(Duration::from_secs(5)));
    f.set_time(1_005_000).await;
    assert!(is_granted(&f.claim_folder("w2").await));
    f.release_folder("w1", FolderEnd::NotCreated).await;
    assert_eq!(f.claim_folder("w3").await, FolderClaim::Busy(LEASE), "only its holder frees it");
    f.release_folder("w2", FolderEnd::NotCreated).await;
    assert!(is_granted(&f.claim_folder("w3").await));
}

async fn the_id_of_a_created_folder_is_known_to_every_worker_under_every_spelling_of_its_name(f: &dyn Subject) {
    assert_eq!(f.claim_folder("w1").await, FolderClaim::Granted { created: vec![] });
    assert_eq!(f.begin_folder_request("w1").await, FolderPermit::Granted);
    f.release_folder("w1", created(7)).await;
    let other = f.another_worker().await;
    let known = KnownFolder { id: 7, shown_as: Some("n".into()), since: 1_000_000 };
    for name in ["Größe n", " Größe   n", "Gro\u{308}ße\u{a0}n"] {
        let spelled = NewFolder { name: name.into(), ..folder() };
        assert_eq!(other.known_folder(&spelled).await.unwrap(), Some(known.clone()), "{name}");
    }
    for another in [NewFolder { parent: 3, ..folder() }, NewFolder { name: "größe n".into(), ..folder() }] {
        assert_eq!(other.known_folder(&another).await.unwrap(), None);
    }
    assert_eq!(f.claim_folder("w2").await, FolderClaim::Granted { created: vec![7] });
    assert_eq!(f.begin_folder_request("w2").await, FolderPermit::Known);
    f.release_folder("w2", created(9)).await;
    assert_eq!(f.store().known_folder(&folder()).await.unwrap(), Some(known), "the first one counts");
    f.store().forget_folder(&folder(), 9).await.unwrap();
    assert!(f.store().known_folder(&folder()).await.unwrap().is_some());
    f.store().forget_folder(&folder(), 7).await.unwrap();
    assert_eq!(f.store().known_folder(&folder()).await.unwrap(), None);
    assert_eq!(f.claim_folder("w3").await, FolderClaim::Granted { created: vec![] });
    assert_eq!(
        f.begin_folder_request("w3").await,
        FolderPermit::Granted,
        "it vanished, and may be created again at once"
    );
}

async fn a_create_request_is_counted_before_it_is_sent_even_if_its_worker_dies(f: &dyn Subject) {
    // Each worker dies while it holds its claim.
    for (at, holder) in [(1_000_000, "w1"), (1_060_000, "w2")] {
        f.set_time(at).await;
        assert!(is_granted(&f.claim_folder(holder).await));
        assert_eq!(f.begin_folder_request(holder).await, FolderPermit::Granted);
        assert_eq!(
            f.begin_folder_request(holder).await,
            FolderPermit::Granted,
            "repeated, because the response was lost"
        );
    }
    f.set_time(1_120_000).await;
    assert!(is_granted(&f.claim_folder("w3").await));
    assert_eq!(f.begin_folder_request("w3").await, FolderPermit::Spent(Duration::from_millis(86_400_000 - 120_000)));
    f.release_folder("w3", FolderEnd::NotCreated).await;
    f.set_time(1_000_000 + 86_400_000).await;
    assert!(is_granted(&f.claim_folder("w4").await));
    assert_eq!(f.begin_folder_request("w4").await, FolderPermit::Granted);
}

async fn a_create_request_that_created_nothing_is_not_counted(f: &dyn Subject) {
    for _ in 0..5 {
        assert!(is_granted(&f.claim_folder("w1").await));
        assert_eq!(f.begin_folder_request("w1").await, FolderPermit::Granted);
        f.release_folder("w1", FolderEnd::NotCreated).await;
        f.release_folder("w1", FolderEnd::NotCreated).await;
    }
}

async fn a_worker_whose_claim_was_taken_over_may_not_send_but_a_folder_it_created_is_kept(f: &dyn Subject) {
    assert!(is_granted(&f.claim_folder("w1").await));
    f.set_time(1_060_000).await;
    assert_eq!(f.begin_folder_request("w1").await, FolderPermit::Lost);
    assert!(is_granted(&f.claim_folder("w2").await));
    assert_eq!(f.begin_folder_request("w1").await, FolderPermit::Lost);
    assert_eq!(f.begin_folder_request("w2").await, FolderPermit::Granted);
    f.release_folder("w1", created(7)).await;
    assert_eq!(f.store().known_folder(&folder()).await.unwrap().map(|known| known.id), Some(7));
    assert_eq!(f.claim_folder("w3").await, FolderClaim::Busy(LEASE));
}
