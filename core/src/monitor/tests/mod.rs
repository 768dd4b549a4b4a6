//! Real monitors, executed from this very binary, and what they do with real programs.
#![allow(unsafe_code, reason = "a monitor begins before the tests' own main")]

use crate::descriptors::Keep;
use crate::error::{Failure, Step};
use crate::launch::Respawn;
use crate::monitor::launch::{Launch, Place, Sign};
use crate::monitor::launcher::Launched;
use crate::monitor::outcome::{Reason, Told};
use crate::monitor::proc;
use crate::monitor::settings::{Ready, Settings};
use crate::privileges::Ids;
use crate::stop::KillMode;
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Lock};
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Pid, StringList};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

mod lives;
mod starter;
mod starts;

extern "C" fn begin() {
    crate::monitor::become_monitor_if_asked();
    // One that a fault keeps from being a monitor would run all tests.
    if std::env::var_os("DAEMONCTX_MONITOR").is_some() {
        process::exit_now(1);
    }
    starter::run();
}

// SAFETY: the loader calls the functions in this section once, before main, when the C library is ready.
#[used]
#[cfg_attr(not(miri), unsafe(link_section = ".init_array"))]
static BEGIN: extern "C" fn() = begin;

const LONG: Duration = Duration::from_secs(20);

/// A folder with a pid file and a state file, and a program to be launched there.
struct Sandbox {
    folder: PathBuf,
    launch: Launch,
    lock: Option<OwnedFd>,
}

fn text(text: impl AsRef<[u8]>) -> CBuf {
    CBuf::new(text.as_ref()).unwrap_or_default()
}

fn list(texts: &[&str]) -> StringList {
    let mut list = StringList::default();
    let filled = texts.iter().try_for_each(|one| list.push(text(one))).and_then(|()| list.finish());
    assert_eq!(filled, Ok(()));
    list
}

impl Sandbox {
    /// A shell that runs `script`, with its folder as `$D`.
    fn new(ready: Ready, script: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("daemonctx-monitor-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        Self::at(folder, ready, script)
    }

    fn at(folder: PathBuf, ready: Ready, script: &str) -> io::Result<Self> {
        let at = |name: &str| text(folder.join(name).to_string_lossy().as_bytes());
        fs::write(folder.join("pid"), "")?;
        let lock = file::open(at("pid").as_c_str(), libc::O_RDONLY, 0).map_err(error)?;
        assert_eq!(file::lock(lock.as_raw_fd(), Lock::Exclusive), Ok(true));
        let settings =
            Settings { ready, start_timeout: Some(LONG), stop_timeout: LONG, kill_mode: KillMode::Tree, respawn: None };
        let launch = Launch {
            name: text("test"),
            path: text("/bin/sh"),
            arguments: list(&["sh", "-c", script]),
            environment: list(&["PATH=/usr/sbin:/usr/bin:/sbin:/bin", &format!("D={}", folder.display())]),
            pid_variables: vec![text("LISTEN_PID")],
            settings,
            sign: Sign::None,
            streams: [None; 3],
            keep: Keep::default(),
            umask: 0o022,
            root: None,
            working: text("/"),
            prevent_core: true,
            ids: Ids::default(),
            pid_file: Some(at("pid")),
            lock: Some(lock.as_raw_fd()),
            state_file: at("state"),
            claim: None,
            stop_signal: libc::SIGTERM,
            notify: None,
            runtime_directory: None,
            outputs: Default::default(),
            logger: None,
        };
        Ok(Self { folder, launch, lock: Some(lock) })
    }

    fn begin(&self) -> Launched {
        // Not by /proc, which is missing in some runs.
        let own = std::env::args().next().unwrap_or_default();
        let launched = Launched::begin(text(own.as_bytes()).as_c_str(), &self.launch);
        launched.unwrap_or_else(|errno| unreachable!("{errno:?}"))
    }

    /// The program's PID and the monitor's, of a start that is confirmed.
    fn started(&self) -> (Pid, Pid) {
        let mut launched = self.begin();
        let told = launched.wait();
        let Told::Ready(program) = told else { unreachable!("{told:?}") };
        assert_eq!(launched.confirm(), Ok(()));
        (program, monitor_of(program))
    }

    fn failed(&self) -> Reason {
        match self.begin().wait() {
            Told::Failed { reason, is_stuck: false } => reason,
            told => unreachable!("{told:?}"),
        }
    }

    /// What is in a file, once there is anything.
    fn read(&self, name: &str) -> String {
        let path = self.folder.join(name);
        until(name, || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
        fs::read_to_string(&path).unwrap_or_default().trim_end().to_owned()
    }

    fn pid(&self, name: &str) -> Pid {
        self.read(name).parse().unwrap_or_default()
    }

    fn state(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.folder.join("state")).unwrap_or_default();
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn has_state(&self, name: &str, value: &str) -> bool {
        self.state().get(name).is_some_and(|found| found == value)
    }

    fn left(&self) -> [bool; 2] {
        ["pid", "state"].map(|name| self.folder.join(name).exists())
    }

    /// Whether no other process holds the pid file's lock.
    fn is_unlocked(&mut self) -> bool {
        self.lock = None;
        let path = text(self.folder.join("pid").to_string_lossy().as_bytes());
        let other = file::open(path.as_c_str(), libc::O_RDONLY, 0);
        other.is_ok_and(|other| file::lock(other.as_raw_fd(), Lock::Exclusive) == Ok(true))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.value())
}

fn monitor_of(program: Pid) -> Pid {
    proc::stat(program).map_or(0, |stat| stat.parent)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_gone(pid: Pid) -> bool {
    pid > 1 && proc::stat(pid).map_or(true, |stat| stat.has_ended())
}

fn ends(pid: Pid) {
    let process = Process::open(pid);
    assert!(process.is_err() || process.and_then(|process| process.wait(Some(LONG))) == Ok(true), "{pid} ends");
}

fn signal(pid: Pid, signal: i32) {
    assert!(pid > 1);
    assert_eq!(process::kill(pid, signal), Ok(()));
}

/// Ends the daemon, and sees that nothing is left.
fn stop(sandbox: &Sandbox, monitor: Pid, processes: &[Pid]) {
    signal(monitor, libc::SIGTERM);
    ends(monitor);
    assert!(processes.iter().all(|pid| is_gone(*pid)), "{processes:?}");
    assert_eq!(sandbox.left(), [false; 2]);
}
