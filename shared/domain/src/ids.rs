//! Opaque identities. UUID version 7 when minted, version 8 when derived (so that the same cause
//! always gives the same id). Nothing about a person or a server is part of an id.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The text was not a UUID in its hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID of any version.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Wraps the 16 bytes of a UUID, most significant first (RFC 9562).
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, most significant first (RFC 9562).
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Takes the hyphenated form only, in either case: one id has one spelling on output.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.len() != 36 {
                    return Err(ParseIdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError)
            }
        }
    };
}

id!(
    /// A ministry, state or agency.
    TenantId
);
id!(
    /// A person or a bot.
    UserId
);
id!(
    /// One of a user's devices.
    DeviceId
);
id!(
    /// A conversation, or a user's inbox.
    ConversationId
);
id!(
    /// A WebSocket session on a gateway.
    SessionId
);
id!(
    /// Chosen by a device for each request that changes something; makes a repeat recognizable.
    ClientId
);

/// Derives a version 8 UUID (RFC 9562, 5.8) from a purpose and its parts, each length-prefixed so
/// that no two lists of parts run together.
fn derive(purpose: &str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("harkara 2026 derived id v1");
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl ConversationId {
    /// The one conversation of two users, whoever opens it first.
    #[must_use]
    pub fn direct(tenant: TenantId, a: UserId, b: UserId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self(derive("direct", &[tenant.as_bytes(), low.as_bytes(), high.as_bytes()]))
    }

    /// The conversation that a device creates with a client id: a retry means the same one.
    #[must_use]
    pub fn created(tenant: TenantId, device: DeviceId, client_id: ClientId) -> Self {
        Self(derive("created", &[tenant.as_bytes(), device.as_bytes(), client_id.as_bytes()]))
    }

    /// The user's inbox, which tells of conversations that appear in or leave the user's list.
    #[must_use]
    pub fn inbox(tenant: TenantId, user: UserId) -> Self {
        Self(derive("inbox", &[tenant.as_bytes(), user.as_bytes()]))
    }
}

impl ClientId {
    /// The id of the inbox record that an event causes for one user: a replay repeats it.
    #[must_use]
    pub fn caused(conversation: ConversationId, seq: u64, user: UserId) -> Self {
        Self(derive("caused", &[conversation.as_bytes(), &seq.to_be_bytes(), user.as_bytes()]))
    }
}

impl TenantId {
    /// The tenant of development mode.
    #[must_use]
    pub fn development() -> Self {
        Self(derive("tenant", &[b"development"]))
    }
}

impl UserId {
    /// A development user: the same name always gives the same id.
    #[must_use]
    pub fn development(name: &str) -> Self {
        Self(derive("user", &[b"development", name.as_bytes()]))
    }
}

impl DeviceId {
    /// A development user's device: the same names always give the same id.
    #[must_use]
    pub fn development(user: &str, device: &str) -> Self {
        Self(derive("device", &[b"development", user.as_bytes(), device.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_version_8_and_stable() {
        let tenant = TenantId::development();
        let (a, b) = (UserId::development("asha"), UserId::development("bilal"));
        let direct = ConversationId::direct(tenant, a, b);
        assert_eq!(direct, ConversationId::direct(tenant, b, a));
        assert_eq!(direct.uuid().get_version_num(), 8);
        assert_ne!(direct, ConversationId::direct(tenant, a, a));
        assert_eq!(a.to_string(), "a2338d30-9178-84af-84e8-8743837e2bbb");
    }

    #[test]
    fn only_the_hyphenated_form_is_taken() {
        let text = "0192F0C1-2345-7ABC-8DEF-0123456789AB";
        assert_eq!(text.parse::<UserId>().map(|id| id.to_string()), Ok(text.to_lowercase()));
        for bad in ["", "asha", "0192f0c123457abc8def0123456789ab", "urn:uuid:x", &"0".repeat(36)] {
            assert_eq!(bad.parse::<UserId>(), Err(ParseIdError), "{bad}");
        }
    }
}
