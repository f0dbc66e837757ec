//! Hands the compiler's version and the commit to the crate, for `--version` and the build metric.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    println!("cargo:rerun-if-env-changed=BUILD_GIT_HASH");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().map_or("unknown", str::trim);
    println!("cargo:rustc-env=BUILD_RUSTC={version}");
    // Told by whoever builds for others: asking git would rebuild everything at each commit.
    let hash = env::var("BUILD_GIT_HASH").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=BUILD_GIT_HASH={hash}");
}
