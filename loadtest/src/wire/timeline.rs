//! Pages of a conversation's timeline, as `timeline.read` answers them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::frame;
use crate::{ids::Id, journal::Received};

/// Events in one page.
pub const PAGE: u64 = 500;

#[derive(Deserialize)]
struct WirePage {
    events: Vec<Box<RawValue>>,
    head: u64,
    complete: bool,
}

/// An event with its author's device and client id.
#[derive(Debug)]
pub struct Authored {
    /// From which device.
    pub device: Id,
    /// The device's id for the request.
    pub client_id: Id,
    /// The event.
    pub received: Received,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// In rising order.
    pub events: Vec<Authored>,
    /// The newest sequence.
    pub head: u64,
    /// Nothing is left in the direction asked for.
    pub complete: bool,
}

/// Reads the result of `timeline.read`.
///
/// # Errors
/// When it isn't one.
pub fn decode(result: &str) -> Result<Page, serde_json::Error> {
    let page: WirePage = serde_json::from_str(result)?;
    let events = page
        .events
        .iter()
        .map(|raw| {
            let (device, client_id, received) = frame::received(raw)?;
            Ok(Authored { device, client_id, received })
        })
        .collect::<Result<_, serde_json::Error>>()?;
    Ok(Page { events, head: page.head, complete: page.complete })
}
