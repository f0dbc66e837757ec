//! Where a server is: the WebSocket address and the HTTP one beside it.

use http::Uri;

use crate::error::Stopped;

/// The path of the WebSocket service.
const PATH: &str = "/v1/ws";

/// A server's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As WebSocket clients want it, path included.
    pub(crate) url: String,
    /// Host and port as in the URL, for `Host` headers.
    pub(crate) authority: String,
    /// What to connect to: `host:port`.
    pub(crate) socket: String,
}

impl Address {
    /// Reads `ws://host[:port][/path]`; without a path it is `/v1/ws`.
    pub(crate) fn parse(url: &str) -> Result<Self, Stopped> {
        let bad = |problem: String| Stopped::BadUrl { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|e| bad(format!("{e}; write ws://host:port")))?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => {
                let problem = "this build speaks ws:// only; let a proxy on this machine add TLS";
                return Err(bad(problem.to_owned()));
            }
            _ => return Err(bad("the scheme must be ws://".to_owned())),
        }
        let authority = uri.authority().ok_or_else(|| bad("there is no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(bad("no user or password belongs in it; tokens go elsewhere".to_owned()));
        }
        let path = Some(uri.path()).filter(|path| !matches!(*path, "" | "/")).unwrap_or(PATH);
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Self {
            url: format!("ws://{authority}{path}"),
            authority: authority.to_string(),
            socket: format!("{host}:{port}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn the_path_may_be_left_out() {
        let short = Address::parse("ws://127.0.0.1:8080").unwrap();
        assert_eq!(short, Address::parse("ws://127.0.0.1:8080/v1/ws").unwrap());
        assert_eq!(short.socket, "127.0.0.1:8080");
        assert_eq!(Address::parse("ws://[::1]:80/").unwrap().socket, "[::1]:80");
        assert_eq!(Address::parse("ws://chat.example/other").unwrap().socket, "chat.example:80");
    }

    #[test]
    fn a_bad_url_says_what_is_wrong() {
        for (url, word) in [
            ("http://x", "ws://"),
            ("wss://x", "proxy"),
            ("127.0.0.1:8080", "ws://"),
            ("ws://token@x", "token"),
            ("", "ws://"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
