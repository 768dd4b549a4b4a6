//! What a service manager says by the environment, and anything else in its place.

use crate::choice::Choices;
use crate::house::{self, wrong};
use std::ffi::{CString, OsStr};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::time::Duration;

const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// A manager that listens, by a path and by an abstract name.
struct Manager {
    sockets: [UnixDatagram; 2],
    names: [Vec<u8>; 2],
}

impl Manager {
    fn new() -> Option<Self> {
        let path = house::path("notify");
        let _ = std::fs::remove_file(&path);
        let name = format!("daemonctx-fuzz-{}", std::process::id());
        let sockets = [
            UnixDatagram::bind(&path).ok()?,
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).ok()?).ok()?,
        ];
        sockets.iter().try_for_each(|socket| socket.set_nonblocking(true)).ok()?;
        Some(Self { sockets, names: [path.as_os_str().as_bytes().to_vec(), format!("@{name}").into_bytes()] })
    }

    fn received(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for socket in &self.sockets {
            let mut room = [0; 8192];
            while let Ok(length) = socket.recv(&mut room) {
                all.push(room[..length].to_vec());
            }
        }
        all
    }
}

/// The values of [`VARIABLES`], `None` for one that is not set.
type Values = [Option<Vec<u8>>; 6];

pub fn run(input: &[u8]) {
    static MANAGER: OnceLock<Option<Manager>> = OnceLock::new();
    let Some(manager) = MANAGER.get_or_init(Manager::new) else { wrong("no sockets to listen on") };
    let mut choices = Choices::new(input);
    let values: Values = std::array::from_fn(|_| value(&mut choices, manager));
    for (name, value) in VARIABLES.iter().zip(&values) {
        set(name, value.as_deref());
    }
    let message = choices.rest();
    tell(manager, values[0].as_deref(), message);
    watch(&values);
    listen(&values);
    for name in VARIABLES {
        set(name, None);
    }
}

/// One that is not set, or empty, or means something, or anything.
fn value(choices: &mut Choices<'_>, manager: &Manager) -> Option<Vec<u8>> {
    let choice = choices.byte();
    let text = match choice % 8 {
        0 => return None,
        1 => Vec::new(),
        2 => std::process::id().to_string().into_bytes(),
        3 => manager.names[usize::from(choice / 8) % 2].clone(),
        4 => (choice / 32).to_string().into_bytes(),
        _ => {
            let length = usize::from(choices.byte());
            choices.bytes(length).to_vec()
        }
    };
    Some(text.into_iter().filter(|byte| *byte != 0).collect())
}

fn set(name: &str, value: Option<&[u8]>) {
    let Ok(name) = CString::new(name) else { return };
    match value.map(CString::new) {
        // SAFETY: strings; there is one thread.
        Some(Ok(value)) => unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) },
        // SAFETY: as above.
        _ => unsafe { libc::unsetenv(name.as_ptr()) },
    };
}

/// Said is what the manager has heard, once; and where there is a manager it has heard.
fn tell(manager: &Manager, socket: Option<&[u8]>, message: &[u8]) {
    let said = daemonctx::notify_bytes(message);
    let heard = manager.received();
    let named = socket.is_some_and(|name| manager.names.iter().any(|it| it == name));
    let is_right = match &said {
        Ok(false) => socket.is_none_or(<[u8]>::is_empty) && heard.is_empty(),
        Ok(true) => heard == [message],
        // A name that is somebody's, and a message that no datagram can be.
        Err(_) => heard.is_empty() && (!named || message.len() > 4096),
    };
    if !is_right {
        wrong(&format!("NOTIFY_SOCKET={:?}: {said:?}, heard {heard:?}", socket.map(OsStr::from_bytes)));
    }
    if said.is_err_and(|error| error.to_string().is_empty()) {
        wrong("an error that says nothing");
    }
    let _ = (daemonctx::notify_reloading(), daemonctx::notify_with_descriptors(message, &[-1, 1 << 20]));
    let _ = daemonctx::notify_barrier(Some(Duration::ZERO));
    manager.received();
}

/// Digits and nothing else, and not too many: what a variable with a number in it may be.
fn number(value: Option<&Vec<u8>>) -> Option<u64> {
    let text = std::str::from_utf8(value?).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn watch(values: &Values) {
    let meant = values[2].is_none() || number(values[2].as_ref()) == Some(u64::from(std::process::id()));
    let expected = number(values[1].as_ref()).filter(|time| meant && *time > 0).map(Duration::from_micros);
    if daemonctx::watchdog_interval() != expected {
        wrong(&format!("{values:?}: {:?}, not {expected:?}", daemonctx::watchdog_interval()));
    }
}

/// How many descriptors from 3 on are open, one after the other.
fn open_in_a_row() -> u64 {
    // SAFETY: fcntl takes numbers.
    (3..).take_while(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).count() as u64
}

fn listen(values: &Values) {
    let meant = number(values[4].as_ref()) == Some(u64::from(std::process::id()));
    // What is more than descriptors can be is nothing.
    let count = number(values[3].as_ref()).filter(|count| meant && *count <= i32::MAX as u64 - 3).unwrap_or(0);
    let taken = match daemonctx::take_listen_descriptors() {
        Err(_) if count > open_in_a_row() => return,
        Err(error) => wrong(&format!("{values:?}: {error}")),
        Ok(_) if count > open_in_a_row() => wrong("descriptors that are not open"),
        Ok(taken) => taken,
    };
    let names: Vec<&[u8]> = values[5].as_deref().unwrap_or_default().split(|byte| *byte == b':').collect();
    for (index, it) in taken.iter().enumerate() {
        let name = names.get(index).filter(|name| !name.is_empty()).map_or(&b"unknown"[..], |name| name);
        // SAFETY: fcntl takes numbers.
        let flags = unsafe { libc::fcntl(it.descriptor().as_raw_fd(), libc::F_GETFD) };
        if it.descriptor() as usize != index + 3 || it.name() != name || flags & libc::FD_CLOEXEC == 0 {
            wrong(&format!("{values:?}: {it:?}, flags {flags}"));
        }
    }
    if taken.len() as u64 != count || VARIABLES[3..].iter().any(|name| std::env::var_os(name).is_some()) {
        wrong(&format!("{values:?}: {} taken", taken.len()));
    }
}
