//! The servers to compare with: what each needs, and how it takes part.

use anyhow::Context as _;

use super::{
    client::Peer,
    ejabberd::{self, Archive, Xmpp},
    idle::{self, Cost, Crowd},
    mosquitto::{self, Mqtt},
    nats::{self, Nats},
    process::{self, Want},
    side::Side,
    told::{EJABBERD, EJABBERD_ARCHIVE, MOSQUITTO, NATS},
};
use crate::system::Shape;

/// A server to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// MQTT 3.1.1, pushed only
    Mosquitto,
    /// Core NATS, pushed only
    Nats,
    /// XMPP, multi-user chat without and with an archive
    Ejabberd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mosquitto, Self::Nats, Self::Ejabberd];

    /// Its name, which is its package's too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => mosquitto::NAME,
            Self::Nats => nats::NAME,
            Self::Ejabberd => ejabberd::NAME,
        }
    }

    /// For keys of figures.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Mosquitto => MOSQUITTO,
            Self::Nats => NATS,
            Self::Ejabberd => EJABBERD,
        }
    }

    /// How it is set.
    #[must_use]
    pub fn settings(self) -> &'static str {
        match self {
            Self::Mosquitto => mosquitto::SETTINGS,
            Self::Nats => nats::SETTINGS,
            Self::Ejabberd => ejabberd::SETTINGS,
        }
    }

    /// Its version.
    ///
    /// # Errors
    /// When a program of it is missing, with the package that has it.
    pub fn installed(self) -> anyhow::Result<String> {
        let programs: &[&str] = match self {
            Self::Mosquitto => &mosquitto::PROGRAMS,
            Self::Nats => &[nats::NAME],
            Self::Ejabberd => &ejabberd::PROGRAMS,
        };
        for program in programs {
            process::find(program, self.name())?;
        }
        Ok(process::version(self.name()).unwrap_or_else(|| "of an unknown version".to_owned()))
    }

    /// Starts it for steady load.
    ///
    /// # Errors
    /// When it doesn't start.
    pub async fn sides(self, want: Want, shape: Shape) -> anyhow::Result<Vec<Side>> {
        Ok(match self {
            Self::Mosquitto => vec![Side::new(MOSQUITTO, false, mosquitto(want).await?, shape)],
            Self::Nats => vec![Side::new(NATS, false, nats(want).await?, shape)],
            Self::Ejabberd => vec![
                Side::new(EJABBERD, false, ejabberd(want, Archive::Off).await?, shape),
                Side::new(EJABBERD_ARCHIVE, true, ejabberd(want, Archive::On).await?, shape),
            ],
        })
    }

    /// Starts it, measures sessions that do nothing, and ends it.
    ///
    /// # Errors
    /// When it doesn't start, or a session can't be opened.
    pub async fn idle(self, want: Want, crowd: Crowd) -> anyhow::Result<Cost> {
        let cost = match self {
            Self::Mosquitto => idle::peer(&mosquitto(want).await?, crowd).await,
            Self::Nats => idle::peer(&nats(want).await?, crowd).await,
            Self::Ejabberd => idle::peer(&ejabberd(want, Archive::Off).await?, crowd).await,
        };
        cost.context(self.name())
    }
}

async fn mosquitto(want: Want) -> anyhow::Result<Peer<Mqtt>> {
    Ok(Peer::new(mosquitto::NAME, mosquitto::start(want).await?, Mqtt))
}

async fn nats(want: Want) -> anyhow::Result<Peer<Nats>> {
    Ok(Peer::new(nats::NAME, nats::start(want).await?, Nats))
}

async fn ejabberd(want: Want, archive: Archive) -> anyhow::Result<Peer<Xmpp>> {
    let name = match archive {
        Archive::Off => ejabberd::NAME,
        Archive::On => "ejabberd with archive",
    };
    Ok(Peer::new(name, ejabberd::start(want, archive).await?, Xmpp))
}
