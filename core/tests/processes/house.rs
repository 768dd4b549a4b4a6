//! A test's own folder, the programs it starts, and the daemons they become.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The environment variable that makes this binary a program under test.
pub const PROGRAM: &str = "DAEMONCTX_PROGRAM";
/// The descriptor on which a program under test reports.
pub const REPORT: &str = "DAEMONCTX_REPORT";

/// The environment variable that says where it is.
const BINARY: &str = "DAEMONCTX_BINARY";

/// How long anything may take.
fn limit() -> Duration {
    Duration::from_secs(60) * slowness()
}

/// How many times longer than usual everything may take: what `HARNESS_SLOWNESS` says, for a machine that is emulated; else 1.
pub fn slowness() -> u32 {
    std::env::var("HARNESS_SLOWNESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

pub struct House {
    pub folder: PathBuf,
    report: fs::File,
    report_write: OwnedFd,
    heard: Vec<u8>,
    /// Where programs find a service manager, and detach all the same.
    manager: Option<UnixDatagram>,
}

/// How a starter ended, and what it said on standard error.
#[derive(Debug)]
pub struct Left {
    pub status: ExitStatus,
    pub said: String,
}

impl Left {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 1000 + self.status.signal().unwrap_or(0))
    }

    /// That it left with this status and these words in its last line.
    pub fn is(&self, code: i32, words: &str) {
        let last = self.said.lines().last().unwrap_or_default();
        let words = &worded(words);
        assert!(self.code() == code && last.contains(words), "{self:?} is not {code} with {words:?}");
    }
}

/// An error's text, `…: WORDS (2 ENOENT)`, in the words of this C library: musl has its own.
pub fn worded(text: &str) -> String {
    let Some((before, errno)) = text.rsplit_once(" (") else { return text.to_owned() };
    let Some(number) = errno.split(' ').next().and_then(|number| number.parse().ok()) else { return text.to_owned() };
    let words = std::io::Error::from_raw_os_error(number).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("{}{words} ({errno}", &before[..before.rfind(": ").map_or(0, |colon| colon + 2)])
}

/// Where it is: programs under test are told, as they may have no `/proc`.
pub fn this_binary() -> PathBuf {
    std::env::var_os(BINARY).map_or_else(|| std::env::current_exe().expect("this binary"), PathBuf::from)
}

/// Orphans of the programs under test become this process's children, so it can wait for them.
pub fn adopt_orphans() {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes a number.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Whether programs under test have neither `/proc` nor subreapers: `portability/without.c` is preloaded.
pub fn lacks_proc() -> bool {
    std::env::var("LD_PRELOAD").is_ok_and(|preloaded| preloaded.ends_with("/without.so"))
}

/// Below nohup(1), and in a shell's background, signals are ignored.
pub fn inherit_nothing() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: no handler of anybody's is replaced, as nobody has one yet.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Runs a test with a time limit; when it passes, the whole process ends, saying which test it was.
pub fn within_limit<T>(name: &'static str, test: impl FnOnce() -> T) -> T {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(limit()) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            println!("test {name} ... takes longer than {:?}", limit());
            children().into_iter().for_each(kill);
            std::process::exit(1);
        }
    });
    let result = test();
    drop(done);
    watch.join().expect("the watch ends");
    result
}

/// The children of all threads of this process.
pub fn children() -> BTreeSet<i32> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc");
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().expect("a PID")).collect::<Vec<_>>()).collect()
}

fn kill(pid: i32) {
    signal(pid, libc::SIGKILL);
    wait(pid);
}

pub fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes two numbers; the PID is that of a child, which cannot be reused before it is waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{pid} takes signal {signal}");
}

/// The same for a process that is somebody else's child; the test knows that it is there.
pub fn signal_any(pid: i32, signal: i32) {
    // SAFETY: kill takes two numbers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{pid} takes signal {signal}");
}

/// Waits for a child, its own or adopted, and gives its wait status.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid, "{pid} is a child");
    status
}

/// Reaps a child that has ended, as init does with orphans: a session leader whose starter was killed, say.
fn has_ended(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) == pid }
}

