//! The command line: `harkara` (or `harkara standalone`) serves alone, `harkara gateway`, `fanout`
//! and `migrate` are the roles of a cluster, `harkara rules` says which rules are in force there,
//! `harkara config print` shows the settings, `harkara chat` is the terminal client, `harkara
//! export`, `import`, `rebuild` and `verify` move, mend and check data. Flags become the last layer of the settings.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use harkara_service_runtime::{
    process::build_info,
    settings::{Flag, Sources},
};

/// The WebSocket address of a server with default settings.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:8080/v1/ws";

/// A chat backend in one binary.
#[derive(Debug, Parser)]
#[command(name = "harkara", version = build_info().text, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: gateway, fanout and embedded engines in one process (what no command means).
    Standalone(ServerArgs),
    /// Serve clients of a cluster: sessions, in front of Kafka and ScyllaDB or Cassandra.
    Gateway(ServerArgs),
    /// Serve partitions of a cluster: order, store, push.
    Fanout(ServerArgs),
    /// Make a cluster's topics and tables, or bring them up to date; says what it did.
    Migrate(MigrateArgs),
    /// Show which rules are in force in a cluster and what its workers know, or put others in force.
    Rules(RulesArgs),
    /// Settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Chat in this terminal.
    Chat(ChatArgs),
    /// Write the data of a stopped standalone as an archive; goes on where it was.
    Export(ExportArgs),
    /// Write an archive into a data directory; goes on where it was.
    Import(ImportArgs),
    /// Bring a store that fell behind, or was restored from a backup, forward by its log.
    Rebuild(CheckArgs),
    /// Recompute everything: sequences, chains, lists, and that store and log agree.
    Verify(CheckArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the merged settings as TOML, each with its origin, secrets hidden.
    Print(PrintArgs),
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Role {
    /// Everything, with embedded engines.
    #[default]
    Standalone,
    /// Holds the sessions of a cluster's clients.
    Gateway,
    /// Owns partitions of a cluster's log.
    Fanout,
    /// Makes a cluster's topics and tables, and ends.
    Migrate,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Serve.
    Standalone(ServerArgs),
    /// Serve as a part of a cluster.
    Gateway(ServerArgs),
    /// The same, for partitions.
    Fanout(ServerArgs),
    /// Make topics and tables.
    Migrate(MigrateArgs),
    /// Rules in force.
    Rules(RulesArgs),
    /// Print the settings.
    ConfigPrint(PrintArgs),
    /// Chat.
    Chat(ChatArgs),
    /// Write an archive.
    Export(ExportArgs),
    /// Read an archive.
    Import(ImportArgs),
    /// Bring a store forward.
    Rebuild(CheckArgs),
    /// Recompute everything.
    Verify(CheckArgs),
}

/// Flags of a server. Each sets the key of the settings that its help names.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    /// Address for clients (listen) [default: 127.0.0.1:8080]; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for health and metrics (admin.listen) [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Directory of the data (data.dir) [default: harkara-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Settings file, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of log lines (telemetry.log): text or json.
    #[arg(long, value_name = "FORM")]
    log: Option<String>,
    /// Give development tokens on an address that is not loopback (dev.allow_non_loopback).
    #[arg(long)]
    dev_allow_non_loopback: bool,
}

/// Whose settings a command for a whole cluster takes.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// Settings file, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of log lines (telemetry.log): text or json.
    #[arg(long, value_name = "FORM")]
    log: Option<String>,
}

/// Flags of `harkara migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Begin a new life of the log on purpose: the old topics are lost or given up. What was
    /// accepted and not yet stored is gone with them.
    #[arg(long)]
    pub new_log: bool,
}

