//! What a person sees on a terminal while a start waits.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A line on standard error that is written anew each second, and erased in the end.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Signals are not for the thread that writes: call this with those blocked that matter.
    pub(crate) fn begin(name: &str, limit: Option<Duration>, is_wanted: bool) -> Self {
        const STEP: Duration = Duration::from_secs(1);
        if !is_wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let name = crate::screen::escaped(name);
        let limit = limit.map_or_else(String::new, |limit| format!(" of {} s", limit.as_secs()));
        let (end, ended) = channel();
        let write = move || {
            let begun = Instant::now();
            let mut erase = "";
            while ended.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                let seconds = begun.elapsed().as_secs();
                let _ = write!(std::io::stderr(), "\r{name}: waiting until it is ready, {seconds} s{limit}\x1b[K");
                erase = "\r\x1b[K";
            }
            let _ = write!(std::io::stderr(), "{erase}");
        };
        // A start that cannot have a thread goes on without.
        let thread = std::thread::Builder::new().spawn(write);
        Self(thread.ok().map(|thread| (end, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}
