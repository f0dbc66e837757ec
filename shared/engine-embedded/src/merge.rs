//! Merges store writes into one batch: the committer's part of the store. Being one thread, it
//! sees every row it wrote before, those of the batch that is being made included.

use std::{collections::HashMap, ops::Bound};

use fjall::{OwnedWriteBatch, Slice};
use harkara_engine::StoreError;

use crate::{
    rows::{self, Change},
    tables::{Table, Tables, name_key},
};

/// Rejections removed with one snapshot; the next one takes those that are left. A conversation
/// remembers 256, so more than that is the mark of a flood.
const FORGET_MAX: usize = 1_024;

/// Rows of one batch, each key once, as they will be; none for those to be removed.
///
/// All rows of a fjall batch carry the same sequence number, so a key must not be in it twice.
#[derive(Default)]
pub(crate) struct Staged(HashMap<(Table, Vec<u8>), Option<Slice>>);

impl Staged {
    /// Takes a write's rows. What fails leaves the rows before it, which are complete rows.
    pub(crate) fn write(
        &mut self,
        tables: &Tables,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Put { table, key, value } => self.put(table, key, value),
                Change::Merge { table, key, value, forget } => {
                    self.merge(tables, table, key, value, forget.as_deref())?;
                }
            }
        }
        Ok(())
    }

    /// Moves all rows into the batch. Reads beside it see rows one by one in this order, so what goes
    /// comes last: whoever misses a rejection that was forgotten finds the snapshot that has it.
    pub(crate) fn finish(self, tables: &Tables, batch: &mut OwnedWriteBatch) {
        let mut gone = Vec::new();
        for ((table, key), value) in self.0 {
            match value {
                Some(value) => batch.insert(tables.of(table), key, value),
                None => gone.push((table, key)),
            }
        }
        for (table, key) in gone {
            batch.remove(tables.of(table), key);
        }
    }

    /// Writes a row whatever is there.
    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert((table, key), Some(Slice::from(value)));
    }

    fn merge(
        &mut self,
        tables: &Tables,
        table: Table,
        key: Vec<u8>,
        value: Vec<u8>,
        forget: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let at = (table, key);
        let old = match self.0.get(&at) {
            Some(staged) => staged.clone(),
            None => tables.get(table, &at.1).map_err(read_failed)?,
        };
        if let Some(old) = &old
            && rows::body(table, old)? >= rows::body(table, &value)?
        {
            return Ok(());
        }
        if let Some(until) = forget {
            self.forget_rejections(tables, &at.1, until)?;
        }
        if table == Table::Profiles {
            self.rename(&at.1, old.as_deref(), &value)?;
        }
        self.0.insert(at, Some(Slice::from(value)));
        Ok(())
    }

    /// Keeps the index of names beside a profile that changes.
    fn rename(&mut self, key: &[u8], old: Option<&[u8]>, new: &[u8]) -> Result<(), StoreError> {
        let (tenant, user) = key.split_at_checked(16).unwrap_or_default();
        if let Some(old) = old {
            let old = name_key(tenant, rows::profile_name(old)?, user);
            self.0.insert((Table::Names, old), None);
        }
        self.put(Table::Names, name_key(tenant, rows::profile_name(new)?, user), Vec::new());
        Ok(())
    }

    fn forget_rejections(
        &mut self,
        tables: &Tables,
        conversation: &[u8],
        until: &[u8],
    ) -> Result<(), StoreError> {
        let range = (Bound::Included(conversation), Bound::Included(until));
        for row in tables.of(Table::Rejections).range::<&[u8], _>(range).take(FORGET_MAX) {
            let key = row.key().map_err(read_failed)?;
            self.0.insert((Table::Rejections, key.to_vec()), None);
        }
        Ok(())
    }
}

/// What a failed read means for a caller of the store.
pub(crate) fn read_failed(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => {
            StoreError::Retry(format!("the database can't be read ({e}): check the disk"))
        }
        other => StoreError::Stop(format!(
            "the database is damaged ({other:?}): stop, check the disk, restore a backup"
        )),
    }
}
