//! libFuzzer's door to [`daemonctx_fuzz::pid_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(init: daemonctx_fuzz::house::enter(), |bytes: &[u8]| daemonctx_fuzz::pid_file::run(bytes));
