//! Machines without Java or Maven: tests say loudly that they did not test, or fail where that must
//! not happen (`CI` is set). What is needed is the scripts' knowledge (`up --check`).

use std::{io::Write as _, sync::OnceLock};

use crate::script;

/// Why engines can't run on this machine; `None` where they can.
#[must_use]
pub fn skip() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    let check = |engine| script::run(engine, "up", ["--check"]).err();
    REASON
        .get_or_init(|| check("kafka").or_else(|| check("cassandra")).map(|e| e.to_string()))
        .clone()
}

/// True where engines can't run; then it has said so, on the process's own standard error, which the
/// test runner does not hold back.
///
/// # Panics
///
/// Where engines can't run and the environment has `CI`.
#[must_use]
pub fn skipped(test: &str) -> bool {
    let Some(reason) = skip() else { return false };
    let line = format!("SKIPPED {test}: it needs real engines. {reason}");
    assert!(std::env::var_os("CI").is_none(), "{line} (CI is set, so this is a failure)");
    let _closed = writeln!(std::io::stderr().lock(), "\n{line}");
    true
}

/// Returns from the test where engines can't run, after [`skipped`] has said so.
#[macro_export]
macro_rules! engines_or_skip {
    () => {
        if $crate::skipped(::std::module_path!()) {
            return;
        }
    };
}
