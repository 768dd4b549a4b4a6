//! Random bytes become files, environments and calls; each module says what must hold whatever they are, and ends the process
//! where it does not. `targets/` are libFuzzer's doors to them, `bin/replay.rs` has the corpora and random bytes again without it.
//!
//! Run in a PID namespace and a directory of its own (`fuzz.py`): pid files name processes, and are obeyed.

pub mod calls;
pub mod choice;
pub mod environment;
pub mod house;
pub mod pid_file;
