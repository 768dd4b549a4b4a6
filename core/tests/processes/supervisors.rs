//! What service managers are told, and what they pass on.

use crate::Test;
use crate::house::{House, before_exec, worded};
use crate::programs::{described, pause_for_ever, pid, report};
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("supervisors: sockets passed on, through two forks", activated),
    ("supervisors: sockets taken over before the start", taken_before),
    ("supervisors: sockets meant for somebody else", not_for_us),
    ("supervisors: the watchdog's interval", watchdog),
    ("supervisors: messages, descriptors, barrier", messages),
    ("supervisors: an abstract socket", abstract_socket),
    ("supervisors: a manager that is gone, or deaf", gone_or_deaf),
    ("supervisors: a newline on a descriptor", newline),
];

const LONG: Duration = Duration::from_secs(10);

pub fn run(name: &str) -> ! {
    let early = (name == "early").then(|| daemonctx::take_listen_descriptors().expect("open descriptors").len());
    let mut daemon = described();
    if let Some(fd) = std::env::var("READY_FD").ok().and_then(|fd| fd.parse().ok()) {
        daemon.ready_descriptor(fd);
    }
    // SAFETY: this process has one thread, and all descriptors are kept or unused.
    let context = unsafe { daemon.open() };
    if let Err(error) = context {
        eprintln!("refused: {error}");
        std::process::exit(1);
    }
    report(pid());
    match name {
        "activated" => say_activated(),
        "early" => {
            let open = [3, 4].map(|fd| fs::metadata(format!("/proc/self/fd/{fd}")).is_ok());
            report(format!("{early:?} {open:?}"));
        }
        "watched" => report(format!("{:?}", daemonctx::watchdog_interval())),
        "talking" => talk(),
        "quiet" => {}
        other => panic!("no program {other}"),
    }
    pause_for_ever()
}

/// A program that finds `variables` naming its own PID, as a manager does it.
fn meant_for_it(house: &House, name: &str, words: &[&str], variables: &str) -> Command {
    let program = house.program(name, words);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("export {variables}; exec \"$0\" \"$@\"")).arg(program.get_program());
    shell.args(program.get_args()).envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env_remove("NOTIFY_SOCKET");
    shell
}

// --- sockets passed on ----------------------------------------------------------------------------------------------

fn say_activated() {
    let named = std::env::var("LISTEN_PID").ok() == Some(pid().to_string());
    let taken = daemonctx::take_listen_descriptors().expect("open descriptors");
    let taken: Vec<_> = taken
        .iter()
        .map(|it| {
            // SAFETY: fcntl with F_GETFD takes a number.
            let flags = unsafe { libc::fcntl(it.descriptor(), libc::F_GETFD) };
            format!("{}={} {flags}", it.descriptor(), String::from_utf8_lossy(it.name()))
        })
        .collect();
    let left = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| std::env::var_os(name).is_some());
    report(format!("{named} {taken:?} {left:?} {:?}", daemonctx::take_listen_descriptors()));
}

/// Two files as numbers 3 and 4, whatever had these numbers.
fn pass_on(house: &mut House, command: &mut Command) {
    let file = fs::File::create(house.path("passed")).expect("a file");
    let report = house.keep_report_above(10);
    command.env(crate::house::REPORT, report.to_string());
    before_exec(command, move || {
        // SAFETY: both take two numbers. From a number that is neither, as dup2 to itself leaves close-on-exec as it is.
        unsafe {
            let elsewhere = libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 20);
            for fd in [3, 4] {
                libc::dup2(elsewhere, fd);
            }
        }
    });
}

fn activated(house: &mut House) {
    for (names, expected) in [
        ("LISTEN_FDNAMES=web:control", "[\"3=web 1\", \"4=control 1\"]"),
        ("LISTEN_FDNAMES=web", "[\"3=web 1\", \"4=unknown 1\"]"),
        ("A=B", "[\"3=unknown 1\", \"4=unknown 1\"]"),
    ] {
        let variables = format!("LISTEN_PID=$$ LISTEN_FDS=2 {names}");
        let mut command = meant_for_it(house, "activated", &["detach=yes", "anonymous"], &variables);
        pass_on(house, &mut command);
        house.finish(command).is(0, "");
        let daemon = house.hear_number();
        assert_eq!(house.hear(), format!("true {expected} [false, false, false] Ok([])"));
        house.end(daemon, libc::SIGTERM);
    }
}

