//! The outbox through losses, refusals and repeats.

use super::*;
use crate::times;

struct Bench {
    outbox: Outbox,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let mut outbox = Outbox::new(metrics);
        outbox.reconnected(4);
        Self { outbox, now: times::now() }
    }

    fn send(&mut self) -> (Id, oneshot::Receiver<Settled>) {
        let (done, outcome) = oneshot::channel();
        let id = times::new_id();
        let job = Job::new(
            "message.send",
            json!({"client_id": id}),
            Some(id),
            Done::Send(done),
            self.now,
        );
        self.outbox.push(job);
        (id, outcome)
    }

    /// Everything that may go out now: request ids and client ids.
    fn frames(&mut self) -> Vec<(u64, Option<Id>)> {
        std::iter::from_fn(|| {
            let (frame, client_id) = self.outbox.next_frame(self.now, false)?;
            let frame: Value = serde_json::from_str(&frame).expect("JSON");
            Some((frame["id"].as_u64().expect("an id"), client_id))
        })
        .collect()
    }

    fn accept(&mut self, id: u64) -> Effect {
        self.outbox.reply(id, Ok("{}".into()), self.now)
    }
}

#[test]
fn what_has_no_outcome_goes_out_again_in_its_order() {
    let mut bench = Bench::new();
    let sends: Vec<_> = (0..6).map(|_| bench.send()).collect();
    let first = bench.frames();
    assert_eq!(first.len(), 4, "not more than the server allows");
    assert!(matches!(bench.accept(first[0].0), Effect::Accepted(_)));
    assert!(bench.outbox.outcome(sends[1].0, How::Event, Ok(7), bench.now));
    bench.outbox.reconnected(10);
    let again: Vec<Id> = bench.frames().into_iter().filter_map(|frame| frame.1).collect();
    let open: Vec<Id> = [0, 2, 3, 4, 5].map(|i| sends[i].0).into();
    assert_eq!(again, open, "accepted is not an outcome");
    assert!(matches!(bench.accept(first[2].0), Effect::Nothing), "an answer of the old connection");
}

#[test]
fn every_outcome_is_told_once() {
    let mut bench = Bench::new();
    let mut sends: Vec<_> = (0..3).map(|_| bench.send()).collect();
    bench.frames();
    let ends = [
        (How::Event, Ok(4), Settled::At(4)),
        (How::Settled, Ok(2), Settled::At(2)),
        (How::Rejected, Err("not_a_member".to_owned()), Settled::Refused("not_a_member".into())),
    ];
    for ((id, outcome), (how, end, told)) in sends.iter_mut().zip(ends) {
        assert!(bench.outbox.outcome(*id, how, end.clone(), bench.now));
        assert!(!bench.outbox.outcome(*id, how, end, bench.now));
        assert_eq!(outcome.try_recv(), Ok(told));
    }
    assert!(bench.outbox.is_empty());
}

#[test]
fn a_refusal_that_may_pass_is_waited_out() {
    let mut bench = Bench::new();
    let (id, mut outcome) = bench.send();
    let frame = bench.frames()[0].0;
    let mut failure = Failure {
        code: "rate_limited".into(),
        retryable: true,
        retry_after_ms: 500,
        message: String::new(),
    };
    bench.outbox.reply(frame, Err(failure.clone()), bench.now);
    assert!(bench.frames().is_empty());
    bench.now += Duration::from_millis(501);
    let frame = bench.frames()[0];
    assert_eq!(frame.1, Some(id));
    failure.retryable = false;
    bench.outbox.reply(frame.0, Err(failure), bench.now);
    assert_eq!(outcome.try_recv(), Ok(Settled::Refused("rate_limited".into())));
}

#[test]
fn an_overdue_outcome_is_asked_for() {
    let mut bench = Bench::new();
    let (id, _outcome) = bench.send();
    let frame = bench.frames()[0].0;
    bench.accept(frame);
    bench.now += NUDGE_AFTER;
    bench.outbox.nudge(bench.now);
    bench.outbox.nudge(bench.now);
    let again: Vec<Id> = bench.frames().into_iter().filter_map(|frame| frame.1).collect();
    assert_eq!(again, [id]);
}

#[test]
fn giving_up_is_told() {
    let mut bench = Bench::new();
    let (id, mut outcome) = bench.send();
    assert_eq!(bench.outbox.give_up(), [id]);
    assert_eq!(outcome.try_recv(), Ok(Settled::GivenUp));
}
