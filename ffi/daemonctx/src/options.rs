//! What a daemon is to be.

use super::error::{Record, daemonctx_status};
use crate::{Failure, daemonctx, limit, optional, string, with};
use ::daemonctx::{Daemon, Detach, Facility, Groups, LogFile, Readiness, Severity, SignalAction, Stream, Syslog};
use daemonctx_ffi_common::errno::set_errno;
use daemonctx_ffi_common::heap::{from_c, to_c};
use libc::{c_char, c_int, c_long, c_uint, gid_t, mode_t, uid_t};

/// Whether to detach: daemonctx_set_detach().
#[repr(C)]
pub enum daemonctx_detach {
    /// Detach, unless a supervisor (init, inetd, systemd) has done it already. The default.
    DAEMONCTX_DETACH_AUTO = 0,
    /// Detach.
    DAEMONCTX_DETACH_YES = 1,
    /// Stay the process that was started.
    DAEMONCTX_DETACH_NO = 2,
}

/// The supplementary groups to run with: daemonctx_set_supplementary_groups().
#[repr(C)]
pub enum daemonctx_groups {
    /// The new user's own, as initgroups(3) sets them. The default.
    DAEMONCTX_GROUPS_OWN = 0,
    /// None.
    DAEMONCTX_GROUPS_NONE = 1,
}

/// What a signal does in the daemon: daemonctx_set_signal().
#[repr(C)]
pub enum daemonctx_signal_action {
    /// The kernel's default.
    DAEMONCTX_SIGNAL_DEFAULT = 0,
    /// Nothing.
    DAEMONCTX_SIGNAL_IGNORE = 1,
    /// What it does when the daemon is opened.
    DAEMONCTX_SIGNAL_KEEP = 2,
}

/// daemonctx_set_stream_log_file(): an existing file is emptied.
pub const DAEMONCTX_LOG_TRUNCATE: c_uint = 1;

/// What C passes as a `daemonctx_detach`: any number. The header has the enum (ffi/header/cbindgen.toml).
pub type daemonctx_detach_value = c_int;
/// The same for `daemonctx_groups`.
pub type daemonctx_groups_value = c_int;
/// The same for `daemonctx_signal_action`.
pub type daemonctx_signal_action_value = c_int;

/// What a value from C means.
pub(super) fn choose<T, const N: usize>(value: c_int, choices: [(c_int, T); N]) -> Result<T, Failure> {
    let found = choices.into_iter().find(|(name, _)| *name == value);
    found.map(|(_, meaning)| meaning).ok_or(Failure::Invalid(value.into()))
}

/// A new handle with these defaults: working directory "/", umask 022, no core files, standard streams on
/// /dev/null, all other descriptors closed, detached unless a supervisor has done that; ready when daemonctx_open() is done,
/// within 30 seconds; no pid file, the same user. The caller owns it and gives it to daemonctx_free().
///
/// NULL with errno ENOMEM when there is no memory.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn daemonctx_new() -> *mut daemonctx {
    let mut daemon = Daemon::new();
    let handle = match daemon.take_option_error() {
        Ok(()) => to_c(daemonctx {
            daemon,
            context: None,
            starting: None,
            readiness: Readiness::default(),
            respawn: None,
            error: Record::new(),
        }),
        Err(_) => std::ptr::null_mut(),
    };
    if handle.is_null() {
        set_errno(libc::ENOMEM);
    }
    handle
}

/// Frees a handle; NULL is nothing. The daemon goes on, and its pid file stays until it ends or daemonctx_close() removes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_free(ctx: *mut daemonctx) {
    // SAFETY: the header asks for a handle that is not used again, or NULL.
    drop(unsafe { from_c(ctx) });
}

/// The name that begins the starter's line; the program's own (program_invocation_short_name) unless set.
///
/// Errors: EINVAL: empty.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_program_name(ctx: *mut daemonctx, name: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_program_name", |ctx| {
            ctx.daemon.program_name(string(name, "name")?);
            Ok(())
        })
    }
}

