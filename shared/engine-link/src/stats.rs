//! Counters of both ends, cheap enough to keep always; metrics and tests read them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the link was opened.
#[derive(Debug, Default)]
pub struct Stats {
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    dropped: AtomicU64,
    reconnects: AtomicU64,
    refused: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Gateways that are connected with this process as a worker.
    pub gateways: usize,
    /// Workers that this process is connected with as a gateway.
    pub workers: usize,
    /// Frames read, beats included.
    pub frames_in: u64,
    /// Frames handed to sockets, beats included.
    pub frames_out: u64,
    /// Pushes that an endpoint did not get, for want of room: one for each endpoint.
    pub dropped: u64,
    /// Times that a connection to a worker ended, or could not be made, and is tried again.
    pub reconnects: u64,
    /// Connections that one of the ends did not want: the wrong certificate, protocol or cluster,
    /// or too many of them.
    pub refused: u64,
}

impl Stats {
    pub fn frame_in(&self) {
        self.frames_in.fetch_add(1, Ordering::Relaxed);
    }

    pub fn frame_out(&self) {
        self.frames_out.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dropped(&self, endpoints: u64) {
        self.dropped.fetch_add(endpoints, Ordering::Relaxed);
    }

    pub fn reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn counts(&self, gateways: usize, workers: usize) -> Counts {
        Counts {
            gateways,
            workers,
            frames_in: self.frames_in.load(Ordering::Relaxed),
            frames_out: self.frames_out.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
