//! Names of users: `profiles` says which name is in force, `names` finds it by its beginning.
//!
//! The two are rows of different partitions, so nothing changes them at once. The index's row is
//! there before the profile and goes after it, both at the profile's own time: a crash leaves a
//! row too many, never one too few, and whoever searches asks the profile whether the row is the
//! one in force.

use harkara_domain::{Profile, TenantId, UserId};
use harkara_engine::StoreError;
use uuid::Uuid;

use crate::{rows, store::Inner};

impl Inner {
    pub(crate) async fn write_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        let old = self.read_profile(profile.tenant, profile.user).await?;
        let order = |of: &Profile| (of.at, of.name.clone());
        if old.as_ref().is_some_and(|old| order(old) >= order(profile)) {
            return Ok(());
        }
        let (tenant, user) = (profile.tenant.uuid(), profile.user.uuid());
        let name = rows::indexed(&profile.name);
        let (prefix, _) = rows::prefix(&name);
        let at = rows::timestamp(profile.at);
        let old = old.map(|old| rows::indexed(&old.name));
        if old.as_ref() != Some(&name) {
            self.calls.write(&self.statements.put_prefix, (tenant, prefix)).await?;
        }
        // Also where the name is the old one: at this moment somebody may be deleting the row
        // for a name in between, and the later time must hold.
        self.calls.write(&self.statements.put_name, (tenant, prefix, &name, user, at)).await?;
        self.calls.write(&self.statements.put_profile, rows::profile(profile)).await?;
        match old {
            Some(old) if old != name => {
                let (prefix, _) = rows::prefix(&old);
                let row = (at, tenant, prefix, &old, user);
                self.calls.write(&self.statements.forget_name, row).await
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn search_names(
        &self,
        tenant: TenantId,
        text: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        let mut search = Search {
            tenant,
            wanted: text.to_lowercase(),
            from: rows::indexed(text),
            limit,
            found: Vec::new(),
        };
        if limit == 0 {
            return Ok(search.found);
        }
        let from = search.from.clone();
        let (prefix, whole) = rows::prefix(&from);
        if whole {
            self.search_prefix(&mut search, prefix).await?;
            return Ok(search.found);
        }
        // The partitions in order of their prefixes are in order of their names.
        let mut next = None;
        loop {
            let (prefixes, after) = self.prefixes(tenant, &search.from, next).await?;
            for (prefix,) in prefixes {
                if !prefix.starts_with(&search.from) {
                    return Ok(search.found);
                }
                self.search_prefix(&mut search, &prefix).await?;
                if search.full() {
                    return Ok(search.found);
                }
            }
            next = after;
            if next.is_none() {
                return Ok(search.found);
            }
        }
    }

    async fn prefixes(
        &self,
        tenant: TenantId,
        from: &str,
        next: Option<Vec<u8>>,
    ) -> Result<(Vec<(String,)>, Option<Vec<u8>>), StoreError> {
        self.calls.page(&self.statements.prefixes, (tenant.uuid(), from), next).await
    }

    /// Looks through one partition, page by page, until enough was found.
    async fn search_prefix(&self, search: &mut Search, prefix: &str) -> Result<(), StoreError> {
        let tenant = search.tenant;
        let range = (tenant.uuid(), prefix, search.from.clone());
        let mut next = None;
        loop {
            let (names, after): (Vec<(String, Uuid)>, _) =
                self.calls.page(&self.statements.names, &range, next).await?;
            let fits = names.iter().take_while(|(name, _)| name.starts_with(&search.from));
            let fitting: Vec<_> = fits.collect();
            let last = fitting.len() < names.len() || after.is_none();
            // A few more than are wanted, where some turn out not to be in force.
            for some in fitting.chunks(search.limit.clamp(16, 256)) {
                let users = some.iter().map(|(_, user)| UserId::from_uuid(*user)).collect();
                let profiles = self.read_profiles(tenant, users).await?;
                search.take(some, profiles);
                if search.full() {
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
            next = after;
        }
    }
}

/// A search under way.
struct Search {
    tenant: TenantId,
    /// What names must begin with, in full.
    wanted: String,
    /// The same as the index has it.
    from: String,
    limit: usize,
    found: Vec<Profile>,
}

impl Search {
    fn full(&self) -> bool {
        self.found.len() >= self.limit
    }

    /// Takes the profiles whose name in force is the one in the index.
    fn take(&mut self, rows: &[&(String, Uuid)], profiles: Vec<Profile>) {
        let mut profiles = profiles.into_iter().peekable();
        for (name, user) in rows {
            let user = UserId::from_uuid(*user);
            let Some(profile) = profiles.next_if(|profile| profile.user == user) else { continue };
            let in_force = rows::indexed(&profile.name) == *name;
            let wanted = profile.name.to_lowercase().starts_with(&self.wanted);
            if in_force && wanted && !self.full() {
                self.found.push(profile);
            }
        }
    }
}