/// The working directory. Inside a chroot where there is one, absolute then; otherwise a relative path is taken from the
/// starter's working directory. The daemon's user enters it, and must be allowed to.
///
/// Errors: ENOENT: empty. ENAMETOOLONG. Whether it can be entered is checked by daemonctx_open().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_working_directory(
    ctx: *mut daemonctx,
    directory: *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_working_directory", |ctx| {
            ctx.daemon.working_directory(string(directory, "directory")?);
            Ok(())
        })
    }
}

/// A new root directory (chroot(2)); needs CAP_SYS_CHROOT. Pid file and log files are named by their paths outside.
///
/// Errors: as for daemonctx_set_working_directory().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_chroot(ctx: *mut daemonctx, directory: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_chroot", |ctx| {
            ctx.daemon.chroot(string(directory, "directory")?);
            Ok(())
        })
    }
}

/// The file mode creation mask, 022 unless set.
///
/// Errors: EINVAL: more than 0777.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_umask(ctx: *mut daemonctx, mask: c_uint) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_umask", |ctx| {
            ctx.daemon.umask(mask);
            Ok(())
        })
    }
}

/// The user to run as, by name, or by number where nobody has that name. Unless a group is set, its group in the user
/// database comes with it.
///
/// Errors: EINVAL: empty. An unknown user is found by daemonctx_open().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_user(ctx: *mut daemonctx, user: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_user", |ctx| {
            ctx.daemon.user(string(user, "user")?);
            Ok(())
        })
    }
}

/// The user to run as, by number. It need not be in the user database, but needs a group then.
///
/// Errors: EINVAL: -1.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_user_id(ctx: *mut daemonctx, uid: uid_t) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_user_id", |ctx| {
            ctx.daemon.user_id(uid);
            Ok(())
        })
    }
}

/// The group to run as, by name, or by number where no group has that name.
///
/// Errors: EINVAL: empty. An unknown group is found by daemonctx_open().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_group(ctx: *mut daemonctx, group: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_group", |ctx| {
            ctx.daemon.group(string(group, "group")?);
            Ok(())
        })
    }
}

/// The group to run as, by number.
///
/// Errors: EINVAL: -1.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_group_id(ctx: *mut daemonctx, gid: gid_t) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_group_id", |ctx| {
            ctx.daemon.group_id(gid);
            Ok(())
        })
    }
}

/// The supplementary groups to run with when the user changes: DAEMONCTX_GROUPS_OWN or DAEMONCTX_GROUPS_NONE. A daemon that
/// keeps its user keeps its groups.
///
/// Errors: EINVAL: neither.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_supplementary_groups(
    ctx: *mut daemonctx,
    groups: daemonctx_groups_value,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_supplementary_groups", |ctx| {
            let choices = [
                (daemonctx_groups::DAEMONCTX_GROUPS_OWN as c_int, Groups::Own),
                (daemonctx_groups::DAEMONCTX_GROUPS_NONE as c_int, Groups::None),
            ];
            let groups = choose(groups, choices)?;
            ctx.daemon.supplementary_groups(groups);
            Ok(())
        })
    }
}

/// Whether (not 0) programs that the daemon runs are kept from gaining privileges (PR_SET_NO_NEW_PRIVS, Linux); they are not
/// unless set.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_no_new_privileges(ctx: *mut daemonctx, forbid: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_no_new_privileges", |ctx| {
            ctx.daemon.no_new_privileges(forbid != 0);
            Ok(())
        })
    }
}

/// Whether (not 0) core files are forbidden (RLIMIT_CORE 0), as they may hold secrets; they are unless set.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_prevent_core(ctx: *mut daemonctx, prevent: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_prevent_core", |ctx| {
            ctx.daemon.prevent_core(prevent != 0);
            Ok(())
        })
    }
}

