//! Processes: fork, session, wait, limits.

use super::Errno;
use super::{Sys, check, memory, uninterrupted};
use crate::sys::c_buf::CBuf;
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) type Pid = libc::pid_t;

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    Parent(Pid),
    Child,
}

fn forked(result: Pid) -> Sys<Forked> {
    match check(result)? {
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent(child)),
    }
}

/// fork(2) with the C library's atfork handlers, which put its own locks (malloc, stdio) right in the child.
///
/// # Safety
/// Where other threads are alive, the child must not take locks of theirs and not allocate until the C library's state is
/// known to be right; see `start.rs` for who keeps that.
pub(crate) unsafe fn fork() -> Sys<Forked> {
    // SAFETY: the caller keeps the contract above.
    forked(unsafe { libc::fork() })
}

/// Forks a child of this process's parent (`CLONE_PARENT`, clone(2)): this process does not wait for it, and does not count it among its
/// children.
///
/// # Safety
/// This process must have one thread.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn fork_sibling() -> Sys<Forked> {
    // SAFETY: the caller keeps the contract.
    unsafe { clone(libc::CLONE_PARENT | libc::SIGCHLD) }
}

/// Forks a child that the program does not notice: it sends no SIGCHLD, wait(2) finds it only with `__WCLONE` ([`wait_unnoticed`]), and no
/// atfork handler runs.
///
/// # Safety
/// The child must be async-signal-safe in all it does: it must not allocate nor take locks.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn fork_unnoticed() -> Sys<Forked> {
    // SAFETY: the caller keeps the contract.
    unsafe { clone(0) }
}

/// clone(2) without a stack of its own: the child goes on like that of fork(2).
#[cfg(target_os = "linux")]
unsafe fn clone(flags: libc::c_int) -> Sys<Forked> {
    // As wide as the kernel reads it.
    let flags = libc::c_long::from(flags);
    // SAFETY: no pointer is passed; the caller keeps the contract of `fork_sibling` or `fork_unnoticed`.
    let pid = unsafe {
        if cfg!(target_arch = "s390x") {
            libc::syscall(libc::SYS_clone, 0_usize, flags, 0_usize, 0_usize, 0_usize)
        } else {
            libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize)
        }
    };
    forked(Pid::try_from(pid).unwrap_or(-1))
}

/// Other systems have no such call.
#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn fork_sibling() -> Sys<Forked> {
    Err(Errno::ENOSYS)
}

type BareFork = unsafe extern "C" fn() -> Pid;

/// A fork without atfork handlers (POSIX.1-2024 `_Fork`), for a process that is itself fresh from [`fork`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecondFork(BareFork);

impl SecondFork {
    /// Looks `_Fork` up, as glibc has it since 2.34 and musl since 1.2.2; plain fork serves elsewhere. Takes the dynamic
    /// linker's lock, so it is called in the starter.
    pub(crate) fn find() -> Self {
        static FOUND: AtomicUsize = AtomicUsize::new(0);
        let mut address = FOUND.load(Ordering::Relaxed);
        if address == 0 {
            // SAFETY: the name is NUL-terminated and RTLD_DEFAULT a valid handle.
            address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_Fork".as_ptr()) } as usize;
            if address == 0 {
                address = libc::fork as *const () as usize;
            }
            FOUND.store(address, Ordering::Relaxed);
        }
        // SAFETY: the address is that of `_Fork` or `fork`, both `pid_t (void)`.
        Self(unsafe { std::mem::transmute::<usize, BareFork>(address) })
    }

    /// Forks.
    ///
    /// # Safety
    /// The caller must be single-threaded, with the C library's locks free: so is the child of [`fork`].
    pub(crate) unsafe fn fork(self) -> Sys<Forked> {
        // SAFETY: the caller keeps the contract above.
        forked(unsafe { (self.0)() })
    }
}

