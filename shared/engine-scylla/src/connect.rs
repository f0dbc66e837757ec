//! A session with the cluster, made from [`Config`]: how statements are sent, and what is wrong
//! when there is none. Used by `store` and `migrate`.

use std::{io, num::NonZeroUsize, sync::Arc};

use harkara_service_runtime::{
    clock::SharedClock,
    tls::{TlsError, told},
};
use scylla::{
    client::{
        PoolSize, execution_profile::ExecutionProfile, session::Session,
        session_builder::SessionBuilder,
    },
    errors::{
        BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError,
        ConnectionSetupRequestErrorKind, DbError, MetadataError, NewSessionError,
    },
    frame::frame_errors::FrameHeaderParseError,
    policies::{
        load_balancing::DefaultPolicy, speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    statement::Consistency,
};
use secrecy::ExposeSecret as _;

use crate::{config::Config, probe, schema};

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No node answers, or too few of them. Passes: try again.
    #[error("the store's nodes ({nodes}) do not answer: {why}")]
    Away {
        /// As the settings name them.
        nodes: String,
        /// What happened with the last one.
        why: String,
    },
    /// The keyspace or its tables are not there. Passes once somebody makes them.
    #[error("there is no keyspace `{keyspace}` with Harkara's tables: run `harkara migrate`")]
    Missing {
        /// As the settings name it.
        keyspace: String,
    },
    /// The tables are of another version.
    #[error(
        "the keyspace `{keyspace}` is of version {found}, this build works with {known}: {}",
        if found > known { "run the newer build that made it" } else { "run `harkara migrate`" }
    )]
    Version {
        /// As the settings name it.
        keyspace: String,
        /// Of the tables.
        found: u64,
        /// Of this build.
        known: u64,
    },
    /// The nodes do not know the user, or the password is another one.
    #[error("the store's nodes refuse the user: check scylla.user and scylla.password ({0})")]
    Credentials(String),
    /// One of the two ends does not believe the other's certificate.
    #[error("no TLS with the store's nodes: {0}; check scylla.tls")]
    Untrusted(String),
    /// Certificates, keys or authorities of this end are of no use.
    #[error("scylla.tls: {0}")]
    Tls(#[from] TlsError),
    /// No node is in the datacenter.
    #[error(
        "no node of the store is in the datacenter `{wanted}`: there is {found}; set scylla.datacenter"
    )]
    Datacenter {
        /// As the settings name it.
        wanted: String,
        /// Those that the nodes are in.
        found: String,
    },
    /// Something that no repetition changes.
    #[error("the store can't be used: {0}")]
    Unusable(String),
}

impl OpenError {
    /// Is it worth waiting? An operator may be starting the nodes or migrating at this moment.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Missing { .. })
    }
}

/// Connects to the cluster, and finds nodes in the datacenter.
///
/// # Errors
/// [`OpenError`]: a sentence that says what to do.
pub async fn session(config: &Config, clock: &SharedClock) -> Result<Session, OpenError> {
    let tls = if config.tls.enabled { Some(config.tls.config(clock)?) } else { None };
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .default_execution_profile_handle(profile(config).into_handle())
        .prefer_datacenter(config.datacenter.clone())
        .connection_timeout(config.connect_timeout.get())
        .keepalive_interval(config.keepalive.get())
        .keepalive_timeout(config.keepalive.get())
        .tcp_keepalive_interval(config.keepalive.get())
        .keyspaces_to_fetch([&config.keyspace])
        .tls_context(tls.clone());
    if let Some(connections) = NonZeroUsize::new(config.connections) {
        builder = builder.pool_size(PoolSize::PerShard(connections));
    }
    if let Some(user) = &config.user {
        builder = builder.user(user, config.password.expose_secret());
    }
    let session = match builder.build().await {
        Ok(session) => session,
        Err(error) => {
            let error = explained(config, &error);
            if let (OpenError::Away { .. }, Some(tls)) = (&error, &tls)
                && let Some(why) = probe::refusal(&config.nodes, tls).await
            {
                return Err(OpenError::Untrusted(why));
            }
            return Err(error);
        }
    };
    datacenter(config, &session)?;
    Ok(session)
}

