//! Opens a WebSocket with the protocol's subprotocol and a bearer token.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderValue, header};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

use super::token;

/// The subprotocol spoken here.
pub const SUBPROTOCOL: &str = "harkara.v1.json";

/// Longest wait for a socket and its upgrade.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client's socket.
pub type Socket = WebSocketStream<TcpStream>;

/// Why there is no socket.
#[derive(Debug)]
pub enum Failure {
    /// 401: the token is no good (any more).
    Unauthenticated,
    /// Anything else: worth another attempt.
    Other(anyhow::Error),
}

/// Connects to `ws://host:port`.
///
/// # Errors
/// See [`Failure`].
pub async fn open(url: &str, bearer: &str) -> Result<Socket, Failure> {
    match timeout(PATIENCE, upgrade(url, bearer)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => match error.downcast_ref::<Error>() {
            Some(Error::Http(answer)) if answer.status() == 401 => Err(Failure::Unauthenticated),
            _ => Err(Failure::Other(error)),
        },
        Err(_) => Err(Failure::Other(anyhow::anyhow!("no upgrade within {PATIENCE:?}"))),
    }
}

async fn upgrade(url: &str, bearer: &str) -> anyhow::Result<Socket> {
    let authority = token::authority(url)?;
    let mut request = format!("ws://{authority}/v1/ws").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(header::AUTHORIZATION, format!("Bearer {bearer}").parse()?);
    let tcp =
        TcpStream::connect(authority).await.with_context(|| format!("connect {authority}"))?;
    tcp.set_nodelay(true)?;
    // Hundreds of sockets: the library's default of 128 KiB each is not needed.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let (socket, _) = client_async_with_config(request, tcp, Some(config)).await?;
    Ok(socket)
}
