//! Steady load and growth against the fake server: every delivery is counted, and a missing one is
//! told.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    rc::Rc,
};

use harkara_loadtest::{
    figures::{Figure, Measured},
    growth,
    steady::{self, Plan, Server, drive},
    system::{Session, Shape, Sink, Stamp, System},
};

use crate::fake::{self, Manners};

/// A process that does nothing: what is measured is not the point here.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("a process"))
    }

    fn server(&self, url: String) -> Server {
        Server { url: vec![url.clone(), url], server_pid: vec![self.0.id()], pin: None }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn load(push: bool, out: &Path) -> bool {
    let sleeper = Sleeper::start();
    let args = steady::Args {
        server: sleeper.server(fake::start(Manners::default()).await),
        sessions: 60,
        room: 3,
        rate: 50.0,
        seconds: 1,
        warm_up: 1,
        rounds: 2,
        bytes: 100,
        push,
        out: Some(out.to_owned()),
    };
    steady::run(args).await.expect("a run")
}

fn read(out: &Path) -> Measured {
    serde_json::from_str(&std::fs::read_to_string(out).expect("figures")).expect("JSON")
}

fn figure<'a>(measured: &'a Measured, key: &str) -> &'a Figure {
    measured.figures.iter().find(|figure| figure.key == key).expect(key)
}

fn out(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("figures.json")
}

#[tokio::test]
async fn durable_messages_arrive_everywhere() {
    let dir = tempfile::tempdir().expect("directory");
    assert!(load(false, &out(&dir)).await, "a delivery is missing");
    let measured = read(&out(&dir));
    assert_eq!(figure(&measured, "steady.missing").rounds, [0.0, 0.0]);
    assert_eq!(figure(&measured, "steady.refused").rounds, [0.0, 0.0]);
    assert!(figure(&measured, "steady.confirm_p99_ms").rounds.iter().all(|&ms| ms > 0.0));
    assert!(measured.notes[0].contains("each message is 3 deliveries"), "{:?}", measured.notes);
}

#[tokio::test]
async fn notices_of_typing_are_matched() {
    let dir = tempfile::tempdir().expect("directory");
    assert!(load(true, &out(&dir)).await, "a notice is missing");
    let measured = read(&out(&dir));
    assert_eq!(figure(&measured, "push.missing").rounds, [0.0, 0.0]);
    assert!(measured.notes[0].contains("each message is 2 deliveries"), "{:?}", measured.notes);
}

#[tokio::test]
async fn growth_has_a_ratio_for_each_axis() {
    let (dir, sleeper) = (tempfile::tempdir().expect("directory"), Sleeper::start());
    let args = growth::Args {
        server: sleeper.server(fake::start(Manners::default()).await),
        axis: Vec::new(),
        sessions: vec![6, 12],
        history: vec![10, 300],
        conversations: vec![2, 6],
        room: 3,
        history_rooms: 2,
        rate: 30.0,
        seconds: 1,
        warm_up: 0,
        rounds: 1,
        bytes: 60,
        out: Some(out(&dir)),
    };
    assert!(growth::run(args).await.expect("a run"), "a delivery is missing");
    let measured = read(&out(&dir));
    for axis in ["sessions", "history", "conversations"] {
        let ratio = figure(&measured, &format!("growth.{axis}.ratio"));
        assert_eq!(ratio.target.as_ref().map(|target| target.name.as_str()), Some("R13"));
    }
    assert_eq!(measured.plots.len(), 3);
}

/// Delivers at once to everybody but, of each tenth message, the last, and confirms half of them.
struct Leaky;

struct LeakySession {
    place: usize,
    sink: Rc<dyn Sink>,
}

impl System for Leaky {
    type Session = LeakySession;

    fn name(&self) -> String {
        "leaky".into()
    }

    fn pids(&self) -> Vec<u32> {
        vec![std::process::id()]
    }

    async fn open(
        &mut self,
        shape: Shape,
        sink: Rc<dyn Sink>,
    ) -> anyhow::Result<Vec<LeakySession>> {
        let session = |place| LeakySession { place, sink: Rc::clone(&sink) };
        Ok((0..shape.sessions).map(session).collect())
    }
}

impl Session for LeakySession {
    async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let number = Stamp::find(text.as_bytes()).expect("a stamp").number;
        let copies = if number.is_multiple_of(10) { 3 } else { 4 };
        let room = self.place / 4 * 4;
        (room..room + copies).for_each(|place| self.sink.frame(place, text.as_bytes()));
        if number.is_multiple_of(2) {
            self.sink.confirmed(self.place);
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_a_system_loses_is_told() {
    let shape = Shape { sessions: 8, room: 4, bytes: 100 };
    let plan = Plan { shape, rate: 100.0, warm_up: 0, seconds: 1 };
    let run =
        tokio::task::LocalSet::new().run_until(drive(&mut Leaky, &plan)).await.expect("a run");
    assert_eq!((run.counts.messages, run.counts.expected, run.missing()), (100, 400, 10));
    assert_eq!(run.counts.deliver.len(), 390);
    assert_eq!(run.counts.confirm.len(), 50);
    assert!(!run.is_whole() && run.refused() == 0);
    let oldest = run.samples.last().expect("a sample").books.age;
    assert!(oldest.as_millis() >= 900, "message 0 is nowhere near everywhere: {oldest:?}");
}
