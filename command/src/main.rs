//! The command `daemonctx`.

fn main() -> std::process::ExitCode {
    daemonctx::parts::become_monitor_if_asked();
    daemonctx_command::run(std::env::args_os()).into()
}
