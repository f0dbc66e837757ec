//! The scripts of `deploy/engines`, run to their end.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

/// A script that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It could not be run at all.
    #[error("{script} can't be run: {source}; engines need bash and the folder deploy/engines")]
    NotRun {
        /// Its path.
        script: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("{words}")]
    Failed {
        /// What it wrote to standard error.
        words: String,
    },
}

/// Runs `deploy/engines/ENGINE/NAME` and gives what it wrote to standard output. What it says
/// of long work that is done only once (fetching jars) is passed on to standard error meanwhile.
pub fn run<A: AsRef<OsStr>>(
    engine: &str,
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, ScriptError> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../deploy/engines", engine, name].iter().collect();
    let not_run = |source| ScriptError::NotRun { script: path.display().to_string(), source };
    let mut child = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let mut words = String::new();
    for line in child.stderr.take().into_iter().flat_map(|err| BufReader::new(err).lines()) {
        let line = line.map_err(not_run)?;
        if line.ends_with("(once)") {
            let _closed = writeln!(std::io::stderr().lock(), "{line}");
        }
        words.push_str(&line);
        words.push('\n');
    }
    // A few addresses, or the table of a tool: less than a pipe holds.
    let mut told = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut told).map_err(not_run)?;
    }
    let status = child.wait().map_err(not_run)?;
    if status.success() {
        Ok(told)
    } else {
        Err(ScriptError::Failed { words: words.trim_end().to_owned() })
    }
}