/// Whether (not 0) daemonctx_open() and daemonctx_fork() may detach a process that has other threads; they may not unless set.
///
/// fork(2) gives the daemon the calling thread alone. What the others had locked stays locked for good, and what they were to do is
/// not done: in a runtime that has threads of its own (Go, Node, Java, Ruby) the daemon hangs or crashes. Start before the threads begin,
/// or start such a program by daemonctx_launch() or the command daemonctx(1). This is for programs that know what their threads do.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_allow_threads(ctx: *mut daemonctx, allow: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_allow_threads", |ctx| {
            ctx.daemon.allow_threads(allow != 0);
            Ok(())
        })
    }
}

/// Whether to detach: DAEMONCTX_DETACH_AUTO, DAEMONCTX_DETACH_YES or DAEMONCTX_DETACH_NO.
///
/// Errors: EINVAL: none of them.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_detach(ctx: *mut daemonctx, detach: daemonctx_detach_value) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_detach", |ctx| {
            let choices = [
                (daemonctx_detach::DAEMONCTX_DETACH_AUTO as c_int, Detach::Auto),
                (daemonctx_detach::DAEMONCTX_DETACH_YES as c_int, Detach::Yes),
                (daemonctx_detach::DAEMONCTX_DETACH_NO as c_int, Detach::No),
            ];
            let detach = choose(detach, choices)?;
            ctx.daemon.detach(detach);
            Ok(())
        })
    }
}

/// Keeps a descriptor open in the daemon. It stays the caller's; its close-on-exec flag stays as it is. Whether it is open is
/// checked by daemonctx_open().
///
/// Errors: EBADF: negative.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_keep_descriptor(ctx: *mut daemonctx, fd: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_keep_descriptor", |ctx| {
            ctx.daemon.keep_descriptor(fd);
            Ok(())
        })
    }
}

/// Whether (not 0) all descriptors that are open at the start are kept, for a runtime with pipes of its own; they are not unless set. A
/// program that is launched gets those without the close-on-exec flag.
///
/// A daemon that keeps a pipe of its starter's has who reads that pipe wait for it.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_keep_all_descriptors(ctx: *mut daemonctx, keep: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_keep_all_descriptors", |ctx| {
            ctx.daemon.keep_all_descriptors(keep != 0);
            Ok(())
        })
    }
}

/// Has a standard stream (0, 1 or 2) come from or go to a file: read for 0; appended to for 1 and 2, and created with mode
/// 0640 (less the umask) where it does not exist. It is opened by daemonctx_open(), before root, directory and user change.
///
/// Errors: EINVAL: no standard stream. ENOENT: empty path. ENAMETOOLONG.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_file(
    ctx: *mut daemonctx,
    stream: c_int,
    path: *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_stream_file", |ctx| set_stream(ctx, stream, Stream::file(string(path, "path")?)))
    }
}

/// Has standard output (1) or standard error (2) go to a log file, as daemonctx_set_stream_file() does, with more said of it.
/// One that exists is appended to, and keeps its mode and owner. One that does not is made with mode, just so whatever the
/// umask, and given to user and group: by name, or by number where nobody has that name; NULL for whoever starts the daemon.
/// It is never made through a symbolic link.
///
/// flags is 0 or DAEMONCTX_LOG_TRUNCATE: then a file that exists is emptied when the daemon starts. One that is reached by a
/// symbolic link (ELOOP) or has several names (EMLINK) is an error then, as it may be somebody else's.
///
/// Errors: DAEMONCTX_ERROR_OPTION: EINVAL: standard input, a mode of more than 0777, an empty name. ENOENT: empty path.
/// ENAMETOOLONG. DAEMONCTX_ERROR_USAGE (EINVAL): no standard stream, or other flags. Unknown users and groups, and files that
/// cannot be opened, are found by daemonctx_open().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_log_file(
    ctx: *mut daemonctx,
    stream: c_int,
    path: *const c_char,
    flags: c_uint,
    mode: mode_t,
    user: *const c_char,
    group: *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and strings, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_stream_log_file", |ctx| {
            if flags > DAEMONCTX_LOG_TRUNCATE {
                return Err(Failure::Invalid(flags.into()));
            }
            let (path, user, group) = (string(path, "path")?, optional(user), optional(group));
            let mut file = LogFile::new(path).truncate(flags != 0).mode(mode);
            if let Some(user) = user {
                file = file.user(user);
            }
            if let Some(group) = group {
                file = file.group(group);
            }
            set_stream(ctx, stream, file.into())
        })
    }
}

