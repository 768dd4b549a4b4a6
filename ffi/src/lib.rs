//! `libdaemon.so.0`: the C door to the crate `daemonctx`.
//!
//! Thin: a function here turns C's types into Rust's, calls the core, and turns the result back. One folder for each
//! interface, one file for each part of its header. Nothing here can panic, and so nothing unwinds into C; the release build
//! is checked for that (`make check-library`).
//!
//! What every function documents for C is in the header that is generated from these files, `include/daemonctx.h`.
#![allow(non_camel_case_types, reason = "C's names")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header says it for C; what Rust checks is said at each unsafe block"
)]

pub mod daemonctx;
mod errno;
mod heap;
mod libdaemon;
