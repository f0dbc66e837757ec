//! `harkara`: the one binary. `main` is a story: settings → telemetry → what was asked for → an
//! honest exit code. A bad setting stops it before a port opens.

mod admin;
mod announce;
mod chat;
mod cli;
mod engine_metrics;
mod moving;
mod settings;
mod standalone;

use std::{io::Write as _, process::ExitCode};

use harkara_service_runtime::{
    lifecycle::{Exit, fatal},
    process,
    telemetry::Telemetry,
};

use crate::{
    cli::{Action, Cli, DataArgs, ServerArgs},
    settings::Settings,
};

/// A fifth less processor time per delivery than the C library's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Cli::of_process().action() {
        Action::Standalone(flags) => standalone(flags),
        Action::ConfigPrint(flags) => print_config(flags),
        Action::Chat(args) => chat(args),
        Action::Export(args) => moving(args.data, async move |settings| {
            moving::local::export(&settings.data.dir, &args.to, settings.fanout)
                .await
                .map(|()| true)
        }),
        Action::Import(args) => moving(args.data, async move |settings| {
            let (data, partitions) = (&settings.data.dir, settings.log.partitions);
            let imported = moving::local::import(&args.from, data, partitions, args.progress).await;
            imported.map(|()| true)
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
    let telemetry = match Telemetry::start(&settings.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let open_files = process::raise_open_files();
    settings.gateway.connections_max = settings.gateway.connections_allowed(open_files);
    process::register_metrics();
    let ended = actix::System::new().block_on(standalone::run(settings, &telemetry));
    telemetry.shutdown();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fatal(failure.exit, &failure.message),
    }
}

fn print_config(flags: ServerArgs) -> ExitCode {
    match Settings::load(&flags.sources()) {
        Ok(loaded) => match std::io::stdout().lock().write_all(loaded.print().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fatal(Exit::Failed, &error),
        },
        Err(error) => fatal(Exit::Settings, &error),
    }
}

/// Runs something beside serving, with the settings of the server whose data it is. False means
/// that something was found.
fn moving(data: DataArgs, run: impl AsyncFnOnce(Settings) -> anyhow::Result<bool>) -> ExitCode {
    let settings = match Settings::load(&data.sources()) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let telemetry = match Telemetry::start(&settings.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let ended = actix::System::new().block_on(run(settings));
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
    let cli::ChatArgs { name, url, token, device, with, state_dir } = args;
    let name = name.unwrap_or_else(|| "me".to_owned());
    chat::ChatArgs { name, url, token, device, with, state_dir }
}