/// Has standard output (1) or standard error (2) go to syslog, a message for each line. A process of its own passes them on, with
/// the daemon's privileges; it is no child of the daemon, and ends when nobody can write to the stream any more. Lines of more
/// than 4096 bytes become several messages. When the system's log is away or does not read for five seconds, lines are
/// dropped, and how many it were is logged later.
///
/// identity is what messages begin with, at most 128 bytes; NULL for the program's name. priority is a facility and a level of
/// <syslog.h>, such as LOG_DAEMON | LOG_NOTICE; LOG_DAEMON where there is no facility. A negative one means LOG_INFO for
/// standard output, LOG_ERR for standard error.
///
/// Errors: DAEMONCTX_ERROR_OPTION: EINVAL: standard input, an empty identity. ENAMETOOLONG. DAEMONCTX_ERROR_USAGE (EINVAL): no
/// standard stream, no priority. daemonctx_open() says so when there is no /dev/log.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_syslog(
    ctx: *mut daemonctx,
    stream: c_int,
    identity: *const c_char,
    priority: c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_stream_syslog", |ctx| {
            let (facility, severity) = facility_and_severity(priority)?;
            let mut syslog = Syslog::new().facility(facility);
            if let Some(severity) = severity {
                syslog = syslog.severity(severity);
            }
            if let Some(identity) = optional(identity) {
                syslog = syslog.identity(identity);
            }
            set_stream(ctx, stream, syslog.into())
        })
    }
}

/// Connects a standard stream (0, 1 or 2) to an open descriptor. That is duplicated; it stays the caller's, and is closed in
/// the daemon unless it is kept as well. Whether it is open is checked by daemonctx_open().
///
/// Errors: EINVAL: no standard stream. EBADF: negative.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_descriptor(
    ctx: *mut daemonctx,
    stream: c_int,
    fd: c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe { with(ctx, "daemonctx_set_stream_descriptor", |ctx| set_stream(ctx, stream, Stream::descriptor(fd))) }
}

/// Connects a standard stream (0, 1 or 2) to /dev/null: the default, except below inetd.
///
/// Errors: EINVAL: no standard stream.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_null(ctx: *mut daemonctx, stream: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe { with(ctx, "daemonctx_set_stream_null", |ctx| set_stream(ctx, stream, Stream::null())) }
}

/// Leaves a standard stream (0, 1 or 2) as it is: the default below inetd.
///
/// Errors: EINVAL: no standard stream.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stream_inherit(ctx: *mut daemonctx, stream: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe { with(ctx, "daemonctx_set_stream_inherit", |ctx| set_stream(ctx, stream, Stream::inherit())) }
}

/// What a signal is to do in the daemon: DAEMONCTX_SIGNAL_DEFAULT, DAEMONCTX_SIGNAL_IGNORE or DAEMONCTX_SIGNAL_KEEP. Signals
/// that nothing is said about keep what the program has installed since it began; SIGTSTP, SIGTTIN and SIGTTOU are ignored; what
/// was ignored when the program began goes back to the default; and where there is a pid file, SIGTERM, SIGINT and SIGHUP
/// remove it before they end the daemon.
///
/// Errors: EINVAL: no signal, one that cannot be caught, or none of the three.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_signal(
    ctx: *mut daemonctx,
    signum: c_int,
    action: daemonctx_signal_action_value,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_signal", |ctx| {
            let choices = [
                (daemonctx_signal_action::DAEMONCTX_SIGNAL_DEFAULT as c_int, SignalAction::Default),
                (daemonctx_signal_action::DAEMONCTX_SIGNAL_IGNORE as c_int, SignalAction::Ignore),
                (daemonctx_signal_action::DAEMONCTX_SIGNAL_KEEP as c_int, SignalAction::Keep),
            ];
            let action = choose(action, choices)?;
            ctx.daemon.signal(signum, action);
            Ok(())
        })
    }
}

