//! Readiness by a message: who is believed, and what others cannot do to the start.

use crate::Test;
use crate::house::{House, field, slowness, until};
use crate::monitor::{found, launch, stop};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Child;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("messages: another process of the daemon's user is not believed", same_user),
    ("messages: another user is not believed", other_user),
    ("messages: a sender that has exited is not believed", sender_that_has_exited),
    ("messages: a descendant in a session of its own is believed", descendant),
    ("messages: an orphan of the daemon is believed", orphan),
    ("messages: a socket that lingers does not prolong the timeout", lingering),
    ("messages: sockets that linger do not hold up a start that succeeds", lingering_while_ready),
    ("messages: a receiver that hangs does not prolong the timeout", hanging),
    ("messages: a flood does not prolong the timeout", flood),
];

pub const NOBODY: u32 = 65534;

/// Linger for far longer than a test may take.
const LINGER: i32 = 600;

/// A launch that has begun: the launcher and the program.
fn begin(house: &mut House, words: &[&str]) -> (Child, i32) {
    let first = ["ready=notify", "arg=x", "arg=say:here", "arg=pid", "arg=variable:NOTIFY_SOCKET"];
    let words: Vec<_> = first.iter().chain(words).copied().collect();
    let starter = house.program("launching", &words).spawn().unwrap();
    house.hear_from("waiting");
    house.hear_from("here");
    let daemon = house.hear_number();
    let line = house.hear_from("NOTIFY_SOCKET ");
    let name = line.split('"').nth(1).unwrap_or_else(|| panic!("{line}")).replace(r"\\", r"\");
    // SAFETY: no other thread of this process looks at its environment now.
    unsafe { std::env::set_var("NOTIFY_SOCKET", name) };
    (starter, daemon)
}

fn end(house: &mut House, mut starter: Child) {
    // SAFETY: as in `begin`.
    unsafe { std::env::remove_var("NOTIFY_SOCKET") };
    assert!(starter.wait().unwrap().success());
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

/// The program becomes ready when it is told to, and not before.
fn becomes_ready(house: &mut House, daemon: i32) {
    crate::house::signal_any(daemon, libc::SIGUSR1);
    assert_eq!(house.hear(), "now");
    assert_eq!(house.hear(), format!("pid {daemon}"));
}

/// A start that has timed out leaves nothing, and has taken little longer than its timeout.
fn times_out(house: &House, mut starter: Child, begun: Instant) {
    assert!(starter.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(4) * slowness(), "{:?}", begun.elapsed());
    // SAFETY: as in `begin`.
    unsafe { std::env::remove_var("NOTIFY_SOCKET") };
    assert!(!house.pid_file().exists());
}

/// Waits for SIGUSR1, which the test sends when the others have had their say.
const THEN: [&str; 3] = ["arg=await", "arg=say:now", "arg=notify:READY=1"];

/// Waits until the monitor has read all that was sent.
pub fn is_read() {
    assert_eq!(daemonctx::notify_barrier(Some(Duration::from_secs(20))).ok(), Some(true));
}

/// The process that receives messages for a monitor.
pub fn receiver_of(monitor: i32) -> i32 {
    let is_receiver = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        // SAFETY: getsid takes a number.
        name.is_ok_and(|name| name == "daemonctx-recv\n") && unsafe { libc::getsid(*pid) == monitor }
    };
    let find = || {
        let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).find(is_receiver)
    };
    until(|| find().is_some());
    find().expect("it was there")
}

fn is_not_believed(house: &mut House, send: impl FnOnce()) {
    let (starter, daemon) = begin(house, &[&["timeout=20000", "arg=say:waits"], &THEN[..]].concat());
    house.hear_from("waits");
    send();
    is_read();
    becomes_ready(house, daemon);
    end(house, starter);
}

fn same_user(house: &mut House) {
    is_not_believed(house, || assert_eq!(daemonctx::notify("READY=1").ok(), Some(true)));
}

fn other_user(house: &mut House) {
    is_not_believed(house, || {
        // SAFETY: the child makes system calls, and takes no lock that another thread of this process could hold.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: these calls take numbers. As an ordinary user it is the same user once more.
            unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
            // SAFETY: _exit takes a number and does not return.
            unsafe { libc::_exit(i32::from(daemonctx::notify("READY=1").ok() != Some(true))) };
        }
        assert_eq!(crate::house::wait(child), 0, "it was sent");
    });
}

