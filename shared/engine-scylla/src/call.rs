//! One statement to the cluster and what became of it: sent, counted, its failure translated.
//! Everything in `write`, `read`, `names` and `scan` goes through here.
//!
//! Nothing is repeated in here beyond what the driver does within one request timeout: callers
//! back off, and a node that came back is dialed by the driver with pauses of its own.

use scylla::{
    client::session::Session,
    deserialize::row::DeserializeRow,
    errors::{DbError, ExecutionError, RequestAttemptError},
    response::{PagingState, PagingStateResponse, query_result::QueryResult},
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};

use harkara_engine::StoreError;

use crate::counts::Counters;

/// The way to the cluster.
pub(crate) struct Calls {
    session: Session,
    pub(crate) counters: Counters,
}

/// Rows of one page, and where the next one begins.
pub(crate) type Paged<R> = (Vec<R>, Option<Vec<u8>>);

impl Calls {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, counters: Counters::default() }
    }

    /// Writes one row.
    pub(crate) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), StoreError> {
        let written = self.session.execute_unpaged(statement, values).await;
        self.wrote(written, 1)
    }

    /// Writes rows of one partition at once: one mutation, so all of them or none on each replica.
    pub(crate) async fn write_all<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: &[V],
    ) -> Result<(), StoreError> {
        if let [row] = rows {
            return self.write(statement, row).await;
        }
        let statements = vec![statement.clone().into(); rows.len()];
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        let written = self.session.batch(&batch, rows).await;
        self.wrote(written, rows.len())
    }

    fn wrote(
        &self,
        written: Result<QueryResult, ExecutionError>,
        rows: usize,
    ) -> Result<(), StoreError> {
        self.counters.wrote(rows);
        written.map(drop).map_err(|error| self.failed(failure(&error)))
    }

    /// Reads one page.
    pub(crate) async fn page<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        from: Option<Vec<u8>>,
    ) -> Result<Paged<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let from = from.map_or_else(PagingState::start, PagingState::new_from_raw_bytes);
        let read = self.session.execute_single_page(statement, values, from).await;
        let (result, next) = read.map_err(|error| self.failed(failure(&error)))?;
        let rows = decoded::<R>(result).map_err(|error| self.failed(error))?;
        self.counters.read(rows.len());
        let next = match next {
            PagingStateResponse::HasMorePages { state } => {
                state.as_bytes_slice().map(|bytes| bytes.to_vec())
            }
            PagingStateResponse::NoMorePages => None,
        };
        Ok((rows, next))
    }

    /// Reads all rows, page by page, for as long as `take` wants more.
    pub(crate) async fn each<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        mut take: impl FnMut(R) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let mut from = None;
        loop {
            let (rows, next) = self.page(statement, &values, from).await?;
            for row in rows {
                if !take(row)? {
                    return Ok(());
                }
            }
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads the one row that there can be.
    pub(crate) async fn one<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        Ok(self.page(statement, values, None).await?.0.pop())
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, error: StoreError) -> StoreError {
        self.counters.failed(&error);
        error
    }
}

fn decoded<R>(result: QueryResult) -> Result<Vec<R>, StoreError>
where
    R: for<'f, 'm> DeserializeRow<'f, 'm>,
{
    let other = |what: String| {
        StoreError::Stop(format!("the store answered in another form ({what}): check its tables"))
    };
    let rows = result.into_rows_result().map_err(|error| other(error.to_string()))?;
    let read = rows.rows::<R>().map_err(|error| other(error.to_string()))?;
    read.collect::<Result<_, _>>().map_err(|error| other(error.to_string()))
}

/// What a failed statement means for a caller. Whatever may have been carried out, or may be
/// carried out the next time, is repeated; what the nodes refuse for its content is not.
pub(crate) fn failure(error: &ExecutionError) -> StoreError {
    let stops = match error {
        ExecutionError::BadQuery(_) => true,
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::DbError(kind, _) => matches!(
                kind,
                DbError::SyntaxError
                    | DbError::Invalid
                    | DbError::AlreadyExists { .. }
                    | DbError::FunctionFailure { .. }
                    | DbError::Unauthorized
                    | DbError::ConfigError
            ),
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::RepreparedIdChanged { .. } => true,
            _ => false,
        },
        _ => false,
    };
    if stops { StoreError::Stop(error.to_string()) } else { StoreError::Retry(error.to_string()) }
}