fn taken_before(house: &mut House) {
    let mut command = meant_for_it(house, "early", &["detach=yes", "anonymous"], "LISTEN_PID=$$ LISTEN_FDS=2");
    pass_on(house, &mut command);
    house.finish(command).is(0, "");
    let daemon = house.hear_number();
    assert_eq!(house.hear(), "Some(2) [true, true]");
    house.end(daemon, libc::SIGTERM);
}

fn not_for_us(house: &mut House) {
    let mut command = meant_for_it(house, "activated", &["detach=yes", "anonymous"], "LISTEN_PID=1 LISTEN_FDS=2");
    pass_on(house, &mut command);
    house.finish(command).is(0, "");
    let daemon = house.hear_number();
    assert_eq!(house.hear(), "false [] [false, false, false] Ok([])");
    house.end(daemon, libc::SIGTERM);
}

// --- watchdog -------------------------------------------------------------------------------------------------------

fn watchdog(house: &mut House) {
    for (variables, expected) in [
        ("WATCHDOG_PID=$$ WATCHDOG_USEC=1500000", "Some(1.5s)"),
        ("WATCHDOG_USEC=20", "Some(20µs)"),
        ("WATCHDOG_PID=1 WATCHDOG_USEC=20", "None"),
        ("WATCHDOG_PID=x WATCHDOG_USEC=20", "None"),
        ("WATCHDOG_PID=$$ WATCHDOG_USEC=0", "None"),
        ("WATCHDOG_PID=$$ WATCHDOG_USEC=-1", "None"),
        ("WATCHDOG_PID=$$", "None"),
    ] {
        let command = meant_for_it(house, "watched", &["detach=yes", "anonymous"], variables);
        house.finish(command).is(0, "");
        let daemon = house.hear_number();
        assert_eq!(house.hear(), expected, "{variables}");
        house.end(daemon, libc::SIGTERM);
    }
}

// --- messages -------------------------------------------------------------------------------------------------------

fn talk() {
    report(format!("{:?}", daemonctx::notify_reloading()));
    let null = fs::File::open("/dev/null").expect("a file");
    report(format!("{:?}", daemonctx::notify_with_descriptors(b"FDSTORE=1\nFDNAME=null", &[null.as_raw_fd()])));
    report(format!("{:?}", daemonctx::notify_with_descriptors(b"FDSTORE=1", &[99]).map_err(|error| error.to_string())));
    report(format!("{:?}", daemonctx::notify_with_descriptors(b"", &[0; 254]).map_err(|error| error.errno())));
    let barrier = daemonctx::notify_barrier(Some(Duration::from_millis(500)));
    report(format!("{:?}", barrier.map_err(|error| error.to_string())));
}

/// The next message, and the descriptors with it.
fn receive(socket: &UnixDatagram) -> (String, Vec<OwnedFd>) {
    let mut text = [0_u8; 4096];
    let mut control = [0_u64; 64];
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: zeroes are a value, the places are valid for the lengths given, and the kernel has made the descriptors.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let got = libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0);
        assert!(got >= 0, "{}", std::io::Error::last_os_error());
        let mut descriptors = Vec::new();
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        if !message.is_null() {
            let count = ((*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<i32>();
            let data = libc::CMSG_DATA(message).cast::<i32>();
            descriptors = (0..count).map(|index| OwnedFd::from_raw_fd(data.add(index).read_unaligned())).collect();
        }
        (String::from_utf8_lossy(&text[..got as usize]).into_owned(), descriptors)
    }
}

fn manager(address: &SocketAddr) -> UnixDatagram {
    let socket = UnixDatagram::bind_addr(address).expect("an address");
    socket.set_read_timeout(Some(LONG * crate::house::slowness())).expect("a time");
    socket
}

