//! What a build without the engines of a cluster says to those who want one.

use std::process::ExitCode;

use harkara_service_runtime::lifecycle::{Exit, fatal};

use crate::cli::{CheckArgs, ImportArgs, MigrateArgs, PrintArgs, RulesArgs, ServerArgs};

fn without() -> ExitCode {
    let message = "this build has the embedded engines only; build with `cargo build --release \
                   --features cluster`, or use the release image";
    fatal(Exit::Settings, &message)
}

/// `harkara gateway`.
pub fn gateway(_: ServerArgs) -> ExitCode {
    without()
}

/// `harkara fanout`.
pub fn fanout(_: ServerArgs) -> ExitCode {
    without()
}

/// `harkara migrate`.
pub fn migrate(_: MigrateArgs) -> ExitCode {
    without()
}

/// `harkara rules`.
pub fn rules(_: RulesArgs) -> ExitCode {
    without()
}

/// `harkara import --cluster`.
pub fn import(_: ImportArgs) -> ExitCode {
    without()
}

/// `harkara rebuild --cluster`.
pub fn rebuild(_: CheckArgs) -> ExitCode {
    without()
}

/// `harkara verify --cluster`.
pub fn verify(_: CheckArgs) -> ExitCode {
    without()
}

/// `harkara config print --role ROLE`.
pub fn print_config(_: PrintArgs) -> ExitCode {
    without()
}
