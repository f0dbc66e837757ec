//! The queue of one connection's outgoing frames: bounded in bytes, never waited for.
//!
//! A push that finds no room is dropped, and the lane's state says so to the other end. The state
//! lives under the queue's lock, so that the other end reads drops and resumptions in the order
//! in which they happened.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use harkara_protocol::link::{self, FRAME_BYTES_MAX, Frame};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    options::{BATCH_BYTES, CONTROL_BYTES},
    stats::Stats,
};

/// Frames on their way out of one connection.
pub struct Outbox {
    state: Mutex<State>,
    /// Something was queued.
    ready: Notify,
    /// The connection shall end.
    pub stop: CancellationToken,
    pub stats: Arc<Stats>,
    bytes_max: usize,
    lane_bytes_max: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Piece>,
    bytes: usize,
    closed: bool,
    lanes: HashMap<u16, Lane>,
}

struct Lane {
    bytes: usize,
    /// None follows until it resumes.
    cut: bool,
}

struct Piece {
    head: Bytes,
    body: Bytes,
    lanes: Vec<u16>,
}

impl Piece {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Nothing was queued: no room, or the connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    pub fn new(
        bytes_max: usize,
        lane_bytes_max: usize,
        stop: CancellationToken,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            state: Mutex::default(),
            ready: Notify::new(),
            stop,
            stats,
            bytes_max,
            lane_bytes_max: lane_bytes_max.min(bytes_max),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a frame that keeps the ends in step. There is room for those beyond all others; an
    /// end that leaves so many unread is cut off.
    pub fn control(&self, frame: &Frame) {
        let mut state = self.state();
        self.control_in(&mut state, frame);
        drop(state);
        self.ready.notify_one();
    }

    fn control_in(&self, state: &mut State, frame: &Frame) {
        let head = framed(&link::encode(frame), 0);
        if state.bytes + head.len() > self.bytes_max + CONTROL_BYTES {
            self.stop.cancel();
            return;
        }
        put(state, Piece { head, body: Bytes::new(), lanes: Vec::new() });
    }

    /// Queues a question.
    pub fn ask(&self, encoded: &[u8]) -> Result<(), Full> {
        let mut state = self.state();
        let head = framed(encoded, 0);
        let has_room = state.bytes + head.len() <= self.bytes_max;
        if state.closed || !has_room || encoded.len() > FRAME_BYTES_MAX {
            return Err(Full);
        }
        put(&mut state, Piece { head, body: Bytes::new(), lanes: Vec::new() });
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Queues what an owner says for these lanes, as one frame for those with room. Gives back
    /// the lanes that do not exist.
    pub fn push(&self, lanes: &[u16], body: &Bytes) -> Vec<u16> {
        let mut state = self.state();
        if state.closed {
            return lanes.to_vec();
        }
        // The version, the variant, the count, and three bytes for each lane.
        let size = 4 + 10 + 3 * lanes.len() + body.len();
        let has_room = state.bytes + size <= self.bytes_max && size <= FRAME_BYTES_MAX;
        let (mut taken, mut gone) = (Vec::with_capacity(lanes.len()), Vec::new());
        let (mut lost, mut dropped) = (Vec::new(), 0);
        for lane in lanes {
            match state.lanes.get_mut(lane) {
                None => gone.push(*lane),
                Some(found) if found.cut => dropped += 1,
                Some(found) if has_room && found.bytes + size <= self.lane_bytes_max => {
                    taken.push(*lane);
                }
                Some(found) => {
                    found.cut = true;
                    lost.push(*lane);
                }
            }
        }
        if !taken.is_empty() {
            let head = link::encode(&Frame::Push { lanes: taken.clone() });
            let head = framed(&head, body.len());
            put(&mut state, Piece { head, body: body.clone(), lanes: taken });
        }
        self.stats.dropped(dropped + lost.len() as u64);
        for lane in lost {
            self.control_in(&mut state, &Frame::Lost { lane });
        }
        drop(state);
        self.ready.notify_one();
        gone
    }

    /// The other end has an endpoint on this lane.
    pub fn open(&self, lane: u16) {
        self.state().lanes.entry(lane).or_insert(Lane { bytes: 0, cut: false });
    }

    /// It has it no more.
    pub fn close(&self, lane: u16) {
        self.state().lanes.remove(&lane);
    }

    /// Does the other end have an endpoint on this lane?
    pub fn has(&self, lane: u16) -> bool {
        let state = self.state();
        !state.closed && state.lanes.contains_key(&lane)
    }

    /// The lane has room again: frames flow behind the word that they do.
    pub fn resume(&self, lane: u16) {
        let mut state = self.state();
        if let Some(found) = state.lanes.get_mut(&lane) {
            found.cut = false;
            self.control_in(&mut state, &Frame::Resumed { lane });
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Nothing is taken from now on; what waits may still be written.
    pub fn end(&self, reason: Option<&str>) {
        let mut state = self.state();
        if let Some(reason) = reason.filter(|_| !state.closed) {
            let head = framed(&link::encode(&Frame::Ended { reason: reason.to_owned() }), 0);
            put(&mut state, Piece { head, body: Bytes::new(), lanes: Vec::new() });
        }
        state.closed = true;
        drop(state);
        self.ready.notify_one();
    }

    /// Moves what waits into the batch until that is large enough; false where nothing waits.
    pub fn take(&self, batch: &mut BytesMut) -> bool {
        let mut state = self.state();
        while batch.len() < BATCH_BYTES {
            let Some(piece) = state.queue.pop_front() else { break };
            batch.put_slice(&piece.head);
            batch.put_slice(&piece.body);
            self.stats.frame_out();
            let size = piece.len();
            state.bytes -= size;
            for lane in piece.lanes {
                if let Some(lane) = state.lanes.get_mut(&lane) {
                    lane.bytes = lane.bytes.saturating_sub(size);
                }
            }
        }
        !batch.is_empty()
    }

    /// Waits until something may be there.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }
}

/// Length, version and form; `more` bytes follow as the frame's body.
pub fn framed(encoded: &[u8], more: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(4 + encoded.len());
    // Frames are below 1 MiB: `push` looks, and everything else is small.
    head.put_u32((encoded.len() + more) as u32);
    head.put_slice(encoded);
    head.freeze()
}

fn put(state: &mut State, piece: Piece) {
    let size = piece.len();
    state.bytes += size;
    for lane in &piece.lanes {
        if let Some(lane) = state.lanes.get_mut(lane) {
            lane.bytes += size;
        }
    }
    state.queue.push_back(piece);
}

#[cfg(test)]
mod tests {
    use harkara_test_costs::{Operation, assert_within};

    use super::*;

    fn outbox(bytes_max: usize, lane_bytes_max: usize) -> Outbox {
        let outbox =
            Outbox::new(bytes_max, lane_bytes_max, CancellationToken::new(), Arc::default());
        outbox.open(1);
        outbox.open(2);
        outbox
    }

    /// What was queued, with the length of each push's body.
    fn written(outbox: &Outbox) -> Vec<(Frame, usize)> {
        let mut batch = BytesMut::new();
        while outbox.take(&mut batch) && batch.len() >= BATCH_BYTES {}
        let mut frames = Vec::new();
        let mut bytes = &batch[..];
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            let (frame, body) = link::decode(frame).unwrap();
            frames.push((frame, body.len()));
            bytes = rest;
        }
        frames
    }

    fn push(lanes: &[u16]) -> (Frame, usize) {
        (Frame::Push { lanes: lanes.to_vec() }, 100)
    }

    #[test]
    fn a_push_is_one_frame_for_all_lanes() {
        let outbox = outbox(10_000, 10_000);
        assert_eq!(outbox.push(&[1, 7, 2], &Bytes::from(vec![0; 100])), [7]);
        assert_eq!(written(&outbox), [push(&[1, 2])]);
    }

    /// However many lanes: their list twice (one for the frame), the frame and what goes before it.
    #[test]
    fn a_push_keeps_to_its_allocations() {
        let push = |name, lanes: u16| {
            let outbox = outbox(10_000, 10_000);
            (0..lanes).for_each(|lane| outbox.open(lane));
            let lanes: Vec<u16> = (0..lanes).collect();
            let (body, mut batch) = (Bytes::from(vec![0; 500]), BytesMut::new());
            Operation::new(
                name,
                8,
                || (),
                move |()| {
                    outbox.push(&lanes, &body);
                    outbox.take(&mut batch);
                    batch.clear();
                },
            )
        };
        assert_within(vec![push("push to 1 lane", 1), push("push to 16 lanes", 16)]);
    }

    #[test]
    fn a_full_lane_is_cut_until_it_resumes_and_leaves_room_for_others() {
        let outbox = outbox(10_000, 300);
        let body = Bytes::from(vec![0; 100]);
        for _ in 0..5 {
            assert_eq!(outbox.push(&[1], &body), Vec::<u16>::new());
        }
        outbox.push(&[1, 2], &body);
        let lost = (Frame::Lost { lane: 1 }, 0);
        assert_eq!(written(&outbox), [push(&[1]), push(&[1]), lost, push(&[2])]);
        outbox.push(&[1, 2], &body);
        outbox.resume(1);
        outbox.push(&[1, 2], &body);
        let resumed = (Frame::Resumed { lane: 1 }, 0);
        assert_eq!(written(&outbox), [push(&[2]), resumed, push(&[1, 2])]);
    }

    #[test]
    fn a_full_connection_takes_no_questions_but_keeps_in_step() {
        let outbox = outbox(300, 300);
        let ask = link::encode(&Frame::Ended { reason: "x".repeat(120) });
        assert_eq!(outbox.ask(&ask), Ok(()));
        assert_eq!(outbox.ask(&ask), Ok(()));
        assert_eq!(outbox.ask(&ask), Err(Full));
        outbox.control(&Frame::Opened { lane: 3 });
        assert_eq!(written(&outbox).len(), 3);
        assert!(!outbox.stop.is_cancelled());
        for _ in 0..CONTROL_BYTES {
            outbox.control(&Frame::Opened { lane: 3 });
        }
        assert!(outbox.stop.is_cancelled(), "an end that reads nothing is cut off");
    }

    #[test]
    fn a_frame_beyond_the_limit_is_a_loss() {
        let outbox = outbox(10 * FRAME_BYTES_MAX, 10 * FRAME_BYTES_MAX);
        outbox.push(&[1], &Bytes::from(vec![0; FRAME_BYTES_MAX]));
        assert_eq!(written(&outbox), [(Frame::Lost { lane: 1 }, 0)]);
    }

    #[test]
    fn nothing_is_taken_after_the_end() {
        let outbox = outbox(1_000, 1_000);
        outbox.end(Some("closing"));
        assert_eq!(outbox.ask(&[1]), Err(Full));
        assert_eq!(outbox.push(&[1], &Bytes::new()), [1]);
        assert_eq!(written(&outbox), [(Frame::Ended { reason: "closing".to_owned() }, 0)]);
    }
}
