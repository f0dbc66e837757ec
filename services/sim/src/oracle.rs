//! The judge: what must hold after a run, checked on what devices saw, what is stored and what the
//! log says. Names are those of `harkara_domain::invariants`; [`LIVENESS`] is what must come to pass
//! once nothing fails any more.
//!
//! - [`history`]: what is stored, and what the log makes of itself by the pure functions.
//! - [`seen`]: what each device saw.  [`cursors`]: read cursors.  [`rest`]: liveness.

pub mod cursors;
pub mod history;
pub mod rest;
pub mod seen;

use std::{fmt, rc::Rc};

use crate::{
    cluster::Cluster,
    device::{Device, witness::Saw},
};

pub use self::rest::restless;

/// Everything comes to rest when nothing fails: sends have outcomes, devices show everything.
pub const LIVENESS: &str = "liveness";

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The invariant's name.
    pub invariant: &'static str,
    /// Where and how.
    pub what: String,
}

impl Breach {
    /// A breach of this invariant.
    #[must_use]
    pub fn of(invariant: &'static str, what: String) -> Self {
        Self { invariant, what }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Checks everything that must hold at any time.
#[must_use]
pub fn judge(cluster: &Cluster, devices: &[Rc<Device>]) -> Vec<Breach> {
    let stored = history::stored(&cluster.tables.rows());
    let mut breaches = stored.breaches.clone();
    let told = history::told(&cluster.broker);
    breaches.extend(history::compare(&stored, &told));
    for device in devices {
        breaches.extend(seen::check(device, &stored, &told));
    }
    breaches.extend(cursors::check(devices, &stored, &cluster.tables.rows()));
    breaches
}

/// How many events a device has shown.
#[must_use]
pub fn shown(device: &Device) -> usize {
    device.witness.notes().iter().filter(|note| matches!(note.saw, Saw::Event(..))).count()
}
