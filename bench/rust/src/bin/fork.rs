//! The crate fork: two forks, a session, directory, standard streams closed. It knows no pid file: the program writes it.

use std::io::Write;

fn main() {
    match fork::daemon(false, false) {
        Ok(fork::Fork::Child) => {}
        Ok(fork::Fork::Parent(_)) => return,
        Err(error) => bench::fail(format!("{error:?}")),
    }
    let written =
        std::fs::File::create(bench::pid_file()).and_then(|mut file| writeln!(file, "{}", std::process::id()));
    match written {
        Ok(()) => bench::ready(),
        Err(error) => bench::fail(error),
    }
}
