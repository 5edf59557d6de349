//! Compares claims for folders.

use testmo_courier::store::FolderStore;
use testmo_courier::store::folders::{FolderEnd, FolderLimits, NewFolder};

use super::{Both, Call, shown};

impl Both {
    pub(super) async fn folder(&mut self) -> Call {
        let (parent, account) = (self.rng.u64(1..3), self.account());
        let name = self.one_of(&["n", "a b", "a  b"]).to_owned();
        let new = NewFolder { account, project: 1, parent, name };
        let (holder, wait, now) = (self.one_of(&["w", "v"]), self.wait(), self.clock.now());
        match self.rng.u8(..6) {
            0 | 1 => {
                let shown_as = self.rng.bool().then(|| "a b".to_owned());
                let ends = [
                    FolderEnd::NotCreated,
                    FolderEnd::Created { id: self.rng.u64(5..9), shown_as },
                    FolderEnd::Astray(wait),
                    FolderEnd::Unknown(wait),
                ];
                let end = self.one_of(&ends);
                self.real.release_folder(&new, holder, &end).await.expect("freed");
                ("release_folder", shown(&()), shown(&self.memory.release_folder(&new, holder, &end, now)))
            }
            2 => {
                let id = self.rng.u64(5..9);
                self.real.forget_folder(&new, id).await.expect("forgotten");
                ("forget_folder", shown(&()), shown(&self.memory.forget_folder(&new, id)))
            }
            3 => {
                let limits = FolderLimits { window: self.wait(), unknown: self.wait(), spacing: self.wait() / 4 };
                let real = self.real.begin_folder_request(&new, holder, &limits).await.expect("an answer");
                (
                    "begin_folder_request",
                    shown(&real),
                    shown(&self.memory.begin_folder_request(&new, holder, &limits, now)),
                )
            }
            _ => {
                let real = self.real.claim_folder(&new, holder, wait).await.expect("an answer");
                ("claim_folder", shown(&real), shown(&self.memory.claim_folder(&new, holder, wait, now)))
            }
        }
    }
}
