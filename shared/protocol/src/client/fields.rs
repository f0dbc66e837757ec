//! Fields that refuse nonsense with a sentence: ids, sequences, lists of users, nullable values.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, str::FromStr};

use harkara_domain::{
    ClientId, ConversationId, DeviceId, Kind, Role, Seq, SessionId, UserId, limits,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An id as a hyphenated UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id<T>(pub T);

/// Ids that may stand in a frame.
pub trait WireId: Copy + FromStr + fmt::Display {}
impl WireId for UserId {}
impl WireId for DeviceId {}
impl WireId for ConversationId {}
impl WireId for SessionId {}
impl WireId for ClientId {}

impl<T: WireId> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: WireId> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<T: WireId> de::Visitor<'_> for Visitor<T> {
            type Value = Id<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID as a string: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<T>, E> {
                text.parse().map(Id).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor(PhantomData))
    }
}

/// A sequence number: an integer from 0 to 2^53 − 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct SeqNo(pub Seq);

impl<'de> Deserialize<'de> for SeqNo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = SeqNo;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 0 to {}", limits::SEQ_MAX)
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<SeqNo, E> {
                if n > limits::SEQ_MAX {
                    return Err(E::invalid_value(de::Unexpected::Unsigned(n), &self));
                }
                Ok(SeqNo(n))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

/// A string field; any string that is valid Unicode.
pub type Strict<'a> = Cow<'a, str>;

/// A list of at most [`limits::USERS_PER_REQUEST_MAX`] users.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Users(pub Vec<Id<UserId>>);

impl Users {
    /// The ids inside.
    #[must_use]
    pub fn ids(&self) -> Vec<UserId> {
        self.0.iter().map(|id| id.0).collect()
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let users = Vec::<Id<UserId>>::deserialize(deserializer)?;
        if users.len() > limits::USERS_PER_REQUEST_MAX {
            return Err(de::Error::custom(format_args!(
                "{} users in one request, at most {} are taken",
                users.len(),
                limits::USERS_PER_REQUEST_MAX
            )));
        }
        Ok(Self(users))
    }
}

/// `limit`: any integer that fits 64 bits, or null; larger ones saturate, since the server takes
/// what is above its maximum as the maximum.
pub(crate) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E: de::Error>(self, n: i64) -> Result<Option<i64>, E> {
            Ok(Some(n))
        }

        fn visit_u64<E: de::Error>(self, n: u64) -> Result<Option<i64>, E> {
            Ok(Some(i64::try_from(n).unwrap_or(i64::MAX)))
        }

        fn visit_none<E: de::Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Option<i64>, D::Error> {
            d.deserialize_i64(self)
        }
    }
    deserializer.deserialize_option(Visitor)
}

type Cursors = BTreeMap<Id<ConversationId>, SeqNo>;

/// `cursors`: a conversation that is named twice (also in another case) is refused, since one of
/// the two would be dropped without a word.
pub(crate) fn cursors<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cursors>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<Cursors>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of conversation ids and sequences")
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            d.deserialize_map(self)
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut cursors = Cursors::new();
            while let Some((id, seq)) = map.next_entry::<Id<ConversationId>, SeqNo>()? {
                if cursors.insert(id, seq).is_some() {
                    return Err(de::Error::custom(format_args!("{} stands there twice", id.0)));
                }
            }
            Ok(Some(cursors))
        }
    }
    deserializer.deserialize_option(Visitor)
}

/// A conversation's kind as its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireKind {
    /// Two people.
    Direct,
    /// All may write.
    Group,
    /// Owners and admins write.
    Channel,
}

impl From<Kind> for WireKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Direct => Self::Direct,
            Kind::Group => Self::Group,
            Kind::Channel => Self::Channel,
        }
    }
}

impl From<WireKind> for Kind {
    fn from(kind: WireKind) -> Self {
        match kind {
            WireKind::Direct => Self::Direct,
            WireKind::Group => Self::Group,
            WireKind::Channel => Self::Channel,
        }
    }
}

/// A member's role as its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireRole {
    /// Reads, and writes in groups.
    Member,
    /// Manages members.
    Admin,
    /// Manages roles.
    Owner,
}

impl From<Role> for WireRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

impl From<WireRole> for Role {
    fn from(role: WireRole) -> Self {
        match role {
            WireRole::Member => Self::Member,
            WireRole::Admin => Self::Admin,
            WireRole::Owner => Self::Owner,
        }
    }
}
