//! A socket address in settings, with a message that says what one looks like.

use std::{fmt, net::SocketAddr};

use serde::{Deserializer, Serializer, de};

/// Writes it as text.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// Reads it from text.
///
/// # Errors
///
/// Anything else than an IP address and a port.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct Text;
    impl de::Visitor<'_> for Text {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address and a port such as \"127.0.0.1:8080\", \"[::]:8080\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Text)
}
