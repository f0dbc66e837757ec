//! The log against the store, for one conversation of `verify`: every record that is done became
//! an event, a rejection, or nothing for a reason; every row has its record. Decided again by the
//! rules themselves, so agreeing means equal in every field.

use harkara_domain::{Event, Position, Rejection};
use harkara_fanout::conversation::{
    decide::{Decision, decide},
    evolve,
};

use super::{records::Seen, walk::Walk};

/// What stands next in front of a limit.
enum Next<'a> {
    Record(&'a Seen),
    Rejection(Rejection),
    Both(&'a Seen, Rejection),
}

impl<'a> Walk<'a> {
    /// Records and rejections in front of a position, or all that are left.
    pub(super) fn rows_before(&mut self, limit: Option<Position>) {
        while let Some(next) = self.next(limit) {
            match next {
                Next::Record(seen) => self.record_alone(seen),
                Next::Rejection(rejection) => self.rejection_alone(rejection),
                Next::Both(seen, rejection) => self.refused(seen, rejection),
            }
        }
    }

    fn next(&mut self, limit: Option<Position>) -> Option<Next<'a>> {
        let before = |position: Position| limit.is_none_or(|limit| position < limit);
        let records = self.records;
        let place = |seen: &Seen| records.position(seen.offset);
        let seen: Option<&'a Seen> = self.seen.first().filter(|seen| before(place(seen)));
        let rejection = self.rejections.peek().copied().filter(|r| before(r.position));
        let order = seen.map(place).zip(rejection).map(|(at, r)| at.cmp(&r.position));
        let (record, row) = match (order, seen, rejection) {
            (_, None, None) => return None,
            (Some(order), ..) => (order.is_le(), order.is_ge()),
            (None, seen, row) => (seen.is_some(), row.is_some()),
        };
        let seen = seen.filter(|_| record);
        let rejection = rejection.filter(|_| row);
        if seen.is_some() {
            self.seen = self.seen.get(1..).unwrap_or_default();
        }
        if rejection.is_some() {
            self.rejections.next();
        }
        match (seen, rejection) {
            (Some(seen), Some(rejection)) => Some(Next::Both(seen, rejection)),
            (Some(seen), None) => Some(Next::Record(seen)),
            (None, Some(rejection)) => Some(Next::Rejection(rejection)),
            (None, None) => None,
        }
    }

    /// A record without a row: a repeat, or refused long ago.
    fn record_alone(&mut self, seen: &Seen) {
        if seen.offset >= self.records.committed {
            return;
        }
        let position = self.records.position(seen.offset);
        self.meet_snapshot(position);
        let record = seen.record(self.id, None);
        match decide(&self.state, &self.window, &record, position, seen.at) {
            Decision::Event(_) if self.is_forgetful() => {
                // Perhaps it repeats something whose rejection nobody remembers.
                self.report.count(|counts| counts.forgotten += 1);
            }
            Decision::Event(_) => {
                self.find(format_args!("{} has neither an event nor a rejection", self.told(seen)))
            }
            Decision::Rejection(rejection) => {
                // Snapshots forget the oldest; whether this one was among them shows where the
                // next snapshot is compared.
                self.report.count(|counts| counts.caused_rejections += 1);
                let rejection = Rejection { fingerprint: seen.fingerprint, ..rejection };
                if self.has_no_snapshot_of(position) {
                    self.find(format_args!("{} has no rejection", self.told(seen)));
                }
                evolve::rejection(&mut self.state, rejection);
            }
            Decision::Settled(_) | Decision::Repeated(_) | Decision::Skip => {
                self.report.count(|counts| counts.repeats += 1);
            }
        }
    }

    fn told(&self, seen: &Seen) -> String {
        let Seen { offset, device, client_id, .. } = seen;
        let partition = self.records.partition;
        format!("record {partition}/{offset} (device {device}, client id {client_id})")
    }

    /// A rejection whose record is not in the log.
    fn rejection_alone(&mut self, rejection: Rejection) {
        self.meet_snapshot(rejection.position);
        if self.is_in_log(rejection.position) {
            self.find(format_args!(
                "a rejection comes from the record at {}/{}, and it is not there",
                self.records.partition, rejection.position.offset
            ));
        }
        evolve::rejection(&mut self.state, rejection);
    }

    /// A record and its rejection.
    fn refused(&mut self, seen: &Seen, stored: Rejection) {
        self.meet_snapshot(stored.position);
        self.report.count(|counts| counts.caused_rejections += 1);
        let record = seen.record(self.id, None);
        let decision = decide(&self.state, &self.window, &record, stored.position, seen.at);
        let same = match decision {
            Decision::Rejection(decided) => {
                stored == Rejection { fingerprint: seen.fingerprint, ..decided }
            }
            _ => false,
        };
        if !same && !self.is_forgetful() {
            self.find(format_args!("{} was refused for no reason", self.told(seen)));
        }
        evolve::rejection(&mut self.state, stored);
    }

    /// Is there, or was there, a record at this position in what was read of the log? Notes rows
    /// of records that came since.
    fn is_in_log(&mut self, position: Position) -> bool {
        let (generation, offset) = (self.records.generation, position.offset);
        if position.generation > generation {
            self.find("a row comes from a later log than this one");
        }
        if position.generation != generation || offset < self.records.first {
            return false;
        }
        if offset >= self.records.end {
            self.ahead(offset);
            return false;
        }
        true
    }

    /// The record of the next event: it must be there and come to just this event.
    pub(super) fn record_of(&mut self, event: &Event) {
        let in_log = self.is_in_log(event.position);
        let first = self.seen.first().filter(|s| self.records.position(s.offset) == event.position);
        let Some(seen) = first else {
            if in_log {
                self.find(format_args!(
                    "event {} comes from the record at {}/{}, and it is not there",
                    event.seq, self.records.partition, event.position.offset
                ));
            }
            return;
        };
        self.seen = self.seen.get(1..).unwrap_or_default();
        self.report.count(|counts| counts.caused_events += 1);
        let record = seen.record(self.id, content(event));
        let decision = decide(&self.state, &self.window, &record, event.position, seen.at);
        let (told, seq) = (self.told(seen), event.seq);
        if (seen.device, seen.client_id) != (event.device, event.client_id) {
            self.find(format_args!("{told} is another request than event {seq}, which names it"));
        } else if record.command.fingerprint() != seen.fingerprint {
            self.find(format_args!("{told} asks for something else than event {seq} says"));
        } else {
            match decision {
                Decision::Event(decided) if *decided == *event => {}
                Decision::Event(_) => {
                    self.find(format_args!("{told} comes to another event {seq}"))
                }
                // A state that is broken already says so itself.
                _ => self.find(format_args!("{told} does not come to an event, and {seq} is one")),
            }
        }
    }
}

fn content(event: &Event) -> Option<&harkara_domain::Content> {
    match &event.body {
        harkara_domain::Body::Message { content, .. } => Some(content),
        _ => None,
    }
}
