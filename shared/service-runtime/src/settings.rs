//! Settings in layers: defaults, a TOML file, `HARKARA_*` variables, flags, in rising order.

pub mod unlimited;
