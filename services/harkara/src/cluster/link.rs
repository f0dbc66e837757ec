//! Opens the link of a role: gateways follow the directory and connect, workers listen.

use std::{net::TcpListener, sync::Arc};

use harkara_engine::{Log, directory::Owners};
use harkara_engine_link::TcpLink;
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy, lifecycle::Exit};
use tokio::sync::watch;

use super::settings::Settings;
use crate::serving::Failure;

/// The link of this process.
///
/// # Errors
/// With the sentence to print.
pub fn open(
    settings: &Settings,
    log: &dyn Log,
    listener: Option<TcpListener>,
    owners: Option<watch::Receiver<Owners>>,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Arc<TcpLink>, Failure> {
    let options = settings.link.options(log.partitions(), clock);
    let options = options.map_err(|error| Failure::new(Exit::Settings, error))?;
    Ok(Arc::new(TcpLink::open(options, listener, owners, entropy.clone())?))
}
