//! The command `daemonctx`, which is also the monitor that stays with each program it starts.

use std::path::PathBuf;

/// This executable, whatever has become of its file. Its own name is what ps(1) shows, so that comes first.
fn monitor() -> PathBuf {
    let own = daemonctx::parts::executable().filter(|path| path.is_file());
    own.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

fn main() -> std::process::ExitCode {
    daemonctx::become_monitor_if_asked();
    daemonctx_command::run(std::env::args_os(), &monitor()).into()
}
