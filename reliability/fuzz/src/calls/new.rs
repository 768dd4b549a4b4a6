//! The interface of daemonctx.h: a few handles, some of them NULL, and all functions on them.

use super::{HARMLESS, PATHS, Where, errno, set_errno};
use crate::choice::Choices;
use crate::house::{text_of, wrong};
use daemonctx_linked as api;
use daemonctx_linked::{error, launch, notify, options, pidfile, start};
use std::ffi::{CString, c_char, c_int, c_long};
use std::ptr::{null, null_mut};

const NAMES: [&str; 9] = ["nobody", "root", "0", "65534", "-1", "4294967295", "4294967296", "", "no such name"];
const MESSAGES: [&str; 5] = ["READY=1", "STATUS=x", "", "FDSTORE=1\nFDNAME=a", "\n\n"];

type Handle = *mut api::daemonctx;
type File = *mut pidfile::daemonctx_pidfile;

/// The last of each is always NULL.
pub(super) struct Handles {
    daemons: [Handle; 4],
    files: [File; 4],
}

impl Default for Handles {
    fn default() -> Self {
        Self { daemons: [null_mut(); 4], files: [null_mut(); 4] }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        for daemon in self.daemons {
            // SAFETY: of daemonctx_new(), or NULL, and not used again.
            unsafe { options::daemonctx_free(daemon) };
        }
        for file in self.files {
            // SAFETY: of daemonctx_pidfile_new(), or NULL, and not used again.
            unsafe { pidfile::daemonctx_pidfile_free(file) };
        }
    }
}

fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(null(), |text| text.as_ptr())
}

impl Handles {
    pub(super) fn call(&mut self, choices: &mut Choices<'_>, place: Where) {
        let index = choices.one_of(4);
        match choices.one_of(8) {
            0 => self.renew(index, choices),
            1..=4 => {
                let handle = self.daemons[index];
                let status = set(handle, choices);
                told(handle, status);
            }
            5 => self.file(index, choices, place),
            6 => free_standing(choices),
            _ => {
                let handle = self.daemons[index];
                let status = begun(handle, choices, place);
                told(handle, status);
            }
        }
    }

    fn renew(&mut self, index: usize, choices: &mut Choices<'_>) {
        let kind = choices.one_of(4);
        if index == 3 {
            return;
        }
        if kind < 2 {
            // SAFETY: of daemonctx_new(), or NULL, and exchanged at once.
            unsafe { options::daemonctx_free(self.daemons[index]) };
            self.daemons[index] = options::daemonctx_new();
            return;
        }
        let path = choices.text(&PATHS);
        let make = if kind == 2 { pidfile::daemonctx_pidfile_new } else { pidfile::daemonctx_pidfile_foreign };
        set_errno(0);
        // SAFETY: a string or NULL.
        let made = unsafe { make(pointer(path.as_ref())) };
        if made.is_null() && errno() == 0 {
            wrong("no handle, and no errno");
        }
        // SAFETY: of one of the functions above, or NULL, and exchanged at once.
        unsafe { pidfile::daemonctx_pidfile_free(self.files[index]) };
        self.files[index] = made;
    }

    fn file(&mut self, index: usize, choices: &mut Choices<'_>, place: Where) {
        let file = self.files[index];
        let mut number: c_int = 0;
        let mut other: c_int = 0;
        let to = if choices.byte() % 4 == 0 { null_mut() } else { &raw mut number };
        // A daemon that is this process itself does not end while it is waited for.
        let while_ = choices.long().clamp(0, 2);
        // SAFETY: a handle or NULL, places or NULL.
        let status = unsafe {
            match choices.one_of(8) {
                0 | 1 => pidfile::daemonctx_pidfile_acquire(file),
                2 => pidfile::daemonctx_pidfile_release(file),
                3 => pidfile::daemonctx_pidfile_read(file, to),
                4 => pidfile::daemonctx_pidfile_status(file, to.cast(), &raw mut other),
                5 => pidfile::daemonctx_pidfile_signal(file, HARMLESS[choices.one_of(HARMLESS.len())]),
                6 => pidfile::daemonctx_pidfile_wait(file, while_, to),
                _ if place == Where::Apart => pidfile::daemonctx_pidfile_stop(file, choices.long().min(5), to.cast()),
                _ => return,
            }
        };
        let number = errno();
        let said = |step, errnum, text| {
            // SAFETY: a handle or NULL, and places.
            unsafe { pidfile::daemonctx_pidfile_error(file, step, errnum, text) }
        };
        explained(file.is_null(), status, number, said);
    }
}

