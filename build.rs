//! Two things that make a start shorter.
//!
//! Has the linker put the functions that a start runs next to each other (`build/layout.ld`). They
//! are a sixth of the code; strewn over it they keep most of its pages in memory.
//!
//! And takes the unwinder into the program: the shared one is a library more to load, which asks
//! the processor what it can at once, and under a hypervisor each question is an exit.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment is how cargo tells a build script what it builds"
)]

use std::env;

const LAYOUT: &str = "build/layout.ld";

/// `off` where a linker cannot read the script, or has no `libgcc_eh`.
const SWITCH: &str = "HORMESIS_LAYOUT";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={LAYOUT}");
    println!("cargo:rerun-if-env-changed={SWITCH}");
    if is_wanted() {
        // The linker of the root package runs in its folder; a whole path would not survive a comma
        // in it, nor that the folder is moved.
        println!("cargo:rustc-link-arg-bin=hormesis=-Wl,-T,{LAYOUT}");
        // Before the shared one, which the standard library names: the first that has it is taken.
        if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|it| it == "gnu") {
            println!("cargo:rustc-link-lib=gcc_eh");
        }
    }
}

/// In release builds for Linux, with the linkers that a compiler comes with: GNU's and LLVM's read
/// the script, and others may not.
fn is_wanted() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = env::var_os("RUSTC_LINKER").is_some()
        || ["linker", "fuse-ld=", "--ld-path", "link-arg=-B"]
            .iter()
            .any(|it| flags.contains(it));
    is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !chosen && !is(SWITCH, "off")
}
