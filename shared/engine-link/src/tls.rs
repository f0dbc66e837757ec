//! Mutual TLS below a connection: the handshake of either end, within a time, and words for what
//! went wrong.

use std::{io, sync::Arc};

use harkara_service_runtime::tls::told;
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::{config, frames::Ended, options::Options};

/// What both ends of a process show, and whom they believe.
#[derive(Debug, Clone)]
pub struct LinkTls {
    /// For connections of gateways. Must ask for a certificate.
    pub server: Arc<ServerConfig>,
    /// For connections to workers. Should show a certificate, or workers refuse it.
    pub client: Arc<ClientConfig>,
}

/// What an end that failed reads on, so that the kernel does not answer the other end's first
/// frame with a reset that overtakes the alert.
const DISCARDED_BYTES_MAX: u64 = 16 * 1024;

/// A worker's side of the handshake.
pub async fn accept(
    tls: &LinkTls,
    stream: TcpStream,
    options: &Options,
) -> Result<server::TlsStream<TcpStream>, Ended> {
    let accepting = TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream).into_fallible();
    match time::timeout(options.silence, accepting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            linger(stream, options).await;
            Err(error.into())
        }
        Err(_) => Err(Ended::Silent(options.silence)),
    }
}

/// A gateway's side. Which name the worker must have is up to the configuration: a fixed one, or
/// the host of the address.
pub async fn connect(
    tls: &LinkTls,
    stream: TcpStream,
    address: &str,
    options: &Options,
) -> Result<client::TlsStream<TcpStream>, Ended> {
    let host = config::host_and_port(address).map(|(host, _)| host.to_owned());
    let name = host.and_then(|host| ServerName::try_from(host).ok());
    let Some(name) = name else {
        let why = format!("{address:?} has no host that a certificate could name");
        return Err(Ended::OutOfPlace(why));
    };
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    let connecting = connector.connect(name, stream).into_fallible();
    match time::timeout(options.silence, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            linger(stream, options).await;
            Err(error.into())
        }
        Err(_) => Err(Ended::Silent(options.silence)),
    }
}

/// Lets the other end read why, if it does so in time.
async fn linger(mut stream: TcpStream, options: &Options) {
    let last = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(DISCARDED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    let _ = time::timeout(options.beat, last).await;
}

impl From<io::Error> for Ended {
    /// TLS fails inside of reads and writes: the certificate of a client is refused after the
    /// client has finished its handshake.
    fn from(error: io::Error) -> Self {
        told(&error).map_or_else(|| Self::Broken(error), Self::Tls)
    }
}