/// Programs that cannot adopt their daemons (portability/without.c) cannot bury them either: there this process does.
fn has_to_bury() -> bool {
    std::env::var_os("WITHOUT").is_some()
}

/// Whether a process is gone, and was waited for by whoever started it.
pub fn is_buried(pid: i32) -> bool {
    has_to_bury() && has_ended(pid) || fs::metadata(format!("/proc/{pid}")).is_err()
}

/// The children of this process that nobody has ended and waited for.
pub fn left_behind() -> BTreeSet<i32> {
    children().into_iter().filter(|&pid| !(has_to_bury() && has_ended(pid))).collect()
}

impl House {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("daemonctx-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder of our own");
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors. Not close-on-exec: the programs inherit it.
        assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), 0) }, 0);
        // SAFETY: pipe2 made both just now.
        let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        Self { folder, report: read.into(), report_write: write, heard: Vec::new(), manager: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn pid_file(&self) -> PathBuf {
        self.path("pid")
    }

    pub fn pid(&self) -> i32 {
        fs::read_to_string(self.pid_file()).expect("a pid file").trim().parse().expect("a PID")
    }

    /// A program under test: its name in `programs`, and its words.
    pub fn program(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(this_binary());
        command.arg(self.pid_file()).args(words).env(PROGRAM, name).env(BINARY, this_binary());
        command.env(REPORT, self.report_write.as_raw_fd().to_string());
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_PID").stdin(Stdio::null()).stdout(Stdio::null());
        if self.manager.is_some() {
            command.env("NOTIFY_SOCKET", self.path("manager")).arg("detach=yes");
        }
        command
    }

    /// From now on there is a service manager that wants to be told.
    pub fn with_manager(&mut self) {
        self.manager = Some(UnixDatagram::bind(self.path("manager")).expect("a socket"));
    }

    /// The next message that the manager gets.
    pub fn managers_message(&self) -> String {
        let mut room = [0; 4096];
        let got = self.manager.as_ref().expect("a manager").recv(&mut room).expect("a message");
        String::from_utf8_lossy(&room[..got]).into_owned()
    }

    /// Runs a program until its starter has left.
    pub fn start(&self, name: &str, words: &[&str]) -> Left {
        self.finish(self.program(name, words))
    }

    /// What a starter says goes to a file: a daemon that keeps a pipe open would not let it end.
    pub fn finish(&self, mut command: Command) -> Left {
        let said = self.path("said");
        command.stderr(fs::File::create(&said).expect("a file"));
        let status = command.status().expect("the program runs");
        Left { status, said: fs::read_to_string(said).expect("what was said") }
    }

    /// Moves the descriptor that programs report on to a number that a test does not use for other things.
    pub fn keep_report_above(&mut self, least: i32) -> i32 {
        // SAFETY: fcntl with F_DUPFD takes two numbers; the kernel made the new one just now.
        self.report_write =
            unsafe { OwnedFd::from_raw_fd(libc::fcntl(self.report_write.as_raw_fd(), libc::F_DUPFD, least)) };
        self.report_write.as_raw_fd()
    }

    /// The next line that a program reports.
    pub fn hear(&mut self) -> String {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line = self.heard.drain(..=end).collect::<Vec<_>>();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            let mut more = [0; 4096];
            let got = self.report.read(&mut more).expect("a report");
            self.heard.extend_from_slice(&more[..got]);
        }
    }

    /// Waits until there is something to hear; a starter that fails before has nobody else to say anything.
    pub fn until_reported(&self, starter: &mut Child) {
        // SAFETY: pidfd_open takes two numbers; a child is there until it is waited for, and the descriptor is nobody else's.
        let end = unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, starter.id(), 0) as i32) };
        let mut fds =
            [self.report.as_raw_fd(), end.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: two entries.
        unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) };
        let failed = fds[0].revents == 0 && !starter.wait().expect("a child").success();
        assert!(!failed, "{}", fs::read_to_string(self.path("said")).unwrap_or_default());
    }

    /// The next line that begins so, without its beginning. Others that come from somebody else meanwhile wait for their turn.
    pub fn hear_from(&mut self, start: &str) -> String {
        let mut others = Vec::new();
        loop {
            let line = self.hear();
            if let Some(rest) = line.strip_prefix(start) {
                self.heard.splice(..0, others);
                return rest.to_owned();
            }
            others.extend(line.into_bytes());
            others.push(b'\n');
        }
    }

    /// Forgets what was reported and nobody wanted to hear.
    pub fn forget(&mut self) {
        self.heard.clear();
        let mut ready = libc::pollfd { fd: self.report.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        while unsafe { libc::poll(&raw mut ready, 1, 0) } == 1 {
            assert!(self.report.read(&mut [0; 4096]).expect("a report") > 0);
        }
    }

    pub fn hear_number(&mut self) -> i32 {
        self.hear().parse().expect("a number")
    }

    /// Ends a daemon by a signal and waits for it; gives its wait status.
    pub fn end(&self, pid: i32, by: i32) -> i32 {
        signal(pid, by);
        wait(pid)
    }

    /// Its own and adopted ones.
    pub fn children(&self) -> BTreeSet<i32> {
        children()
    }

    /// Waits until every process that was left has ended.
    pub fn wait_for_all(&self) {
        for pid in children() {
            wait(pid);
        }
    }

    /// Ends what is left and removes the folder. What was left is given back: a test should leave nothing.
    pub fn clear(&mut self) -> BTreeSet<i32> {
        let left: BTreeSet<i32> = children().into_iter().filter(|&pid| !has_ended(pid)).collect();
        left.iter().for_each(|&pid| kill(pid));
        fs::remove_dir_all(&self.folder).expect("the folder can be removed");
        left
    }
}

