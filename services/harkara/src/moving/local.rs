//! A standalone's data directory for `export`, `import`, `rebuild` and `verify`, and what these
//! commands print. Another composition has other engines and uses [`import_into`],
//! [`rebuild_with`] and [`verify_with`].
//!
//! The directory's lock is held meanwhile: a server that runs is the other process that its error
//! speaks of.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use harkara_engine::{Log, LogScan, Store, StoreScan};
use harkara_engine_embedded::{Embedded, OpenError, Options};
use harkara_fanout::{Config, Engines};
use harkara_service_runtime::{
    clock::{SharedClock, SystemClock},
    entropy::SystemEntropy,
};

use super::{
    Progress,
    archive::{Archive, CHUNK_BYTES},
    export, import,
    rebuild::{self, held::Held},
    settle, verify,
};

/// Exports a stopped standalone; `fanout` is for what its log still has to become. Needs the threads of an actix system.
///
/// # Errors
/// With what to do.
pub async fn export(data: &Path, to: &Path, fanout: Config) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let progress = Progress::new(clock.clone());
    let embedded = open(data, None, clock.clone())?;
    let exported = export_from(&embedded, to, (fanout, clock), &progress).await;
    embedded.close().await?;
    let counts = exported?;
    print(&format!(
        "exported to {}: {} conversations, {} events, {} list rows, {} read cursors, {} profiles",
        to.display(),
        counts.conversations,
        counts.events,
        counts.memberships,
        counts.cursors,
        counts.profiles
    ));
    Ok(())
}

async fn export_from(
    embedded: &Embedded,
    to: &Path,
    (fanout, clock): (Config, SharedClock),
    progress: &Progress,
) -> anyhow::Result<super::archive::Counts> {
    let engines = Engines {
        log: embedded.log(),
        store: embedded.store(),
        link: embedded.link(),
        directory: embedded.directory(),
        address: String::new(),
    };
    let (log, store) = (embedded.log_scan(), embedded.store_scan());
    let settled = settle::settle(&*log, engines, fanout, clock, SystemEntropy::shared()).await?;
    if settled > 0 {
        progress.say(&format!("{settled} records of the log became events first"));
    }
    export::export(&*store, &*log, to, CHUNK_BYTES, progress).await
}

/// Imports into a data directory, which is made with so many partitions if it is new.
///
/// # Errors
/// With what to do.
pub async fn import(
    from: &Path,
    data: &Path,
    partitions: u16,
    remembered: Option<PathBuf>,
) -> anyhow::Result<()> {
    let archive = Archive::open(from)?;
    let embedded = open(data, Some(partitions), SystemClock::shared())?;
    let store = embedded.store();
    let imported = import_into(&archive, &*store, remembered).await;
    // What was written is durable when it is closed, and not before.
    embedded.close().await?;
    imported
}

/// Imports into a store and says so. `remembered` is a file of its own in the archive by default.
///
/// # Errors
/// With what to do.
pub async fn import_into(
    archive: &Archive,
    store: &dyn Store,
    remembered: Option<PathBuf>,
) -> anyhow::Result<()> {
    let progress = Progress::new(SystemClock::shared());
    let remembered = match remembered {
        Some(path) => path,
        None => {
            let generation = store.generation().await?.map_or(0, |generation| generation.0);
            archive.dir().join(format!("imported-{generation}.json"))
        }
    };
    let done = import::import(archive, store, &remembered, &progress).await?;
    let counts = archive.manifest.counts;
    print(&format!(
        "imported {}: {} conversations, {} events ({} written now, {} compared and there before)",
        archive.dir().display(),
        counts.conversations,
        counts.events,
        done.written,
        done.there
    ));
    Ok(())
}

/// Verifies a stopped standalone: is all well?
///
/// # Errors
/// With what to do.
pub async fn verify(data: &Path, json: bool) -> anyhow::Result<bool> {
    let embedded = open(data, None, SystemClock::shared())?;
    let well = verify_with(&*embedded.store_scan(), &*embedded.log_scan(), json).await;
    embedded.close().await?;
    well
}

/// Verifies a store and its log and prints what was found: is all well?
///
/// # Errors
/// Something can't be read.
pub async fn verify_with(
    store: &dyn StoreScan,
    log: &dyn LogScan,
    json: bool,
) -> anyhow::Result<bool> {
    let progress = Progress::new(SystemClock::shared());
    let report = verify::verify(store, log, &progress).await?;
    // The exit code says it, too.
    let _closed = report.write(&mut std::io::stdout().lock(), json);
    Ok(report.is_well())
}

/// Rebuilds the store of a stopped standalone from its log: was all of it reached?
///
/// # Errors
/// With what to do.
pub async fn rebuild(data: &Path, config: &Config, json: bool) -> anyhow::Result<bool> {
    let embedded = open(data, None, SystemClock::shared())?;
    let (store, scan) = (embedded.store_scan(), embedded.log_scan());
    let rebuilt = rebuild_with(&*store, (&*embedded.log(), &*scan), config, json).await;
    // What was written is durable when it is closed, and not before.
    embedded.close().await?;
    rebuilt
}

/// Rebuilds a store from its log and prints what was done: was all of it reached?
///
/// # Errors
/// Something can't be read or written, or workers run.
pub async fn rebuild_with(
    store: &dyn StoreScan,
    (log, scan): (&dyn Log, &dyn LogScan),
    config: &Config,
    json: bool,
) -> anyhow::Result<bool> {
    let progress = Progress::new(SystemClock::shared());
    let held = Held::all(log, &progress).await?;
    let report = rebuild::rebuild((store, scan), &held, config.into(), &progress).await?;
    // The exit code says it, too.
    let _closed = report.write(&mut std::io::stdout().lock(), json);
    Ok(report.is_whole())
}

/// Opens a data directory, whatever number of partitions it was made with. It is made only where
/// `new` says with how many.
fn open(data: &Path, new: Option<u16>, clock: SharedClock) -> anyhow::Result<Embedded> {
    let db = data.join("db");
    let there = db.try_exists().with_context(|| format!("can't look into {}", data.display()))?;
    ensure!(
        there || new.is_some(),
        "{} is no data directory of a standalone: name the one of `data.dir`",
        data.display()
    );
    // Nothing is removed from the log because somebody looked at it.
    let retention = Duration::MAX;
    let partitions = new.unwrap_or(Options::default().partitions);
    let options = Options { partitions, retention, ..Options::default() };
    match Embedded::open(data, options.clone(), clock.clone()) {
        Err(OpenError::Partitions { found, .. }) => {
            let Ok(partitions) = u16::try_from(found) else {
                bail!("{} has {found} partitions, which can't be", data.display());
            };
            Ok(Embedded::open(data, Options { partitions, ..options }, clock)?)
        }
        opened => Ok(opened?),
    }
}

/// The result, on standard output. Nobody may be reading it.
fn print(line: &str) {
    let _closed = writeln!(std::io::stdout().lock(), "{line}");
}