/// Makes this process the leader of a new session without a controlling terminal.
pub(crate) fn new_session() -> Sys<()> {
    // SAFETY: setsid takes nothing.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Makes this process the leader of a new process group in its session.
pub(crate) fn new_group() -> Sys<()> {
    // SAFETY: setpgid takes two numbers.
    check(unsafe { libc::setpgid(0, 0) }).map(drop)
}

pub(crate) fn id() -> Pid {
    // SAFETY: getpid takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

pub(crate) fn parent_id() -> Pid {
    // SAFETY: getppid takes nothing and cannot fail.
    unsafe { libc::getppid() }
}

pub(crate) fn leads_session() -> bool {
    session(0) == id()
}

/// The session of a process, 0 for this one; -1 where there is no such process.
pub(crate) fn session(pid: Pid) -> Pid {
    // SAFETY: getsid takes a number.
    unsafe { libc::getsid(pid) }
}

/// The process group of this process.
pub(crate) fn group() -> Pid {
    // SAFETY: getpgrp takes nothing and cannot fail.
    unsafe { libc::getpgrp() }
}

/// How many threads this process has; each has a directory, and a directory counts as a link to the one above it.
#[cfg(target_os = "linux")]
pub(crate) fn thread_count() -> Option<u64> {
    const OWN_LINKS: u64 = 2;
    super::file::status_at(c"/proc/self/task").ok()?.links.checked_sub(OWN_LINKS)
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_count() -> Option<u64> {
    None
}

/// Leaves at once: no atexit handlers, no buffers written.
pub(crate) fn exit_now(status: libc::c_int) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(libc::c_int),
    Killed(libc::c_int),
    /// Somebody else has taken the status (a `wait` in another thread, a handler of SIGCHLD).
    Unknown,
}

/// Waits for a child's end; `None` when it still runs and `block` is false.
pub(crate) fn wait(child: Pid, block: bool) -> Option<Ended> {
    wait_with(child, if block { 0 } else { libc::WNOHANG })
}

fn wait_with(child: Pid, options: libc::c_int) -> Option<Ended> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the result.
        match insistently(|| check(unsafe { libc::waitpid(child, &raw mut status, options) })) {
            Ok(0) => return None,
            Ok(_) if libc::WIFEXITED(status) => return Some(Ended::Exited(libc::WEXITSTATUS(status))),
            Ok(_) if libc::WIFSIGNALED(status) => return Some(Ended::Killed(libc::WTERMSIG(status))),
            Ok(_) => {}
            Err(_) => return Some(Ended::Unknown),
        }
    }
}

/// The same, without blocking, for a child of [`fork_unnoticed`]. Only [`Ended::Unknown`] is not about that child.
#[cfg(target_os = "linux")]
pub(crate) fn wait_unnoticed(child: Pid) -> Option<Ended> {
    wait_with(child, libc::WNOHANG | libc::__WCLONE)
}

/// How a child has ended, or `None` when it still runs and `block` is false. It is left to be waited for: its PID cannot be
/// reused until then.
pub(crate) fn peek(child: Pid, block: bool) -> Sys<Option<Ended>> {
    // SAFETY: `siginfo_t` is a C struct of integers and unions of them, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(child).map_err(|_| Errno::EINVAL)?;
    let options = libc::WEXITED | libc::WNOWAIT | if block { 0 } else { libc::WNOHANG };
    // SAFETY: `info` is a valid place for the result.
    uninterrupted(|| check(unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) }))?;
    // SAFETY: waitid filled in the fields of a child's end, or left them zero.
    let (who, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((who != 0).then_some(match info.si_code {
        libc::CLD_EXITED => Ended::Exited(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => Ended::Killed(status),
        _ => Ended::Unknown,
    }))
}

/// Whether there is a child that has ended and not been waited for.
pub(crate) fn has_ended_child() -> bool {
    ended_child().is_some()
}

/// A child that has ended; it is left to be waited for.
pub(crate) fn ended_child() -> Option<Pid> {
    // SAFETY: `siginfo_t` is a C struct of integers and unions of them, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: `info` is a valid place for the result.
    insistently(|| check(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) })).ok()?;
    // SAFETY: waitid filled the field in, or left it zero.
    Some(unsafe { info.si_pid() }).filter(|pid| *pid != 0)
}

/// Waits for any child that has ended; false where all run, or there is none.
pub(crate) fn reap_any() -> bool {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    insistently(|| check(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) })).is_ok_and(|child| child > 0)
}

/// Whether there is a child at all; also where that cannot be known.
pub(crate) fn has_children() -> bool {
    // SAFETY: `siginfo_t` is a C struct of integers and unions of them, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: `info` is a valid place for the result.
    insistently(|| check(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) })) != Err(Errno::ECHILD)
}

