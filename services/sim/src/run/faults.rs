//! What a fault does when its time comes, and when it is over.

use bytes::Bytes;

use super::Simulation;
use crate::{device::Line, process::Node, schedule::Fault};

/// A record of a known version that makes no sense.
const DAMAGED: &[u8] = b"\x01nonsense";

impl Simulation {
    /// How long it lasts, where it has an end, milliseconds.
    pub(super) fn begin_of(&mut self, number: usize, fault: &Fault) -> Option<u64> {
        match fault {
            Fault::Kill(node, ms) => {
                self.cluster.kill(*node);
                Some(*ms)
            }
            Fault::Drain(node, ms) => {
                self.cluster.drain(*node);
                Some(*ms)
            }
            Fault::Freeze(node, ms) => {
                self.freeze(*node, true);
                Some(*ms)
            }
            Fault::Weather(trouble, ms) => {
                self.world.weather().begin(number, trouble.clone());
                Some(*ms)
            }
            Fault::Crash(n, ms) => {
                self.switch_off(*n);
                Some(*ms)
            }
            once => {
                self.once(once);
                None
            }
        }
    }

    /// What needs no end.
    fn once(&mut self, fault: &Fault) {
        let now = self.world.now_ms();
        match fault {
            Fault::Clock(node, ms) => {
                if let Some(proc) = self.cluster.proc(*node) {
                    proc.jump(*ms);
                }
            }
            Fault::LogClock(ms) => self.world.weather().jump_log_clock(*ms),
            Fault::Shuffle => {
                let mut rng = self.world.dice.roll();
                self.cluster.broker.state().group.shuffle(self.world.elapsed(), &mut rng);
            }
            Fault::LoseFrames(node, frames) => self.cluster.wires.lose_frames(*node, *frames),
            Fault::Damage(partition) => {
                let broker = &self.cluster.broker;
                broker.land(broker.generation(), *partition, &[Bytes::from_static(DAMAGED)]);
            }
            Fault::Cut(n) => self.line(*n, |line| line.cut.set(true)),
            Fault::Stall(n, ms) => self.line(*n, |line| line.stalled_until.set(now + ms)),
            Fault::Mute(n, ms) => self.line(*n, |line| line.mute_until.set(now + ms)),
            Fault::Lose(n) => {
                self.switch_off(*n);
                if let Some(device) = self.devices.get(*n) {
                    device.lost.set(true);
                }
            }
            _ => {}
        }
    }

    fn line(&self, n: usize, change: impl FnOnce(&Line)) {
        if let Some(device) = self.devices.get(n) {
            change(&device.line);
            device.line.changed.notify_one();
        }
    }

    /// What had an end is over.
    pub(super) fn end_of(&mut self, number: usize, fault: &Fault) {
        match fault {
            Fault::Kill(node, _) | Fault::Drain(node, _) => self.cluster.start(*node),
            Fault::Freeze(node, _) => self.freeze(*node, false),
            Fault::Weather(..) => self.world.weather().end(number),
            Fault::Crash(n, _) => self.switch_on(*n, true),
            _ => {}
        }
    }

    pub(super) fn freeze(&self, node: Node, frozen: bool) {
        if let Some(proc) = self.cluster.proc(node) {
            proc.freeze(frozen);
        }
    }
}
