//! The roles of a cluster: `harkara gateway`, `harkara fanout`, `harkara migrate`. The services are
//! those of the standalone; only what stands behind their traits differs.
//!
//! [`settings`] is what they are told, [`engines`] opens Kafka and the store and waits for them,
//! [`link`] is how gateways and workers reach each other, [`metrics`] what the engines count;
//! [`gateway`], [`fanout`] and [`migrate`](mod@migrate) are a role each, [`rules`](mod@rules) is a
//! command of administrators.

mod engines;
mod fanout;
mod gateway;
mod link;
mod metrics;
mod migrate;
mod moving;
mod rules;
mod settings;

use std::process::ExitCode;

use harkara_service_runtime::lifecycle::{Exit, fatal};

use self::settings::Settings;
use crate::{
    allow_connections,
    cli::{CheckArgs, ImportArgs, MigrateArgs, PrintArgs, Role, RulesArgs, ServerArgs},
    moved, print, serve,
};

/// `harkara gateway`.
pub fn gateway(flags: ServerArgs) -> ExitCode {
    let mut settings = match Settings::load(&flags.sources(), Role::Gateway) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    allow_connections(&mut settings.gateway);
    let telemetry = settings.telemetry.clone();
    serve(&telemetry, async |telemetry| gateway::run(settings, telemetry).await)
}

/// `harkara fanout`.
pub fn fanout(flags: ServerArgs) -> ExitCode {
    let settings = match Settings::load(&flags.sources(), Role::Fanout) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let telemetry = settings.telemetry.clone();
    serve(&telemetry, async |telemetry| fanout::run(settings, telemetry).await)
}

/// `harkara migrate`.
pub fn migrate(args: MigrateArgs) -> ExitCode {
    let settings = match Settings::load(&args.cluster.sources(), Role::Migrate) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let telemetry = settings.telemetry.clone();
    serve(&telemetry, async |_| migrate::run(settings, args.new_log).await)
}

/// `harkara rules`.
pub fn rules(args: RulesArgs) -> ExitCode {
    let settings = match Settings::load(&args.cluster.sources(), Role::Migrate) {
        Ok(loaded) => loaded.value,
        Err(error) => return fatal(Exit::Settings, &error),
    };
    let telemetry = settings.telemetry.clone();
    serve(&telemetry, async |_| rules::run(settings, args.set).await)
}

/// `harkara import --cluster`.
pub fn import(args: ImportArgs) -> ExitCode {
    match Settings::load(&args.data.clone().sources(), Role::Migrate) {
        Ok(loaded) => moved(&loaded.value.telemetry, async || {
            moving::import(&loaded.value, &args).await.map(|()| true)
        }),
        Err(error) => fatal(Exit::Settings, &error),
    }
}

/// `harkara rebuild --cluster`.
pub fn rebuild(args: CheckArgs) -> ExitCode {
    match Settings::load(&args.data.clone().sources(), Role::Migrate) {
        Ok(loaded) => {
            moved(&loaded.value.telemetry, async || moving::rebuild(&loaded.value, &args).await)
        }
        Err(error) => fatal(Exit::Settings, &error),
    }
}

/// `harkara verify --cluster`.
pub fn verify(args: CheckArgs) -> ExitCode {
    match Settings::load(&args.data.clone().sources(), Role::Migrate) {
        Ok(loaded) => {
            moved(&loaded.value.telemetry, async || moving::verify(&loaded.value, &args).await)
        }
        Err(error) => fatal(Exit::Settings, &error),
    }
}

/// `harkara config print --role ROLE`.
pub fn print_config(args: PrintArgs) -> ExitCode {
    match Settings::load(&args.server.sources(), args.role) {
        Ok(loaded) => print(&loaded.print()),
        Err(error) => fatal(Exit::Settings, &error),
    }
}