/// Flags of `harkara rules`.
#[derive(Debug, Clone, Args)]
pub struct RulesArgs {
    /// Put these rules in force; refused unless every worker that runs knows them.
    #[arg(long, value_name = "VERSION")]
    pub set: Option<u16>,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Flags of `harkara config print`.
#[derive(Debug, Clone, Args)]
pub struct PrintArgs {
    /// Whose settings.
    #[arg(long, value_enum, default_value_t, value_name = "ROLE")]
    pub role: Role,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Which data: flags that win over the settings of the server that it belongs to.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Directory of the data (data.dir) [default: harkara-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Settings file, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Flags of `harkara export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Directory of the archive: new, empty, or of an export of the same data that was cut off.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
}

/// Flags of `harkara import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Directory of the archive.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// File that remembers how far it is [default: one in the archive for each target].
    #[arg(long, value_name = "FILE")]
    pub progress: Option<PathBuf>,
    /// Into the cluster of the settings file instead of a directory. No worker may run.
    #[arg(long, requires = "config", conflicts_with = "data")]
    pub cluster: bool,
    #[command(flatten)]
    pub data: DataArgs,
}

/// Flags of `harkara rebuild` and `harkara verify`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Print one object of JSON instead of sentences.
    #[arg(long)]
    pub json: bool,
    /// The cluster of the settings file instead of a directory.
    #[arg(long, requires = "config", conflicts_with = "data")]
    pub cluster: bool,
    #[command(flatten)]
    pub data: DataArgs,
}

/// Flags of the terminal client.
#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    /// Your name, in development mode.
    #[arg(long = "as", value_name = "NAME", required_unless_present = "token")]
    pub name: Option<String>,
    /// The server.
    #[arg(long, default_value = DEFAULT_URL)]
    pub url: String,
    /// PEM file of authorities to believe for wss:// [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A token, instead of a development name.
    #[arg(long, conflicts_with = "name")]
    pub token: Option<String>,
    /// The name of this device, for a development name used in two terminals at once.
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub device: Option<String>,
    /// Somebody to talk to at once.
    #[arg(long, value_name = "NAME")]
    pub with: Option<String>,
    /// Directory for unsent messages and cursors [default: ~/.local/state/harkara].
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

impl Cli {
    /// The command line of this process. Prints help, version or what is wrong, and exits.
    #[must_use]
    pub fn of_process() -> Self {
        Self::parse()
    }

    /// What to do.
    #[must_use]
    pub fn action(self) -> Action {
        match self.command {
            None => Action::Standalone(self.server),
            Some(Command::Standalone(server)) => Action::Standalone(server),
            Some(Command::Gateway(server)) => Action::Gateway(server),
            Some(Command::Fanout(server)) => Action::Fanout(server),
            Some(Command::Migrate(migrate)) => Action::Migrate(migrate),
            Some(Command::Rules(rules)) => Action::Rules(rules),
            Some(Command::Config(ConfigCommand::Print(print))) => Action::ConfigPrint(print),
            Some(Command::Chat(chat)) => Action::Chat(chat),
            Some(Command::Export(export)) => Action::Export(export),
            Some(Command::Import(import)) => Action::Import(import),
            Some(Command::Rebuild(rebuild)) => Action::Rebuild(rebuild),
            Some(Command::Verify(verify)) => Action::Verify(verify),
        }
    }
}

#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "of a cluster only"))]
impl ClusterArgs {
    /// All sources of the settings of this process.
    #[must_use]
    pub fn sources(self) -> Sources {
        ServerArgs { config: self.config, log: self.log, ..ServerArgs::default() }.sources()
    }
}

impl ServerArgs {
    /// All sources of the settings of this process.
    #[must_use]
    pub fn sources(self) -> Sources {
        let flags = self.flags();
        Sources::of_process(self.config, flags)
    }

