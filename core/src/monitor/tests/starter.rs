//! A starter as small as can be, for the fault sweep: `reliability/sweep/monitor.py` runs this binary with a folder in its environment.

use super::{Sandbox, list, text};
use crate::guarded_file::Creation;
use crate::launch::Respawn;
use crate::monitor::launch::Sign;
use crate::monitor::launcher::Launched;
use crate::monitor::outcome::Told;
use crate::monitor::settings::Ready;
use crate::streams::{LoggerEnds, Output, Place};
use crate::sys::c_buf::CBuf;
use crate::sys::fd;
use crate::sys::process;
use crate::sys::signal::{self, Disposition};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

fn said(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts what the environment says, if it says anything, and ends.
pub(super) fn run() {
    if said("SWEEP_PROGRAM").is_some() {
        let _ = crate::notify("READY=1");
        loop {
            std::thread::park();
        }
    }
    let Some(folder) = said("SWEEP_FOLDER") else { return };
    let ready = said("SWEEP_READY").unwrap_or_default();
    let time = ready.strip_prefix("running:").and_then(|time| time.parse().ok()).unwrap_or(50);
    let ready = match ready.as_str() {
        "executed" => Ready::Executed,
        "followed" => Ready::Followed,
        "newline" | "notify" => Ready::Sign,
        _ => Ready::Running(Duration::from_millis(time)),
    };
    let script = said("SWEEP_SCRIPT").unwrap_or_default();
    let status = match Sandbox::at(PathBuf::from(folder), ready, &script) {
        Ok(mut sandbox) => {
            if ready == Ready::Sign {
                sandbox.launch.sign = Sign::Newline(3);
            }
            if said("SWEEP_READY").is_some_and(|ready| ready == "notify") {
                send_messages(&mut sandbox);
            }
            if let Some(log) = said("SWEEP_SYSLOG") {
                log_to(&mut sandbox, &log);
            }
            if let Some(limit) = said("SWEEP_RESPAWN") {
                let delay = Duration::from_millis(5);
                sandbox.launch.settings.respawn =
                    Some(Respawn { delay, limit: limit.parse().ok(), settled: delay * 10_000 });
            }
            let timeout = said("SWEEP_TIMEOUT").and_then(|timeout| timeout.parse().ok()).unwrap_or(1000);
            sandbox.launch.settings.start_timeout = Some(Duration::from_millis(timeout));
            sandbox.launch.settings.stop_timeout = Duration::from_millis(200);
            let status = start(&sandbox);
            std::mem::forget(sandbox);
            status
        }
        Err(_) => 2,
    };
    process::exit_now(status);
}

/// This binary is the program, and says that it is ready.
fn send_messages(sandbox: &mut Sandbox) {
    let own = std::env::current_exe().unwrap_or_default();
    sandbox.launch.path = text(own.to_string_lossy().as_bytes());
    sandbox.launch.environment = list(&["SWEEP_PROGRAM=1"]);
    sandbox.launch.sign = Sign::Notify;
    sandbox.launch.notify = Some(text(sandbox.folder.join("notify").to_string_lossy().as_bytes()));
    sandbox.launch.runtime_directory = Some(text(sandbox.folder.join("own").to_string_lossy().as_bytes()));
    let _ = std::fs::create_dir(sandbox.folder.join("own"));
}

/// Standard output goes to the logger, standard error to a file that is opened again.
fn log_to(sandbox: &mut Sandbox, log: &str) {
    let path = sandbox.folder.join("log");
    let (Ok((reader, writer)), Ok(socket), Ok(file)) =
        (fd::pipe(), UnixDatagram::unbound(), std::fs::File::create(&path))
    else {
        return;
    };
    let _ = socket.connect(log);
    let Ok(socket) = fd::duplicate(socket.as_raw_fd()) else { return };
    let [reader, writer, socket, file] = [reader, writer, socket, file.into()].map(std::os::fd::IntoRawFd::into_raw_fd);
    sandbox.launch.streams = [None, Some(writer), Some(file)];
    let path = text(path.to_string_lossy().as_bytes());
    let place = Place::resolved(path, Creation { mode: Some(0o640), ..Creation::default() });
    sandbox.launch.outputs = [Output::Syslog, Output::File(place)];
    let heads = [text("<30>sweep["), CBuf::default()];
    sandbox.launch.logger = Some(LoggerEnds { pipes: [Some(reader), None], heads, socket });
}

fn start(sandbox: &Sandbox) -> i32 {
    // The injector counts from here.
    let _ = signal::set_disposition(libc::SIGURG, &Disposition::ignore());
    signal::raise(libc::SIGURG);
    let mut launched = match Launched::begin(c"/proc/self/exe", &sandbox.launch) {
        Ok(launched) => launched,
        Err(errno) => return fail(sandbox, &format!("{errno:?}")),
    };
    match launched.wait() {
        Told::Ready(_) => match launched.confirm() {
            Ok(()) => process::exit_now(0),
            Err(told) => fail(sandbox, &format!("{told:?}")),
        },
        told => fail(sandbox, &format!("{told:?}")),
    }
}

fn fail(sandbox: &Sandbox, why: &str) -> i32 {
    let _ = writeln!(std::io::stderr(), "failed: {why}");
    // Where there was no monitor yet.
    let _ = std::fs::remove_file(sandbox.folder.join("pid"));
    let _ = std::fs::remove_dir(sandbox.folder.join("own"));
    1
}