/// Any option, set to anything.
fn set(handle: Handle, choices: &mut Choices<'_>) -> error::daemonctx_status {
    let which = choices.one_of(30);
    let number = choices.number();
    let unsigned = number as u32;
    let text = choices.text(if which < 4 { &NAMES } else { &PATHS });
    let text = pointer(text.as_ref());
    // SAFETY: a handle or NULL; the string lives as long as this function.
    unsafe {
        match which {
            0 => options::daemonctx_set_user(handle, text),
            1 => options::daemonctx_set_group(handle, text),
            2 => options::daemonctx_set_program_name(handle, text),
            3 => options::daemonctx_set_stream_syslog(handle, number, text, choices.number()),
            4 => options::daemonctx_set_working_directory(handle, text),
            5 => options::daemonctx_set_chroot(handle, text),
            6 => options::daemonctx_set_umask(handle, unsigned),
            7 => options::daemonctx_set_user_id(handle, unsigned),
            8 => options::daemonctx_set_group_id(handle, unsigned),
            9 => options::daemonctx_set_supplementary_groups(handle, number),
            10 => options::daemonctx_set_no_new_privileges(handle, number),
            11 if number & 1 == 0 => options::daemonctx_set_prevent_core(handle, number),
            11 => options::daemonctx_set_allow_threads(handle, number),
            12 => options::daemonctx_set_detach(handle, number),
            13 => options::daemonctx_keep_descriptor(handle, number),
            14 => options::daemonctx_set_stream_file(handle, number, text),
            15 => log_file(handle, number, text, choices),
            16 => options::daemonctx_set_stream_descriptor(handle, number, choices.number()),
            17 => options::daemonctx_set_stream_null(handle, number),
            18 => options::daemonctx_set_stream_inherit(handle, number),
            19 => options::daemonctx_set_signal(handle, number, choices.number()),
            20 => options::daemonctx_set_pid_file(handle, text),
            21 => options::daemonctx_set_ready_descriptor(handle, number),
            22 => options::daemonctx_set_manual_ready(handle, number),
            23 => options::daemonctx_set_keep_all_descriptors(handle, number),
            24 => launch::daemonctx_set_readiness(handle, text),
            25 => launch::daemonctx_set_respawn(handle, choices.long(), choices.long()),
            26 => launch::daemonctx_set_stop_signal(handle, number),
            27 => launch::daemonctx_set_stop_timeout(handle, choices.long()),
            28 => launch::daemonctx_set_kill_mode(handle, number),
            _ => options::daemonctx_set_ready_timeout(handle, choices.long()),
        }
    }
}

/// # Safety
/// A handle or NULL, a string or NULL.
unsafe fn log_file(
    handle: Handle,
    stream: c_int,
    path: *const c_char,
    choices: &mut Choices<'_>,
) -> error::daemonctx_status {
    let (flags, mode) = (choices.number() as u32, choices.number() as u32);
    let (user, group) = (choices.text(&NAMES), choices.text(&NAMES));
    // SAFETY: the caller's contract; the strings live as long as the call.
    unsafe {
        options::daemonctx_set_stream_log_file(
            handle,
            stream,
            path,
            flags,
            mode,
            pointer(user.as_ref()),
            pointer(group.as_ref()),
        )
    }
}

/// What belongs to a daemon that has begun: usage errors before. Apart it may begin.
fn begun(handle: Handle, choices: &mut Choices<'_>, place: Where) -> error::daemonctx_status {
    let mut number: c_int = 0;
    let to = if choices.byte() % 4 == 0 { null_mut() } else { &raw mut number };
    let message = choices.text(&MESSAGES);
    if place == Where::Apart {
        super::libdaemon::before_the_other();
    }
    // SAFETY: a handle or NULL, a string or NULL, a place or NULL; apart there is one thread.
    unsafe {
        match choices.one_of(7) {
            0 => start::daemonctx_ready(handle),
            1 => start::daemonctx_fail(handle, choices.number(), pointer(message.as_ref())),
            2 => start::daemonctx_reopen_streams(handle),
            3 => start::daemonctx_close(handle),
            4 => start::daemonctx_wait_ready(handle, choices.long().clamp(0, 20), to),
            5 if place == Where::Apart => start::daemonctx_open(handle),
            6 if place == Where::Apart => start::daemonctx_fork(handle, to),
            _ => start::daemonctx_ready(handle),
        }
    }
}

