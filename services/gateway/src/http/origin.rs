//! Which web pages may open sessions. [`super::upgrade`] asks.
//!
//! A token is no cookie: a foreign page has none to misuse. The check keeps pages that got hold of
//! one from using it in a user's browser.

use std::net::{IpAddr, SocketAddr};

use actix_http::Uri;

/// Whether a page of `origin` may upgrade. `host` is the request's `Host` header.
pub(super) fn is_allowed(origin: &str, host: &str, peer: SocketAddr, allowed: &[String]) -> bool {
    if !allowed.is_empty() {
        return allowed.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(origin));
    }
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    authority.as_str().eq_ignore_ascii_case(host)
        || peer.ip().to_canonical().is_loopback() && is_loopback(authority.host())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_means_this_host_and_loopback_to_loopback() {
        let near = "127.0.0.1:5000".parse().unwrap();
        let far = "192.0.2.7:5000".parse().unwrap();
        for (origin, peer, expected) in [
            ("https://chat.example.org", far, true),
            ("https://CHAT.example.org", far, true),
            ("https://chat.example.org.evil.test", far, false),
            ("http://localhost:3000", near, true),
            ("http://[::1]:3000", near, true),
            ("http://127.0.0.1.evil.test", near, false),
            ("http://localhost:3000", far, false),
            ("null", near, false),
            ("", near, false),
        ] {
            assert_eq!(is_allowed(origin, "chat.example.org", peer, &[]), expected, "{origin}");
        }
    }

    #[test]
    fn a_list_is_exact() {
        let peer = "127.0.0.1:5000".parse().unwrap();
        let list = ["https://a.test".to_owned()];
        assert!(is_allowed("https://a.test", "x", peer, &list));
        assert!(!is_allowed("http://a.test", "x", peer, &list));
        assert!(!is_allowed("https://a.test:444", "x", peer, &list));
        assert!(!is_allowed("http://localhost", "localhost", peer, &list));
        assert!(is_allowed("http://any.test", "x", peer, &["*".to_owned()]));
    }
}