/// Asks about children again while the answer is an error but ECHILD: that says nothing about them, and no other SIGCHLD comes for the
/// same end.
fn insistently<T>(mut ask: impl FnMut() -> Sys<T>) -> Sys<T> {
    const TRIES: u32 = 10;
    let mut answer = uninterrupted(&mut ask);
    for _ in 1..TRIES {
        if !matches!(&answer, Err(errno) if *errno != Errno::ECHILD) {
            break;
        }
        answer = uninterrupted(&mut ask);
    }
    answer
}

/// Strings of its own as execve(2) wants them, and others that stay for as long as they are needed.
#[derive(Debug, Default)]
pub(crate) struct StringList {
    texts: Vec<CBuf>,
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers are never followed but by `execute_with`, which only reads what they point to; what that must be holds in
// any thread.
unsafe impl Send for StringList {}
// SAFETY: as above.
unsafe impl Sync for StringList {}

impl StringList {
    /// Adds a string. Allocates.
    pub(crate) fn push(&mut self, text: CBuf) -> Sys<()> {
        // A text is on the heap and stays where it is when the list grows.
        memory::push(&mut self.pointers, text.as_c_str().as_ptr())?;
        memory::push(&mut self.texts, text)
    }

    /// Adds a string that is not copied: nobody may change or free it before the list is used for the last time. Allocates.
    pub(crate) fn push_borrowed(&mut self, text: *const libc::c_char) -> Sys<()> {
        memory::push(&mut self.pointers, text)
    }

    /// The strings in order, of a list that is finished.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CStr> {
        // SAFETY: all pointers but the NULL at the end are to NUL-terminated strings that are the list's own, or stay.
        self.pointers.iter().take_while(|place| !place.is_null()).map(|place| unsafe { CStr::from_ptr(*place) })
    }

    pub(super) fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }

    /// Puts the end to the list. Allocates.
    pub(crate) fn finish(&mut self) -> Sys<()> {
        memory::push(&mut self.pointers, std::ptr::null())
    }
}

/// Becomes another program in another environment; comes back with the error when it cannot. Both lists are finished.
pub(crate) fn execute_with(path: &CStr, arguments: &StringList, environment: &StringList) -> Errno {
    // SAFETY: `path` is NUL-terminated and both lists end in NULL; their texts are their own, or stay.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    Errno::last()
}

/// What ps(1) and top(1) call this process; 15 bytes are shown.
#[cfg(target_os = "linux")]
pub(crate) fn rename(name: &CStr) {
    // SAFETY: PR_SET_NAME reads a NUL-terminated string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Elsewhere it keeps its name.
#[cfg(not(target_os = "linux"))]
pub(crate) fn rename(_name: &CStr) {}

/// kill(2): a process, or a process group where `target` is negative. Signal 0 only asks.
pub(crate) fn kill(target: Pid, signal: libc::c_int) -> Sys<()> {
    // SAFETY: kill takes two numbers.
    check(unsafe { libc::kill(target, signal) }).map(drop)
}

/// Whether the kernel gives orphaned descendants to this process instead of to init.
#[cfg(target_os = "linux")]
fn adopts_orphans() -> Sys<bool> {
    let mut adopts: libc::c_int = 0;
    // SAFETY: PR_GET_CHILD_SUBREAPER writes one int.
    check(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut adopts) })?;
    Ok(adopts != 0)
}

/// Asks the kernel to do so, or not to, and says how it was before.
#[cfg(target_os = "linux")]
pub(crate) fn adopt_orphans(adopt: bool) -> Sys<bool> {
    let before = adopts_orphans()?;
    // SAFETY: PR_SET_CHILD_SUBREAPER takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(adopt), 0, 0, 0) })?;
    Ok(before)
}

/// Elsewhere orphans go to init.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt_orphans(_adopt: bool) -> Sys<bool> {
    Err(Errno::ENOSYS)
}

/// No core files, soft and hard.
pub(crate) fn forbid_core_files() -> Sys<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is a valid rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) }).map(drop)
}

/// Registers `child` to run in every child that fork(2) makes. Allocates.
pub(crate) fn at_fork_in_child(child: extern "C" fn()) -> Sys<()> {
    // SAFETY: `child` is a function that stays for the life of this library, and glibc forgets it when the library is
    // unloaded.
    match unsafe { libc::pthread_atfork(None, None, Some(child)) } {
        0 => Ok(()),
        errno => Err(Errno::new(errno)),
    }
}