/// Functions without a handle: errno says why.
fn free_standing(choices: &mut Choices<'_>) {
    let mut sent: c_int = 0;
    let to = if choices.byte() % 4 == 0 { null_mut() } else { &raw mut sent };
    let message = choices.text(&MESSAGES);
    let message = pointer(message.as_ref());
    let fds = [0, -1, choices.number()];
    set_errno(0);
    // SAFETY: strings or NULL, as many numbers as are said or so many that nobody looks at them, places or NULL.
    let status = unsafe {
        match choices.one_of(8) {
            0 => notify::daemonctx_notify(message, to),
            1 => notify::daemonctx_notify_descriptors(message, fds.as_ptr(), choices.one_of(4), to),
            2 => notify::daemonctx_notify_descriptors(message, null(), choices.one_of(2), to),
            3 => notify::daemonctx_notify_descriptors(message, fds.as_ptr(), usize::MAX >> choices.one_of(48), to),
            4 => notify::daemonctx_notify_reloading(to),
            5 => notify::daemonctx_notify_barrier(choices.long().clamp(0, 2) as c_long, to),
            6 => {
                notify::daemonctx_watchdog_interval();
                error::daemonctx_status::DAEMONCTX_OK
            }
            _ => listen(to, choices.byte() % 2 == 0),
        }
    };
    if status != error::daemonctx_status::DAEMONCTX_OK && errno() == 0 {
        wrong(&format!("status {status:?}, and no errno"));
    }
}

/// # Safety
/// A place or NULL.
unsafe fn listen(count: *mut c_int, with_names: bool) -> error::daemonctx_status {
    let mut names: *mut *mut c_char = null_mut();
    // SAFETY: the caller's contract; a place or NULL.
    let status =
        unsafe { notify::daemonctx_listen_descriptors(count, if with_names { &raw mut names } else { null_mut() }) };
    // SAFETY: in one piece for free(3), or NULL.
    unsafe { libc::free(names.cast()) };
    status
}

fn told(handle: Handle, status: error::daemonctx_status) {
    let number = errno();
    // SAFETY: a handle or NULL, and places.
    explained(handle.is_null(), status, number, |step, errnum, text| unsafe {
        error::daemonctx_error(handle, step, errnum, text)
    });
    // SAFETY: a handle or NULL.
    let exit_status = unsafe { error::daemonctx_exit_status(handle) };
    if !(0..=255).contains(&exit_status)
        || status != error::daemonctx_status::DAEMONCTX_OK && !handle.is_null() && exit_status == 0
    {
        wrong(&format!("exit status {exit_status}"));
    }
}

/// After a failure the accessor has the same status, the same errno, a step and a line.
fn explained(
    is_null: bool,
    status: error::daemonctx_status,
    errno: c_int,
    said: impl Fn(*mut *const c_char, *mut c_int, *mut *const c_char) -> error::daemonctx_status,
) {
    let (mut step, mut errnum, mut text) = (null(), 0, null());
    if is_null {
        if status != error::daemonctx_status::DAEMONCTX_ERROR_USAGE || errno != libc::EINVAL {
            wrong(&format!("a NULL handle: status {status:?}, errno {errno}"));
        }
        return;
    }
    if said(null_mut(), null_mut(), null_mut()) != said(&raw mut step, &raw mut errnum, &raw mut text) {
        wrong("the status of the last error changes by being asked for");
    }
    // SAFETY: what the accessor gives are strings of the handle's.
    let (step, text) = unsafe { (text_of(step), text_of(text)) };
    if status == error::daemonctx_status::DAEMONCTX_OK {
        return;
    }
    if said(null_mut(), null_mut(), null_mut()) != status
        || errnum != errno
        || step.is_empty()
        || text.is_empty()
        || text.contains('\n')
    {
        wrong(&format!("status {status:?}, errno {errno}; the accessor: {errnum}, \"{step}\", \"{text}\""));
    }
}
