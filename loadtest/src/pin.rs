//! Which cores the measured processes and this one are kept on, so that neither takes the other's.

use std::{fmt, str::FromStr};

use anyhow::Context as _;

use crate::process;

/// Two cores, written SERVER:GENERATOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Of the measured processes.
    pub server: usize,
    /// Of this process.
    pub generator: usize,
}

impl Pin {
    /// What `--pin` alone means.
    pub const USUAL: &str = "0:1";

    /// Keeps these processes and this one where they belong.
    ///
    /// # Errors
    /// When one is not there, or there is no such core.
    pub fn place(self, servers: &[u32]) -> anyhow::Result<()> {
        servers.iter().try_for_each(|&pid| process::pin(pid, self.server))?;
        process::pin(std::process::id(), self.generator)
    }

    /// As it stands in a command, with a space before it; nothing for none.
    #[must_use]
    pub fn argument(pin: Option<Self>) -> String {
        pin.map_or_else(String::new, |pin| format!(" --pin {pin}"))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server, self.generator)
    }
}

impl FromStr for Pin {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (server, generator) =
            text.split_once(':').context("must be two cores: SERVER:GENERATOR, such as 0:1")?;
        Ok(Self { server: server.parse()?, generator: generator.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_two_numbers() {
        let pin: Pin = Pin::USUAL.parse().expect("two cores");
        assert_eq!(pin, Pin { server: 0, generator: 1 });
        assert_eq!(Pin::argument(Some(pin)), " --pin 0:1");
        assert_eq!(Pin::argument(None), "");
        assert!("0".parse::<Pin>().is_err() && "a:1".parse::<Pin>().is_err());
    }
}
