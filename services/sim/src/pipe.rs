//! A line between two processes: what is sent arrives in its order, each after its time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

type Delivery = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    queue: VecDeque<(Instant, Delivery)>,
    running: bool,
    closed: bool,
}

/// One direction of a line. Who sends bounds what is in it.
#[derive(Clone, Default)]
pub struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `deliver` runs after `latency`, and after everything that was sent before.
    #[expect(clippy::disallowed_methods, reason = "virtual time")]
    pub fn send(&self, latency: Duration, deliver: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        if latency.is_zero() && !state.running {
            drop(state);
            return deliver();
        }
        state.queue.push_back((Instant::now() + latency, Box::new(deliver)));
        if !state.running {
            state.running = true;
            drop(state);
            tokio::spawn(self.clone().run());
        }
    }

    /// What is in it is lost, and nothing goes in any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let lost = std::mem::take(&mut state.queue);
        drop(state);
        drop(lost);
    }

    async fn run(self) {
        loop {
            let due = {
                let mut state = self.state();
                match state.queue.front() {
                    Some((at, _)) => *at,
                    None => {
                        state.running = false;
                        return;
                    }
                }
            };
            tokio::time::sleep_until(due).await;
            let next = self.state().queue.pop_front();
            if let Some((_, deliver)) = next {
                deliver();
            }
        }
    }
}
