//! Which executable becomes the monitor.

use crate::error::{Error, Step, Subject};
use crate::run_directory::join;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys, identity, process};

/// What is installed with the libraries.
const NAME: &str = "daemonctx-monitor";

/// Where `make install` puts it, in its folder `daemonctx`: what the build was told, and the usual places.
const LIBEXEC: [Option<&str>; 3] =
    [option_env!("DAEMONCTX_LIBEXECDIR"), Some("/usr/local/libexec"), Some("/usr/libexec")];

/// Looks for the monitor: this program itself, or an installed one.
///
/// # Errors
/// ENOENT: there is none. EPERM: there is one that another user could have written.
pub(super) fn find() -> Result<CBuf, Error> {
    if let Some(own) = own() {
        return Ok(own);
    }
    let mut refused = None;
    for candidate in candidates().map_err(|errno| Error::os(Step::Execute, Subject::Word(NAME), errno))? {
        match judge(&candidate) {
            Ok(found) => return Ok(found),
            Err(Errno::EPERM) if refused.is_none() => refused = Some(candidate),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(path) => {
            Error::os(Step::Execute, Subject::Text(path), Errno::EPERM).note("another user can write or replace it")
        }
        None => Error::os(Step::Execute, Subject::Word(NAME), Errno::ENOENT).note(
            "neither beside this program or its library nor in libexec/daemonctx: install it, or say where it is",
        ),
    })
}

/// This program, by its own path, which ps(1) shows, if that is still the same file and nobody else can replace it.
pub(crate) fn own() -> Option<CBuf> {
    if !super::can_be_monitor() {
        return None;
    }
    let path = process::executable().ok();
    let is_same = |path: &CBuf| match process::RUNNING_EXECUTABLE {
        Some(running) => identity_of(path.as_c_str()).is_ok_and(|named| Ok(named) == identity_of(running)),
        None => true,
    };
    path.filter(|path| is_same(path) && judge(path).is_ok())
        .or_else(|| process::RUNNING_EXECUTABLE.and_then(|running| CBuf::path(running.to_bytes()).ok()))
        .filter(|path| file::status_behind(path.as_c_str()).is_ok())
}

fn identity_of(path: &std::ffi::CStr) -> Sys<file::Identity> {
    file::status_behind(path).map(|status| status.identity)
}

/// Where it can be, in order.
fn candidates() -> Sys<Vec<CBuf>> {
    let mut all = Vec::new();
    let files = [process::shared_object(), process::executable()];
    for directory in files.iter().flatten().map(CBuf::parent) {
        let directory = directory?;
        for place in ["", "../libexec/daemonctx/"] {
            add(&mut all, &[directory.as_bytes(), place.as_bytes(), NAME.as_bytes()])?;
        }
    }
    for directory in LIBEXEC.into_iter().flatten() {
        add(&mut all, &[directory.as_bytes(), b"/daemonctx/", NAME.as_bytes()])?;
    }
    Ok(all)
}

fn add(all: &mut Vec<CBuf>, parts: &[&[u8]]) -> Sys<()> {
    crate::sys::memory::push(all, join(parts)?)
}

/// The path without symbolic links of an executable that no other user can write or replace. Members of its group can where this
/// user is not root: the group is often the user's own.
fn judge(path: &CBuf) -> Sys<CBuf> {
    const EXECUTED_BY_ANYBODY: libc::mode_t = 0o111;
    let path = file::real_path(path.as_c_str())?;
    let status = file::status_at(path.as_c_str())?;
    if status.kind != Kind::Regular || status.mode & EXECUTED_BY_ANYBODY == 0 {
        return Err(Errno::EACCES);
    }
    let user = identity::effective_user();
    let others = if user == 0 { 0o022 } else { 0o002 };
    let is_safe = |status: &Status| {
        let is_sticky = status.kind == Kind::Directory && status.mode & libc::S_ISVTX != 0;
        (status.owner == 0 || status.owner == user) && (status.mode & others == 0 || is_sticky)
    };
    let bytes = path.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index.max(1));
    for end in ends {
        let directory = CBuf::path(bytes.get(..end).unwrap_or_default())?;
        if !is_safe(&file::status_at(directory.as_c_str())?) {
            return Err(Errno::EPERM);
        }
    }
    if is_safe(&status) { Ok(path) } else { Err(Errno::EPERM) }
}