/// A pid file: locked by the daemon for its life, removed at its end. Another daemon that holds it ends this start. A
/// relative path is taken from the present working directory.
///
/// Errors: ENOENT: empty. ENAMETOOLONG.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_pid_file(ctx: *mut daemonctx, path: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_pid_file", |ctx| {
            ctx.daemon.pid_file(string(path, "path")?);
            Ok(())
        })
    }
}

/// A directory of the daemon's own for its pid file and sockets, as systemd's RuntimeDirectory= (systemd.exec(5)). The starter
/// makes it, mode 0755, for the user and group that the daemon runs as, so that a daemon without privileges can remove its pid
/// file there. It is removed when the start fails, or the daemon ends and may remove it, if it is empty. A relative path is taken
/// from the present working directory.
///
/// Errors: ENOENT: empty. ENAMETOOLONG. By daemonctx_open(): it cannot be made; EPERM: it is there and belongs to another user, or
/// other users can write the directory above it.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_runtime_directory(ctx: *mut daemonctx, path: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_runtime_directory", |ctx| {
            ctx.daemon.runtime_directory(string(path, "path")?);
            Ok(())
        })
    }
}

/// A descriptor on which the daemon says that it is ready, beside all other ways: a newline is written to it, and it is closed.
/// That is how s6 and its like want it (notification-fd).
///
/// Errors: DAEMONCTX_ERROR_OPTION (EBADF): fd is negative; daemonctx_open() says so of one that is not open.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_ready_descriptor(ctx: *mut daemonctx, fd: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(ctx, "daemonctx_set_ready_descriptor", |ctx| {
            ctx.daemon.ready_descriptor(fd);
            Ok(())
        })
    }
}

/// Whether (not 0) the daemon itself says when it is ready, by daemonctx_ready(), instead of being ready when
/// daemonctx_open() is done. Until then standard error is the starter's. A program that is not trusted can keep it, a terminal open for
/// reading and writing, beyond the start, also as another user: start such a program with standard error redirected.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_manual_ready(ctx: *mut daemonctx, manual: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_manual_ready", |ctx| {
            ctx.daemon.manual_ready(manual != 0);
            Ok(())
        })
    }
}

/// How many milliseconds the daemon may take until it is ready, or DAEMONCTX_FOREVER; 30000 unless set. One that
/// takes longer is ended (SIGTERM, five seconds later SIGKILL), and the starter exits with 124.
///
/// Errors: DAEMONCTX_ERROR_OPTION (EINVAL): 0. DAEMONCTX_ERROR_USAGE (EINVAL): another negative number.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_ready_timeout(ctx: *mut daemonctx, milliseconds: c_long) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_ready_timeout", |ctx| {
            ctx.daemon.ready_timeout(limit(milliseconds)?);
            Ok(())
        })
    }
}

/// What syslog(3) takes as one number; a negative one has nothing to say.
fn facility_and_severity(priority: c_int) -> Result<(Facility, Option<Severity>), Failure> {
    const SEVERITIES: c_int = 8;
    if priority < 0 {
        return Ok((Facility::DAEMON, None));
    }
    let facility = match u8::try_from(priority / SEVERITIES) {
        Ok(0) => Some(Facility::DAEMON),
        Ok(number) => Facility::from_number(number),
        Err(_) => None,
    };
    let severity = Severity::from_number((priority % SEVERITIES) as u8);
    facility.map(|facility| (facility, severity)).ok_or_else(|| Failure::Invalid(priority.into()))
}

fn set_stream(ctx: &mut daemonctx, stream: c_int, to: Stream) -> Result<(), Failure> {
    match stream {
        libc::STDIN_FILENO => ctx.daemon.stdin(to),
        libc::STDOUT_FILENO => ctx.daemon.stdout(to),
        libc::STDERR_FILENO => ctx.daemon.stderr(to),
        other => return Err(Failure::Invalid(other.into())),
    };
    Ok(())
}
