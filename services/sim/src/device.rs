//! A device: the SDK's state machine with a shell around it, whose socket, disk and person are the
//! simulation's. It retries, resumes, is cut off, stalls, dies and comes back with its journal.
//!
//! - [`socket`]: frames on a line in memory.  [`habits`]: what its person does.
//! - [`witness`]: everything it saw, for the oracle.

pub mod habits;
pub mod kept;
pub mod shell;
pub mod socket;
pub mod witness;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use harkara_client::machine::Machine;
use harkara_domain::{ConversationId, DeviceId, Seq, TenantId, UserId};
use tokio::{io::DuplexStream, sync::Notify, sync::mpsc};

use self::{kept::Kept, witness::Witness};
use crate::{chance::Dice, world::World};

/// Who a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Its number among all.
    pub number: usize,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// Which one.
    pub device: DeviceId,
}

/// A device that comes to a gateway.
pub struct Visit {
    /// The gateway's end of the line.
    pub line: DuplexStream,
    /// What its token says.
    pub who: Who,
}

/// Where gateways take visits, by their places.
pub type Entrances = Rc<RefCell<BTreeMap<usize, mpsc::Sender<Visit>>>>;

/// What is wrong with a device's line.
#[derive(Debug, Default)]
pub struct Line {
    /// It is cut, which both ends see at once.
    pub cut: Cell<bool>,
    /// The device does not read before then, milliseconds of virtual time.
    pub stalled_until: Cell<u64>,
    /// Nothing gets through before then, which nobody sees.
    pub mute_until: Cell<u64>,
    /// One of these has changed.
    pub changed: Notify,
}

/// What outlives a device's process, and what others may look at.
pub struct Device {
    /// Who it is.
    pub who: Who,
    /// What is wrong with its line.
    pub line: Line,
    /// What is on its disk.
    pub kept: RefCell<Kept>,
    /// Everything it saw.
    pub witness: Rc<Witness>,
    /// The state machine, while its process lives.
    pub machine: RefCell<Option<Machine>>,
    /// Its chance.
    pub dice: Dice,
    /// It is gone for good.
    pub lost: Cell<bool>,
}

impl Device {
    /// A device that was never switched on.
    #[must_use]
    pub fn new(who: Who, seed: u64, witness: Rc<Witness>, keeps: bool) -> Rc<Self> {
        Rc::new(Self {
            who,
            line: Line::default(),
            kept: RefCell::new(Kept::new(keeps)),
            witness,
            machine: RefCell::default(),
            dice: Dice::new(seed, &format!("device {}", who.number)),
            lost: Cell::new(false),
        })
    }

    /// Is it in session, with an outcome for each of its sends?
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let machine = self.machine.borrow();
        machine.as_ref().is_some_and(|machine| machine.is_live() && machine.unsettled() == 0)
    }

    /// How many sends have no outcome, and whether it is in session.
    #[must_use]
    pub fn status(&self) -> String {
        let machine = self.machine.borrow();
        machine.as_ref().map_or_else(
            || "is off".to_owned(),
            |m| format!("live: {}, without outcome: {}", m.is_live(), m.unsettled()),
        )
    }

    /// The last event that it has shown.
    #[must_use]
    pub fn shown(&self, conversation: ConversationId) -> Seq {
        self.machine.borrow().as_ref().map_or(0, |machine| machine.floor(conversation))
    }
}

/// What devices share.
#[derive(Clone)]
pub struct Around {
    /// Time and weather.
    pub world: Arc<World>,
    /// Where gateways take visits.
    pub entrances: Entrances,
    /// Everybody of the tenant.
    pub users: Rc<[UserId]>,
    /// Nobody begins anything after this, milliseconds of virtual time.
    pub until_ms: Rc<Cell<u64>>,
    /// How long a person thinks, milliseconds on average.
    pub pause_ms: u64,
    /// How often they change a room or its members, in percent of what they do.
    pub changes_percent: u64,
    /// Conversations that all devices may make.
    pub rooms_max: usize,
}