/// Hears a whole conversation out.
fn converse(house: &mut House, socket: &UnixDatagram, name: &str) {
    let mut command = house.program("talking", &["detach=yes", "anonymous"]);
    command.env("NOTIFY_SOCKET", name);
    house.finish(command).is(0, "");
    let daemon = house.hear_number();
    assert_eq!(receive(socket).0, format!("READY=1\nMAINPID={daemon}"));
    let reloading = receive(socket).0;
    let time: u64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time").parse().expect("a number");
    assert!(time > 0);
    let (store, stored) = receive(socket);
    assert_eq!((store.as_str(), stored.len()), ("FDSTORE=1\nFDNAME=null", 1));
    let null = fs::read_link(format!("/proc/self/fd/{}", stored[0].as_raw_fd())).expect("it is open");
    assert_eq!(null.to_str(), Some("/dev/null"));
    let (barrier, held) = receive(socket);
    assert_eq!((barrier.as_str(), held.len()), ("BARRIER=1", 1));
    drop(held);
    assert_eq!([house.hear(), house.hear()], ["Ok(true)", "Ok(true)"]);
    assert_eq!(house.hear(), format!("Err(\"notify failed: {name}: Bad file descriptor (9 EBADF)\")"));
    assert_eq!(house.hear(), format!("Err(Some({}))", libc::E2BIG));
    assert_eq!(house.hear(), "Ok(true)", "the barrier is over when its descriptor is closed");
    house.end(daemon, libc::SIGTERM);
}

fn messages(house: &mut House) {
    let path = house.path("socket");
    let socket = manager(&SocketAddr::from_pathname(&path).expect("a path"));
    converse(house, &socket, path.to_str().expect("a path"));
}

fn abstract_socket(house: &mut House) {
    let name = format!("daemonctx-test-{}", std::process::id());
    let socket = manager(&SocketAddr::from_abstract_name(&name).expect("a name"));
    converse(house, &socket, &format!("@{name}"));
}

fn gone_or_deaf(house: &mut House) {
    let path = house.path("socket");
    let name = path.to_str().expect("a path");
    for (make, barrier) in [
        (false, format!("Err(\"notify failed: {name}: No such file or directory (2 ENOENT)\")")),
        (true, worded("Err(\"notify failed: BARRIER=1: Connection timed out (110 ETIMEDOUT)\")")),
    ] {
        let socket = make.then(|| manager(&SocketAddr::from_pathname(&path).expect("a path")));
        let mut command = house.program("talking", &["detach=yes", "anonymous"]);
        command.env("NOTIFY_SOCKET", name);
        house.finish(command).is(0, "");
        let daemon = house.hear_number();
        let said: Vec<_> = (0..5).map(|_| house.hear()).collect();
        assert_eq!(said[4], barrier);
        house.end(daemon, libc::SIGTERM);
        drop(socket);
    }
}

// --- s6 -------------------------------------------------------------------------------------------------------------

fn newline(house: &mut House) {
    for words in [&["detach=yes", "anonymous"][..], &["detach=no", "anonymous"]] {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors.
        assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        // SAFETY: pipe2 made both just now.
        let (mut read, write) = unsafe { (fs::File::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        let mut command = house.program("quiet", words);
        command.env("READY_FD", "20");
        let inherited = write.as_raw_fd();
        // SAFETY: dup2 takes two numbers.
        unsafe {
            command.pre_exec(
                move || if libc::dup2(inherited, 20) < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) },
            )
        };
        let mut starter = command.spawn().expect("the program runs");
        drop(write);
        let daemon = house.hear_number();
        let mut said = String::new();
        // Until the end of the file: the descriptor is closed, in the starter too.
        read.read_to_string(&mut said).expect("a pipe");
        assert_eq!(said, "\n");
        if words[0] == "detach=yes" {
            assert!(starter.wait().expect("its end").success());
            house.end(daemon, libc::SIGTERM);
        } else {
            starter.kill().expect("it runs");
            starter.wait().expect("its end");
        }
    }
    let mut command = house.program("quiet", &["detach=yes", "anonymous"]);
    command.env("READY_FD", "77");
    house.finish(command).is(1, "refused: ready descriptor failed: 77: Bad file descriptor (9 EBADF)");
}