/// How statements are sent if nothing else is said.
fn profile(config: &Config) -> ExecutionProfile {
    let policy = DefaultPolicy::builder()
        .prefer_datacenter(config.datacenter.clone())
        .token_aware(true)
        .permit_dc_failover(false)
        .build();
    let second = config.second_try_after.get();
    let speculative = (!second.is_zero()).then(|| {
        let policy =
            SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: second };
        Arc::new(policy) as _
    });
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .request_timeout(Some(config.request_timeout.get()))
        .load_balancing_policy(policy)
        .speculative_execution_policy(speculative)
        .build()
}

/// A name that no node has would leave every statement without a node to go to.
fn datacenter(config: &Config, session: &Session) -> Result<(), OpenError> {
    if nodes_of(config, session) > 0 {
        return Ok(());
    }
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info();
    let mut names: Vec<_> = nodes.iter().filter_map(|node| node.datacenter.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    let found = names.join(", ");
    Err(OpenError::Datacenter { wanted: config.datacenter.clone(), found })
}

/// How many nodes the datacenter has, alive or not.
pub(crate) fn nodes_of(config: &Config, session: &Session) -> usize {
    let state = session.get_cluster_state();
    let here = |name: Option<&str>| name == Some(config.datacenter.as_str());
    state.get_nodes_info().iter().filter(|node| here(node.datacenter.as_deref())).count()
}

/// No node answers; the driver's words, which may take several lines, in one.
pub(crate) fn away(config: &Config, why: &str) -> OpenError {
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    OpenError::Away { nodes: config.nodes.join(", "), why }
}

/// What the driver's words mean for an operator.
fn explained(config: &Config, error: &NewSessionError) -> OpenError {
    let away = |why: String| away(config, &why);
    let connection = match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
            ConnectionPoolError::Broken { last_connection_error },
        )) => last_connection_error,
        NewSessionError::FailedToResolveAnyHostname(names) => {
            return away(format!("no address is known for {}", names.join(", ")));
        }
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => {
            return OpenError::Unusable(error.to_string());
        }
        other => return away(other.to_string()),
    };
    if let Some(why) = socket(connection).and_then(told) {
        return OpenError::Untrusted(why);
    }
    match setup(connection) {
        Some(ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, why)) => {
            OpenError::Credentials(why.clone())
        }
        Some(ConnectionSetupRequestErrorKind::MissingAuthentication) => {
            OpenError::Credentials("they ask for one and none is set".to_owned())
        }
        Some(other) => away(other.to_string()),
        None => away(connection.to_string()),
    }
}

/// What was wrong with the first words on a new connection.
fn setup(error: &ConnectionError) -> Option<&ConnectionSetupRequestErrorKind> {
    match error {
        ConnectionError::ConnectionSetupRequestError(setup) => Some(setup.get_error()),
        _ => None,
    }
}

/// What the socket said, at dialing or later: a node looks at a certificate when the handshake
/// is over at this end.
fn socket(error: &ConnectionError) -> Option<&io::Error> {
    let broken = match error {
        ConnectionError::IoError(error) => return Some(error),
        ConnectionError::BrokenConnection(broken) => broken,
        _ => match setup(error) {
            Some(ConnectionSetupRequestErrorKind::BrokenConnection(broken)) => broken,
            _ => return None,
        },
    };
    match broken.downcast_ref()? {
        BrokenConnectionErrorKind::FrameHeaderParseError(FrameHeaderParseError::HeaderIoError(
            error,
        ))
        | BrokenConnectionErrorKind::WriteError(error) => Some(error),
        _ => None,
    }
}

/// The version that the tables say, held against this build's.
pub(crate) fn check_version(config: &Config, found: Option<u64>) -> Result<(), OpenError> {
    let keyspace = config.keyspace.clone();
    match found {
        Some(schema::VERSION) => Ok(()),
        Some(found) => Err(OpenError::Version { keyspace, found, known: schema::VERSION }),
        None => Err(OpenError::Missing { keyspace }),
    }
}
