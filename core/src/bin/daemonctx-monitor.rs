//! The process that stays with each launched program. Launchers execute it, and nobody else.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemonctx::become_monitor_if_asked();
    eprintln!("daemonctx-monitor: started without a launcher; use `daemonctx start`");
    ExitCode::FAILURE
}
