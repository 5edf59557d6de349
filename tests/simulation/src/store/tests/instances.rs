//! Random calls about instances of workers.

use testmo_courier::store::InstanceStore;

use super::{Both, Call, shown};

impl Both {
    pub(super) async fn instance(&mut self) -> Call {
        let now = self.clock.now();
        let name = ["w", "v"][self.rng.usize(..2)];
        let (run, hash) = (format!("run {}", self.rng.u8(..4)), format!("hash {}", self.rng.u8(..3)));
        match self.rng.u8(..5) {
            0 | 1 => {
                let real = self.real.begin_instance(name, &run).await;
                ("begin_instance", shown(&real), shown(&Ok::<_, ()>(self.memory.begin_instance(name, &run, now))))
            }
            2 => {
                let real = self.real.end_instance(name, &run).await;
                self.memory.end_instance(name, &run);
                ("end_instance", shown(&real), shown(&Ok::<_, ()>(())))
            }
            3 => {
                let hash = self.rng.bool().then_some(hash);
                let real = self.real.set_in_hand(name, &run, hash.as_deref()).await;
                self.memory.set_in_hand(name, &run, hash.as_deref());
                ("set_in_hand", shown(&real), shown(&Ok::<_, ()>(())))
            }
            _ => {
                let dropped = self.real.drop_suspicion(&hash).await;
                assert!(dropped.is_ok(), "{dropped:?}");
                self.memory.suspicions.remove(&hash);
                let real = self.real.suspicions().await;
                ("suspicions", shown(&real), shown(&Ok::<_, ()>(self.memory.suspected(now))))
            }
        }
    }
}