    fn flags(&self) -> Vec<Flag> {
        let on = self.dev_allow_non_loopback.then(|| "true".to_owned());
        [
            ("--listen", "listen", &self.listen),
            ("--admin", "admin.listen", &self.admin),
            ("--data", "data.dir", &self.data),
            ("--log", "telemetry.log", &self.log),
            ("--dev-allow-non-loopback", "dev.allow_non_loopback", &on),
        ]
        .into_iter()
        .filter_map(|(flag, key, text)| Some(Flag { flag, key, text: text.clone()? }))
        .collect()
    }
}

impl DataArgs {
    /// All sources of the settings.
    #[must_use]
    pub fn sources(self) -> Sources {
        let Self { data, config } = self;
        ServerArgs { data, config, ..ServerArgs::default() }.sources()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Action, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(Cli::action)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_the_compiler() {
        let text = parse("harkara --version").unwrap_err().to_string();
        assert!(text.starts_with("harkara 0.") && text.contains("rustc 1."), "{text}");
    }

    #[test]
    fn no_command_means_standalone() {
        for line in ["harkara", "harkara standalone"] {
            let Ok(Action::Standalone(args)) = parse(line) else { panic!("{line}") };
            assert_eq!(args.flags(), []);
        }
        for line in
            ["harkara --listen x:1 --log json", "harkara standalone --listen x:1 --log json"]
        {
            let Ok(Action::Standalone(args)) = parse(line) else { panic!("{line}") };
            let flags: Vec<_> = args.flags().into_iter().map(|f| (f.key, f.text)).collect();
            assert_eq!(flags, [("listen", "x:1".into()), ("telemetry.log", "json".into())]);
        }
    }

    #[test]
    fn config_print_takes_the_same_flags() {
        let line = "harkara config print --data d --config f --dev-allow-non-loopback --admin a:1";
        let Ok(Action::ConfigPrint(print)) = parse(line) else { panic!() };
        assert_eq!(print.role, Role::Standalone);
        let args = print.server;
        assert_eq!(args.config.as_deref(), Some("f".as_ref()));
        let keys: Vec<_> = args.flags().into_iter().map(|flag| flag.key).collect();
        assert_eq!(keys, ["admin.listen", "data.dir", "dev.allow_non_loopback"]);
    }

    #[test]
    fn roles_of_a_cluster() {
        let parsed = parse("harkara gateway --config f --listen x:1");
        assert!(matches!(parsed, Ok(Action::Gateway(_))));
        assert!(matches!(parse("harkara fanout --config f"), Ok(Action::Fanout(_))));
        let Ok(Action::Migrate(migrate)) = parse("harkara migrate --config f --new-log") else {
            panic!()
        };
        assert!(migrate.new_log);
        let printed = parse("harkara config print --role fanout --config f");
        let Ok(Action::ConfigPrint(print)) = printed else { panic!() };
        assert_eq!(print.role, Role::Fanout);
    }

    #[test]
    fn moving_names_an_archive_and_data() {
        let Ok(Action::Export(export)) = parse("harkara export --data d --to a") else { panic!() };
        assert_eq!((export.to.to_str(), export.data.data.as_deref()), (Some("a"), Some("d")));
        let line = "harkara import --from a --config f --progress p";
        let Ok(Action::Import(import)) = parse(line) else { panic!() };
        assert_eq!(import.data.config.as_deref(), Some("f".as_ref()));
        let Ok(Action::Verify(verify)) = parse("harkara verify --json") else { panic!() };
        assert!(verify.json && verify.data.data.is_none());
        let Ok(Action::Rebuild(rebuild)) = parse("harkara rebuild --cluster --config f") else {
            panic!()
        };
        assert!(rebuild.cluster && !rebuild.json);
        assert!(parse("harkara rebuild --cluster").is_err());
        let Ok(Action::Rules(rules)) = parse("harkara rules --config f --set 2") else { panic!() };
        assert_eq!(rules.set, Some(2));
        assert!(parse("harkara export --data d").is_err());
        assert!(parse("harkara import --data d").is_err());
    }

    #[test]
    fn chat_needs_a_name_or_a_token() {
        let Ok(Action::Chat(chat)) = parse("harkara chat --as asha") else { panic!() };
        assert_eq!((chat.name.as_deref(), chat.url.as_str()), (Some("asha"), DEFAULT_URL));
        assert!(parse("harkara chat").is_err());
        assert!(parse("harkara chat --as asha --token x").is_err());
        assert!(parse("harkara chat --token x --url ws://h/v1/ws --with asha").is_ok());
        assert!(parse("harkara --listen x chat --as asha").is_err());
    }
}
