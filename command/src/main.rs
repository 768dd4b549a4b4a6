//! The command `daemonctx`.

fn main() -> std::process::ExitCode {
    daemonctx_command::run(std::env::args_os()).into()
}
