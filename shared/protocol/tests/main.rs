//! Tests of every form that leaves a process, against golden files in `fixtures/` and against
//! the documents in `docs/`.
//!
//! A golden file is never overwritten. A new one is written by running the tests with
//! `HARKARA_WRITE_FIXTURES=1`; read it before committing it. A form that changed on purpose is a
//! new version of that form, with files of its own, and the old files stay.

#[cfg(test)]
mod api_documents;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod chain_from_wire;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fixtures_values;
#[cfg(test)]
mod link_forms;
#[cfg(test)]
mod protocol_page;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod stored_fixtures;
#[cfg(test)]
mod support;
