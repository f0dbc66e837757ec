//! `harkara`: the one binary. `main` is a story: settings → telemetry → what was asked for → an
//! honest exit code. A bad setting stops it before a port opens.

mod admin;
mod announce;
mod chat;
mod cli;
#[cfg(feature = "cluster")]
mod cluster;
mod engine_metrics;
mod moving;
mod serving;
mod settings;
mod standalone;
#[cfg(not(feature = "cluster"))]
mod without_cluster;

use std::{io::Write as _, process::ExitCode};

use harkara_service_runtime::{
    lifecycle::{Exit, fatal},
    process,
    telemetry::{self, Telemetry},
};

#[cfg(not(feature = "cluster"))]
use crate::without_cluster as cluster;
use crate::{
    cli::{Action, Cli, DataArgs, Role, ServerArgs},
    serving::Failure,
    settings::Settings,
};

/// A fifth less processor time per delivery than the C library's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Pages that nobody uses go back to the kernel after two seconds, by a thread of the allocator's
/// own: else a thread with little to do keeps what a storm of connects took, 500 bytes a session.
#[expect(unsafe_code, reason = "the allocator reads its settings from a symbol of this name")]
// SAFETY: nothing else has this name; jemalloc expects a pointer to text that ends with a zero,
// which is what the slice begins with.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"background_thread:true,dirty_decay_ms:2000\0";

fn main() -> ExitCode {
    #[cfg(feature = "next-rules")]
    if std::env::var_os("NEXT_RULES").is_some() {
        harkara_domain::command::know_next_rules();
    }
    match Cli::of_process().action() {
        Action::Standalone(flags) => standalone(flags),
        Action::Gateway(flags) => cluster::gateway(flags),
        Action::Fanout(flags) => cluster::fanout(flags),
        Action::Migrate(args) => cluster::migrate(args),
        Action::Rules(args) => cluster::rules(args),
        Action::ConfigPrint(args) if args.role == Role::Standalone => print_config(args.server),
        Action::ConfigPrint(args) => cluster::print_config(args),
        Action::Chat(args) => chat(args),
        Action::Export(args) => moving(args.data, async move |settings| {
            moving::local::export(&settings.data.dir, &args.to, settings.fanout)
                .await
                .map(|()| true)
        }),
        Action::Import(args) if args.cluster => cluster::import(args),
        Action::Rebuild(args) if args.cluster => cluster::rebuild(args),
        Action::Verify(args) if args.cluster => cluster::verify(args),
        Action::Import(args) => moving(args.data, async move |settings| {
            let (data, partitions) = (&settings.data.dir, settings.log.partitions);
            let imported = moving::local::import(&args.from, data, partitions, args.progress).await;
            imported.map(|()| true)
        }),
        Action::Rebuild(args) => moving(args.data, async move |settings| {
            moving::local::rebuild(&settings.data.dir, &settings.fanout, args.json).await
        }),
        Action::Verify(args) => moving(args.data, async move |settings| {
            moving::local::verify(&settings.data.dir, args.json).await
        }),
    }
}

fn standalone(flags: ServerArgs) -> ExitCode {
    let mut settings = match Settings::load(&flags.sources()) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    allow_connections(&mut settings.gateway);
    let telemetry = settings.telemetry.clone();
    serve(&telemetry, async |telemetry| standalone::run(settings, telemetry).await)
}

/// As many as files may be open.
fn allow_connections(gateway: &mut harkara_gateway::Config) {
    gateway.connections_max = gateway.connections_allowed(process::raise_open_files());
}

/// Runs a role until it ends, with logs and metrics around it.
fn serve(
    config: &telemetry::Config,
    role: impl AsyncFnOnce(&Telemetry) -> Result<(), Failure>,
) -> ExitCode {
    let telemetry = match Telemetry::start(config) {
        Ok(telemetry) => telemetry,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    process::register_metrics();
    process::report_panics();
    let ended = actix::System::new().block_on(role(&telemetry));
    telemetry.shutdown();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fatal(failure.exit, &failure.message),
    }
}

fn print_config(flags: ServerArgs) -> ExitCode {
    match Settings::load(&flags.sources()) {
        Ok(loaded) => print(&loaded.print()),
        Err(error) => fatal(Exit::Settings, &error),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fatal(Exit::Failed, &error),
    }
}

/// Runs something beside serving, with the settings of the server whose data it is.
fn moving(data: DataArgs, run: impl AsyncFnOnce(Settings) -> anyhow::Result<bool>) -> ExitCode {
    match Settings::load(&data.sources()) {
        Ok(loaded) => {
            let telemetry = loaded.value.telemetry.clone();
            moved(&telemetry, async || run(loaded.value).await)
        }
        Err(error) => fatal(Exit::Settings, &error),
    }
}

/// Runs it, with logs around it. False means that something was found.
fn moved(
    telemetry: &telemetry::Config,
    run: impl AsyncFnOnce() -> anyhow::Result<bool>,
) -> ExitCode {
    let telemetry = match Telemetry::start(telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let ended = actix::System::new().block_on(run());
    telemetry.shutdown();
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => Exit::Failed.into(),
        Err(error) => fatal(Exit::Data, &format!("{error:#}")),
    }
}

fn chat(args: cli::ChatArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(chat::run(chat_args(args))));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fatal(Exit::Failed, &format!("{error:#}")),
    }
}

fn chat_args(args: cli::ChatArgs) -> chat::ChatArgs {
    let cli::ChatArgs { name, url, ca, token, device, with, state_dir } = args;
    let name = name.unwrap_or_else(|| "me".to_owned());
    chat::ChatArgs { name, url, ca, token, device, with, state_dir }
}
