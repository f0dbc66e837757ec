//! Encoded frames that wait for one socket, in order. Most of the time there is one or none, so the
//! first one lies in place: a delivery to a client that keeps up allocates nothing.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf as _, Bytes};

/// Frames in one `writev`. 64 slices take 1 KiB of stack; the kernel would take 1,024.
pub(super) const SLICES_MAX: usize = 64;

/// A queue whose first frame needs no memory of its own.
#[derive(Default)]
pub(super) struct Queue {
    first: Option<Bytes>,
    /// Empty while there is no first one.
    rest: VecDeque<Bytes>,
}

impl Queue {
    pub(super) fn push(&mut self, frame: Bytes) {
        if self.first.is_none() {
            self.first = Some(frame);
        } else {
            self.rest.push_back(frame);
        }
    }

    /// Runs `write` on the head of the queue; `None` when it is empty.
    pub(super) fn with_head<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> Option<R> {
        let first = self.first.as_ref()?;
        if self.rest.is_empty() {
            return Some(write(&[IoSlice::new(first)]));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        for (slice, frame) in slices.iter_mut().zip([first].into_iter().chain(&self.rest)) {
            *slice = IoSlice::new(frame);
        }
        Some(write(&slices[..(1 + self.rest.len()).min(SLICES_MAX)]))
    }

    /// Takes off as many bytes as the kernel took.
    pub(super) fn consume(&mut self, mut taken: usize) {
        while let Some(first) = self.first.as_mut().filter(|_| taken > 0) {
            let step = taken.min(first.len());
            first.advance(step);
            taken -= step;
            if first.is_empty() {
                self.first = self.rest.pop_front();
            }
        }
        if self.rest.is_empty() {
            // An idle session owns no memory here.
            self.rest = VecDeque::new();
        }
    }
}
