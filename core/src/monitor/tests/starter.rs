//! A starter as small as can be, for the fault sweep: `reliability/sweep/monitor.py` runs this binary with a folder in its environment.

use super::Sandbox;
use crate::keeper::Respawn;
use crate::monitor::launch::Sign;
use crate::monitor::launcher::Launched;
use crate::monitor::outcome::Told;
use crate::monitor::settings::Ready;
use crate::sys::process;
use crate::sys::signal::{self, Disposition};
use crate::text::c_text;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

fn said(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts what the environment says, if it says anything, and ends.
pub(super) fn run() {
    let Some(folder) = said("SWEEP_FOLDER") else { return };
    let ready = match said("SWEEP_READY").as_deref() {
        Some("executed") => Ready::Executed,
        Some("followed") => Ready::Followed,
        Some("newline") => Ready::Sign,
        _ => Ready::Running(Duration::from_millis(50)),
    };
    let script = said("SWEEP_SCRIPT").unwrap_or_default();
    let status = match Sandbox::at(PathBuf::from(folder), ready, &script) {
        Ok(mut sandbox) => {
            if ready == Ready::Sign {
                sandbox.launch.sign = Sign::Newline(3);
            }
            if let Some(limit) = said("SWEEP_RESPAWN") {
                let delay = Duration::from_millis(5);
                sandbox.launch.settings.respawn =
                    Some(Respawn { delay, limit: limit.parse().ok(), settled: delay * 10_000 });
            }
            sandbox.launch.settings.start_timeout = Some(Duration::from_secs(1));
            sandbox.launch.settings.stop_timeout = Duration::from_millis(200);
            let status = start(&sandbox);
            std::mem::forget(sandbox);
            status
        }
        Err(_) => 2,
    };
    process::exit_now(status);
}

fn start(sandbox: &Sandbox) -> i32 {
    // The injector counts from here.
    let _ = signal::set_disposition(libc::SIGURG, &Disposition::ignore());
    signal::raise(libc::SIGURG);
    let launched = match Launched::begin(c_text!("/proc/self/exe"), &sandbox.launch) {
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
    1
}
