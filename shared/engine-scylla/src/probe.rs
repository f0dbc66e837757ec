//! Why a node does not want us, where the driver can't say. A node that asks for a certificate
//! looks at it after the handshake is over at this end; when its refusal comes before the
//! driver's first question, the driver only knows that the connection is gone. So `connect` asks
//! once more, by hand, and only then.

use std::{io, sync::Arc, time::Duration};

use harkara_service_runtime::tls::told;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

/// A node that says nothing has nothing to say about certificates.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first word of CQL, version 4: OPTIONS, without a body.
const QUESTION: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];

/// The port of nodes that are named without one.
const PORT: &str = "9042";

/// What the first of these nodes that refuses TLS has against it.
pub(crate) async fn refusal(nodes: &[String], tls: &Arc<ClientConfig>) -> Option<String> {
    for node in nodes {
        if let Ok(Err(error)) = timeout(PATIENCE, ask(node, tls)).await
            && let Some(why) = told(&error)
        {
            return Some(why);
        }
    }
    None
}

async fn ask(node: &str, tls: &Arc<ClientConfig>) -> io::Result<()> {
    let (host, address) = parts(node);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    stream.write_all(&QUESTION).await?;
    stream.flush().await?;
    stream.read_u8().await.map(drop)
}

/// Host, and host with port. An IPv6 address with a port stands in brackets.
fn parts(node: &str) -> (&str, String) {
    match node.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => {
            (host.trim_start_matches('[').trim_end_matches(']'), node.to_owned())
        }
        Some(_) => (node, format!("[{node}]:{PORT}")),
        None => (node, format!("{node}:{PORT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_a_port() {
        let cases = [
            ("db1", "db1", "db1:9042"),
            ("db1:19042", "db1", "db1:19042"),
            ("10.0.0.1:9042", "10.0.0.1", "10.0.0.1:9042"),
            ("[::1]:9042", "::1", "[::1]:9042"),
            ("::1", "::1", "[::1]:9042"),
        ];
        for (node, host, address) in cases {
            assert_eq!(parts(node), (host, address.to_owned()));
        }
    }
}