/// Its PID may be another's by now. The receiver stands still until the child is gone.
fn sender_that_has_exited(house: &mut House) {
    let words = ["timeout=20000", "arg=say:waits", "arg=await", "arg=brief:notify:READY=1", "arg=say:gone"];
    let (starter, daemon) = begin(house, &[&words[..], &THEN[..]].concat());
    let receiver = receiver_of(monitor_of(daemon));
    house.hear_from("waits");
    crate::house::signal_any(receiver, libc::SIGSTOP);
    crate::house::signal_any(daemon, libc::SIGUSR1);
    house.hear_from("gone");
    crate::house::signal_any(receiver, libc::SIGCONT);
    is_read();
    becomes_ready(house, daemon);
    end(house, starter);
}

fn monitor_of(daemon: i32) -> i32 {
    field(daemon, "PPid").parse().unwrap()
}

fn descendant(house: &mut House) {
    let (_, monitor) = launch(house, &["ready=notify", "arg=x", "arg=session:notify:READY=1", "arg=say:done"]);
    house.hear_from("done");
    stop(house, monitor);
}

fn orphan(house: &mut House) {
    let (_, monitor) = launch(house, &["ready=notify", "arg=x", "arg=orphan:notify:READY=1"]);
    stop(house, monitor);
}

/// Connections that take `LINGER` seconds to close: nobody reads what was written to them.
fn lingerers(count: usize) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lingerer = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let linger = libc::linger { l_onoff: 1, l_linger: LINGER };
        let size = size_of::<libc::linger>() as libc::socklen_t;
        // SAFETY: `linger` is valid for reads of its size.
        let set = unsafe {
            libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
        };
        assert_eq!(set, 0);
        stream.set_nonblocking(true).unwrap();
        while stream.write(&[0; 65536]).is_ok() {}
        stream
    };
    let streams = (0..count).map(lingerer).collect();
    (listener, streams)
}

/// Sends what lingers, in four messages, while the receiver stands still: when it goes on, the messages have the last copies.
fn send_lingerers(daemon: i32) -> TcpListener {
    let receiver = receiver_of(monitor_of(daemon));
    crate::house::signal_any(receiver, libc::SIGSTOP);
    until(|| crate::house::stat(receiver)[0] == "T");
    let (listener, streams) = lingerers(12);
    for group in streams.chunks(3) {
        let descriptors: Vec<_> = group.iter().map(AsRawFd::as_raw_fd).collect();
        daemonctx::notify_with_descriptors(b"STATUS=lingers", &descriptors).unwrap();
    }
    drop(streams);
    crate::house::signal_any(receiver, libc::SIGCONT);
    listener
}

fn lingering(house: &mut House) {
    let begun = Instant::now();
    let (starter, daemon) = begin(house, &["timeout=1000"]);
    let _listener = send_lingerers(daemon);
    assert!(house.hear_from("failed 124 ").contains("ready failed"));
    times_out(house, starter, begun);
}

fn lingering_while_ready(house: &mut House) {
    let (starter, daemon) = begin(house, &[&["timeout=20000", "arg=say:waits"], &THEN[..]].concat());
    house.hear_from("waits");
    let begun = Instant::now();
    let _listener = send_lingerers(daemon);
    becomes_ready(house, daemon);
    end(house, starter);
    assert!(begun.elapsed() < Duration::from_secs(4) * slowness(), "{:?}", begun.elapsed());
}

/// As one does that closes a descriptor which its sender keeps from being closed.
fn hanging(house: &mut House) {
    let begun = Instant::now();
    let (starter, daemon) = begin(house, &["timeout=500"]);
    crate::house::signal_any(receiver_of(monitor_of(daemon)), libc::SIGSTOP);
    daemonctx::notify("READY=1").unwrap();
    assert!(house.hear_from("failed 124 ").contains("ready failed"));
    times_out(house, starter, begun);
}

fn flood(house: &mut House) {
    const STATE: &str = "READY=1\nEXTEND_TIMEOUT_USEC=1000000000";
    let begun = Instant::now();
    let (starter, _) = begin(house, &["timeout=500"]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // Until nobody has the socket any more.
            scope.spawn(|| while daemonctx::notify(STATE).is_ok() {});
        }
        assert!(house.hear_from("failed 124 ").contains("ready failed"));
    });
    times_out(house, starter, begun);
}
