//! Records on their way: times, sizes, reading everything from outside.

use bytes::Bytes;
use harkara_domain::Partition;
use harkara_engine::{Log, LogError, LogScan};
use harkara_engine_kafka::RECORD_BYTES_MAX;
use harkara_service_runtime::telemetry;
use harkara_test_engines::engines_or_skip;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{KEY, append, eventually, log, read, reader, shared_config};

/// The time that an appender is told is the one that is read, in each of many batches.
#[tokio::test(flavor = "multi_thread")]
async fn appenders_and_readers_know_the_same_time() {
    engines_or_skip!();
    let log = log(&shared_config()).await;
    let mut told = Vec::new();
    for batch in 0..20 {
        let pending: Vec<_> = (0..30)
            .map(|n| log.append(Partition(0), KEY, Bytes::from(format!("{batch} {n}"))))
            .collect();
        for pending in pending {
            told.push(pending.expect("queued").await.expect("appended"));
        }
    }
    let all = LogScan::read(&*log, Partition(0), 0, 1_000).await.expect("read");
    let read: Vec<_> = all.iter().map(|entry| (entry.offset, entry.at)).collect();
    let told: Vec<_> = told.iter().map(|told| (told.offset, told.at)).collect();
    assert_eq!(read, told);
    assert!(told.first().map(|(_, at)| *at) > Some(1_600_000_000_000), "and it is a time");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_record_fits_and_a_larger_one_is_refused() {
    engines_or_skip!();
    let log = log(&shared_config()).await;
    // Nothing that compression could make small.
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let large = Bytes::from_iter(noise.take(RECORD_BYTES_MAX));
    for _ in 0..4 {
        let queued = log.append(Partition(1), KEY, large.clone()).expect("queued");
        queued.await.expect("appended");
    }
    let refused = log.append(Partition(1), KEY, Bytes::from(vec![0; RECORD_BYTES_MAX + 1])).err();
    assert!(
        matches!(&refused, Some(LogError::Stop(why)) if why.contains("too large")),
        "{refused:?}"
    );
    let read = LogScan::read(&*log, Partition(1), 0, 10).await.expect("read");
    assert!(read.len() == 4 && read.iter().all(|entry| entry.record == large));
    assert_eq!(log.counts().appended, 4);
    log.close().await;
}

/// The trace of whoever appends stands in the record's headers, and comes out as it went in.
#[tokio::test]
async fn a_trace_travels_with_its_record() {
    engines_or_skip!();
    let log = log(&shared_config()).await;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let tracer = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (queued, trace) = tracing::info_span!("append")
        .in_scope(|| (log.append(Partition(0), KEY, "traced".into()), telemetry::trace::current()));
    queued.expect("queued").await.expect("appended");
    append(&*log, 0, "not traced").await.expect("appended");
    drop(tracer);
    assert!(trace.is_some(), "the span is recorded");
    let read = LogScan::read(&*log, Partition(0), 0, 10).await.expect("read");
    let traces: Vec<_> = read.into_iter().map(|entry| entry.trace).collect();
    assert_eq!(traces, [trace, None]);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_read_without_being_a_member() {
    engines_or_skip!();
    let log = log(&shared_config()).await;
    let bounds = log.bounds(Partition(2)).await.expect("bounds");
    assert_eq!((bounds.first, bounds.end, bounds.committed), (1, 1, 1), "the marker is no record");
    assert_eq!(log.read(Partition(2), 0, 10).await.expect("read"), []);
    for n in 0..25 {
        append(&*log, 2, &format!("r {n}")).await.expect("appended");
    }
    let mut assignments = log.consume().await.expect("consuming works");
    let mut readers = Vec::new();
    while readers.len() < 4 {
        readers.push(reader(&mut *assignments).await);
    }
    let ours = readers.iter_mut().find(|reader| reader.partition() == Partition(2));
    let ours = ours.expect("a lone member has all");
    let entries = read(&mut **ours, 25).await;
    let next = entries.get(9).map_or(0, |entry| entry.offset + 1);
    ours.committer().commit(next).await.expect("it is ours");
    eventually("the commit is seen from outside", async || {
        log.bounds(Partition(2)).await.is_ok_and(|bounds| bounds.committed == next)
    })
    .await;
    let bounds = log.bounds(Partition(2)).await.expect("bounds");
    assert_eq!((bounds.first, bounds.end), (1, 26));
    let mut scanned = Vec::new();
    let mut from = 0;
    while from < bounds.end {
        let page = log.read(Partition(2), from, 7).await.expect("read");
        assert!(!page.is_empty() && page.len() <= 7);
        from = page.last().map_or(from, |entry| entry.offset + 1);
        scanned.extend(page);
    }
    assert_eq!(scanned, entries, "the same in pages");
    assert_eq!(log.read(Partition(2), bounds.end, 7).await.expect("read"), []);
    drop((readers, assignments));
    log.close().await;
    assert!(matches!(append(&*log, 0, "late").await, Err(LogError::Stop(_))), "closed is closed");
}