/// Registers `handler` to run at exit(3). Allocates.
pub(crate) fn at_exit(handler: extern "C" fn()) -> Sys<()> {
    // SAFETY: `handler` is a function that stays for the life of this library.
    match unsafe { libc::atexit(handler) } {
        0 => Ok(()),
        _ => Err(Errno::ENOMEM),
    }
}

unsafe extern "C" {
    #[cfg(target_os = "linux")]
    static mut program_invocation_short_name: *mut libc::c_char;
    #[cfg(target_os = "linux")]
    static mut program_invocation_name: *mut libc::c_char;
}

/// A name of the file that this process executes, whatever has become of its path.
#[cfg(target_os = "linux")]
pub(crate) const RUNNING_EXECUTABLE: Option<&CStr> = Some(c"/proc/self/exe");
#[cfg(not(target_os = "linux"))]
pub(crate) const RUNNING_EXECUTABLE: Option<&CStr> = None;

/// The path of the file that this process executes; without `/proc` that by which it was executed, if that is absolute. Allocates.
#[cfg(target_os = "linux")]
pub(crate) fn executable() -> Sys<CBuf> {
    let mut room = memory::filled(0, crate::sys::c_buf::PATH_MAX)?;
    match super::file::link_target(c"/proc/self/exe", &mut room) {
        Err(Errno::ENOENT) => {
            let path = executed().map(CStr::to_bytes).filter(|path| path.starts_with(b"/"));
            CBuf::path(path.ok_or(Errno::ENOENT)?)
        }
        target => target.and_then(CBuf::path),
    }
}

/// The path that execve(2) was given.
#[cfg(target_os = "linux")]
fn executed() -> Option<&'static CStr> {
    // SAFETY: takes a number.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    // SAFETY: what the kernel has written above the stack, where it stays.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn executable() -> Sys<CBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::env::current_exe().map_err(|_| Errno::ENOENT)?;
    CBuf::path(path.as_os_str().as_bytes())
}

/// The absolute path of the shared object that this code was loaded from; ENOENT where it is part of the executable. Allocates.
pub(crate) fn shared_object() -> Sys<CBuf> {
    // SAFETY: `Dl_info` is a C struct of pointers, for which all zeroes is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is one of this object's, and `info` a valid place for the result.
    let found = unsafe { libc::dladdr((shared_object as *const ()).cast(), &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Err(Errno::ENOENT);
    }
    // SAFETY: dladdr gave a NUL-terminated string that stays as long as the object.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    // Of the executable there is the first argument, which its caller has chosen.
    if path.to_bytes().first() != Some(&b'/') || is_first_argument(path) {
        return Err(Errno::ENOENT);
    }
    CBuf::path(path.to_bytes())
}

#[cfg(target_os = "linux")]
fn is_first_argument(text: &CStr) -> bool {
    // SAFETY: glibc and musl keep a NUL-terminated string here for the life of the process.
    unsafe { !program_invocation_name.is_null() && CStr::from_ptr(program_invocation_name) == text }
}

/// Other systems know the executable's path.
#[cfg(not(target_os = "linux"))]
fn is_first_argument(_text: &CStr) -> bool {
    false
}

/// Whether this process has privileges that its caller may not have: it executes a set-user-ID or set-group-ID program, or one with
/// capabilities.
pub(crate) fn is_set_id() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: getauxval takes a number.
    let is_set = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(not(target_os = "linux"))]
    // SAFETY: issetugid takes nothing.
    let is_set = unsafe { libc::issetugid() } != 0;
    is_set
}

/// The program's name as the C library knows it.
#[cfg(target_os = "linux")]
pub(crate) fn program_name() -> Option<&'static CStr> {
    // SAFETY: glibc and musl keep a NUL-terminated string here for the life of the process.
    unsafe {
        let name = program_invocation_short_name;
        (!name.is_null()).then(|| CStr::from_ptr(name))
    }
}

/// The program's name as the C library knows it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn program_name() -> Option<&'static CStr> {
    // SAFETY: getprogname returns a NUL-terminated string that stays for the life of the process, or NULL.
    unsafe {
        let name = libc::getprogname();
        (!name.is_null()).then(|| CStr::from_ptr(name))
    }
}
