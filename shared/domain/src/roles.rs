//! Kinds of conversations, roles of their members, and who may do what.

/// What a conversation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Two people; membership is fixed and both are owners.
    Direct,
    /// Any number of people who all may write.
    Group,
    /// Any number of people; owners and admins write, members read.
    Channel,
}

impl Kind {
    /// The word clients see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }
}

/// What a member may do; later roles include the earlier ones' rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads, and writes in groups.
    Member,
    /// Also writes in channels, adds and removes members, changes the title.
    Admin,
    /// Also gives and takes roles, and removes admins.
    Owner,
}

impl Role {
    /// The word clients see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// May this role send a message to such a conversation?
    #[must_use]
    pub fn may_send(self, kind: Kind) -> bool {
        kind != Kind::Channel || self >= Self::Admin
    }

    /// May this role add members with role `given`?
    #[must_use]
    pub fn may_add(self, given: Self) -> bool {
        self == Self::Owner || (self == Self::Admin && given == Self::Member)
    }

    /// May this role remove a member whose role is `of`?
    #[must_use]
    pub fn may_remove(self, of: Self) -> bool {
        self == Self::Owner || (self == Self::Admin && of == Self::Member)
    }

    /// May this role change the title?
    #[must_use]
    pub fn may_update(self) -> bool {
        self >= Self::Admin
    }

    /// May this role change roles?
    #[must_use]
    pub fn may_set_role(self) -> bool {
        self == Self::Owner
    }
}
