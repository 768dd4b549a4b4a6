//! What the programs have in common: their argument, and the word that they are ready (`../c/driver.c`).

use std::io::Write;
use std::path::PathBuf;

/// The pid file, the only argument.
pub fn pid_file() -> PathBuf {
    std::env::args_os().nth(1).unwrap_or_else(|| "/dev/null/no-argument".into()).into()
}

/// Says that this daemon is ready, and stays.
pub fn ready() -> ! {
    let said = std::env::var_os("BENCH_FIFO")
        .ok_or(std::io::ErrorKind::NotFound.into())
        .and_then(|path| std::fs::OpenOptions::new().write(true).open(path))
        .and_then(|mut fifo| fifo.write_all(format!("{} 0\n", std::process::id()).as_bytes()));
    if let Err(error) = said {
        fail(error);
    }
    loop {
        std::thread::park();
    }
}

/// Says why not, and leaves.
pub fn fail(error: impl std::fmt::Display) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}
