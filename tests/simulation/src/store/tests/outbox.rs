//! Compares events: those that are due and those that wait for a queue.

use testmo_courier::store::{OutboxStore, UnboundStore};

use super::{Both, Call, TAKEN_FOR, shown};

impl Both {
    pub(super) async fn outbox(&mut self) -> Call {
        let now = self.clock.now();
        let mut real = self.real.unsent(100, TAKEN_FOR).await.expect("events");
        let mut memory = self.memory.unsent(100, TAKEN_FOR, now);
        real.sort_by_key(|event| event.id.clone());
        memory.sort_by_key(|event| event.id.clone());
        let answers = (shown(&real), shown(&memory));
        let events = &real[..self.rng.usize(..=real.len())];
        match self.rng.u8(..4) {
            3 => {
                let (returned, behind) = events.split_at(self.rng.usize(..=events.len()));
                self.real.set_aside(returned, behind).await.expect("set aside");
                self.memory.set_aside(returned, behind, now);
            }
            0 => {
                self.real.mark_sent(events).await.expect("marked");
                self.memory.mark_sent(events);
            }
            1 => {
                let pause = self.wait();
                self.real.postpone(events, pause).await.expect("postponed");
                self.memory.postpone(events, pause, now);
            }
            _ => {
                let id = self.one_of(&["e1", "e2", "e3"]);
                self.real.resend_event("s", id).await.expect("due again");
                self.memory.resend_event(id, now);
            }
        }
        ("unsent", answers.0, answers.1)
    }

    pub(super) async fn unbound(&mut self) -> Call {
        let (now, most, wait) = (self.clock.now(), self.rng.u32(1..3), self.wait());
        if self.rng.bool() {
            let key = self.one_of(&["k", "l"]);
            let mut real = self.real.release_waiting(key, most, wait).await.expect("released");
            let mut memory = self.memory.release_waiting(key, most, wait, now);
            real.events.sort_by_key(|event| event.id.clone());
            memory.events.sort_by_key(|event| event.id.clone());
            return ("release_waiting", shown(&real), shown(&memory));
        }
        let mut real = self.real.take_probes(most, wait).await.expect("probes");
        let mut memory = self.memory.take_probes(most, wait, now);
        real.sort_by_key(|probe| probe.routing_key.clone());
        memory.sort_by_key(|probe| probe.routing_key.clone());
        if let Some(event) = real.iter().find_map(|probe| probe.event.clone()) {
            if self.rng.bool() {
                self.real.mark_sent(std::slice::from_ref(&event)).await.expect("marked");
                self.memory.mark_sent(&[event]);
            } else {
                self.real.set_aside(std::slice::from_ref(&event), &[]).await.expect("set aside");
                self.memory.set_aside(&[event], &[], now);
            }
        }
        ("take_probes", shown(&real), shown(&memory))
    }
}