/// A field of `/proc/PID/status`.
pub fn field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The fields of `/proc/PID/stat` from the third on.
pub fn stat(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    stat.rsplit_once(')').expect("a command").1.split_whitespace().map(str::to_owned).collect()
}

/// The helper of a start under way: the daemon's parent, when the session leader has ended.
pub fn helper_of(daemon: i32) -> i32 {
    const PARENT: usize = 1;
    const SESSION: usize = 3;
    until(|| stat(daemon)[PARENT] != stat(daemon)[SESSION]);
    let helper = stat(daemon)[PARENT].parse().expect("a PID");
    // What is signalled next may not be this process, nor init.
    assert!(helper > 1 && helper != crate::programs::pid(), "no helper has adopted the daemon: it is no subreaper");
    helper
}

/// What a process has open.
pub fn descriptors(pid: i32) -> Vec<(i32, String)> {
    let listed = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    let mut list: Vec<_> = listed
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let target = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
            Some((path.file_name()?.to_str()?.parse().ok()?, target))
        })
        .collect();
    list.sort();
    list
}

/// Waits for what comes by itself in a moment and nobody tells; the time limit is the test's.
pub fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        std::thread::yield_now();
    }
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Runs `prepare` in the program between fork and exec.
pub fn before_exec(command: &mut Command, prepare: impl FnMut() + Send + Sync + 'static) {
    let mut prepare = prepare;
    // SAFETY: what the tests do here are system calls only.
    unsafe {
        command.pre_exec(move || {
            prepare();
            Ok(())
        })
    };
}

/// Has a system call fail whose argument at this place is this, as a kernel may: `PR_GET_CHILD_SUBREAPER` before Linux 3.4.
pub fn refuse(call: libc::c_long, place: u32, argument: libc::c_int, errno: libc::c_int) {
    let step = |code: u32, jump_else, k| libc::sock_filter { code: code as u16, jt: 0, jf: jump_else, k };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let unless = |is: u32, skip| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, is);
    let answer = |what| step(libc::BPF_RET | libc::BPF_K, 0, what);
    // The number of the call, and the lower half of an argument (`struct seccomp_data`).
    let lower = if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut code = [
        load(0),
        unless(call as u32, 3),
        load(16 + 8 * place + lower),
        unless(argument as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | errno as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: the program is as long as it says; prctl is safe between fork and exec.
    let filtered = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if !filtered {
        // SAFETY: abort does not return.
        unsafe { libc::abort() };
    }
}
