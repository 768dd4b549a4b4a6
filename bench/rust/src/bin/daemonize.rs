//! The crate daemonize: pid file with a lock, directory, /dev/null. It closes nothing else, and its starter does not wait.

fn main() {
    match daemonize::Daemonize::new().pid_file(bench::pid_file()).working_directory("/").start() {
        Ok(()) => bench::ready(),
        Err(error) => bench::fail(error),
    }
}
