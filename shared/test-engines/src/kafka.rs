//! Apache Kafka: one broker (up in 2 s) or three (5 s), open or secured.

use std::{ops::Deref, sync::OnceLock};

use crate::instance::{Instance, Security, TlsFiles, started};

/// The user of [`Kafka::sasl_bootstrap`], by SCRAM-SHA-512.
pub const USER: &str = "harkara";
/// That user's password.
pub const PASSWORD: &str = "harkara-test";

/// How a Kafka is started.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Brokers: 1 or 3. Three keep three copies, of which two must be there for a write.
    pub nodes: u8,
    /// Anything but [`Security::Open`] adds the two secured ways in; the open one stays.
    pub security: Security,
    /// Lines of `server.properties` that differ from those of the script.
    pub set: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { nodes: 1, security: Security::Open, set: Vec::new() }
    }
}

/// A Kafka; [`Instance`] has what can be done to its brokers.
#[derive(Debug)]
pub struct Kafka {
    instance: Instance,
    bootstrap: String,
}

impl Kafka {
    /// Starts one of its own, for as long as the value lives.
    ///
    /// # Panics
    ///
    /// When it does not serve in time; the message has the end of its log.
    #[must_use]
    pub fn start(options: &KafkaOptions) -> Self {
        let mut arguments = vec!["--nodes".to_owned(), options.nodes.to_string()];
        if options.security != Security::Open {
            arguments.push("--secure".to_owned());
        }
        for (key, value) in &options.set {
            arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let instance = started(Instance::start("kafka", &arguments));
        let bootstrap = instance.line("address");
        Self { instance, bootstrap }
    }

    /// One open broker for all tests of this process, which keep out of each other's way by names of
    /// topics and groups, and do no faults to it.
    ///
    /// # Panics
    ///
    /// As [`Kafka::start`].
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&KafkaOptions::default()))
    }

    /// Where it is open: `host:port[,host:port…]`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where it wants TLS with [`USER`] and [`PASSWORD`]. Only when secured.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[must_use]
    pub fn sasl_bootstrap(&self) -> String {
        self.instance.line("address.password")
    }

    /// Where it wants TLS with a client's certificate. Only when secured.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[must_use]
    pub fn tls_bootstrap(&self) -> String {
        self.instance.line("address.mutual")
    }

    /// Files for its clients. They exist only when it is secured.
    #[must_use]
    pub fn tls(&self) -> TlsFiles {
        self.instance.tls()
    }
}

impl Deref for Kafka {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}
