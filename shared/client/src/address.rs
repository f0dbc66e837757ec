//! Where a server is: the WebSocket address and the HTTP one beside it.

use http::Uri;

use crate::{error::Stopped, tls::Tls};

/// The path of the WebSocket service.
const PATH: &str = "/v1/ws";

/// A server's address, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// As WebSocket clients want it, path included.
    pub(crate) url: String,
    /// Host and port as in the URL, for `Host` headers.
    pub(crate) authority: String,
    /// What to connect to: `host:port`.
    pub(crate) socket: String,
    /// The name that the server's certificate must have.
    pub(crate) host: String,
    /// For `wss://`.
    pub(crate) tls: Option<Tls>,
}

impl Address {
    /// Reads `ws[s]://host[:port][/path]`; without a path it is `/v1/ws`. `tls` is for `wss://`, by
    /// default the system's.
    pub(crate) fn parse(url: &str, tls: Option<&Tls>) -> Result<Self, Stopped> {
        let bad = |problem: String| Stopped::BadUrl { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|e| bad(format!("{e}; write ws://host:port")))?;
        let (scheme, usual_port, tls) = match uri.scheme_str() {
            Some("ws") => ("ws", 80, None),
            Some("wss") => {
                let tls = tls.cloned().map_or_else(Tls::system, Ok);
                ("wss", 443, Some(tls.map_err(|error| bad(error.to_string()))?))
            }
            _ => return Err(bad("the scheme must be ws:// or wss://".to_owned())),
        };
        let authority = uri.authority().ok_or_else(|| bad("there is no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(bad("no user or password belongs in it; tokens go elsewhere".to_owned()));
        }
        let path = Some(uri.path()).filter(|path| !matches!(*path, "" | "/")).unwrap_or(PATH);
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(usual_port));
        Ok(Self {
            url: format!("{scheme}://{authority}{path}"),
            authority: authority.to_string(),
            socket: format!("{host}:{port}"),
            host: host.trim_matches(['[', ']']).to_owned(),
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn parse(url: &str) -> Address {
        Address::parse(url, None).unwrap()
    }

    #[test]
    fn the_path_may_be_left_out() {
        let short = parse("ws://127.0.0.1:8080");
        assert_eq!(short.url, parse("ws://127.0.0.1:8080/v1/ws").url);
        assert_eq!(short.socket, "127.0.0.1:8080");
        assert_eq!(parse("ws://chat.example/other").socket, "chat.example:80");
        let six = parse("ws://[::1]:80/");
        assert_eq!((six.socket.as_str(), six.host.as_str()), ("[::1]:80", "::1"));
    }

    #[test]
    fn a_bad_url_says_what_is_wrong() {
        for (url, word) in [
            ("http://x", "ws://"),
            ("127.0.0.1:8080", "ws://"),
            ("ws://token@x", "token"),
            ("", "ws://"),
        ] {
            let error = Address::parse(url, None).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
