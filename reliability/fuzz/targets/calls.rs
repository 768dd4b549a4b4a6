//! libFuzzer's door to [`daemonctx_fuzz::calls`].
#![no_main]

libfuzzer_sys::fuzz_target!(init: daemonctx_fuzz::house::enter(), |bytes: &[u8]| daemonctx_fuzz::calls::run(bytes));
