//! What the program says to its user: lines on standard output. A closed pipe is not an error.

use std::{fmt, io::Write};

/// Prints a line.
pub fn line(text: impl fmt::Display) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line for people, not for pipes.
pub fn note(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A table with a head and right-aligned figures after the first column.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table.to_string()
}
