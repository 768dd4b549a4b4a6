//! From what a program is wanted to be to the words of the launch message.

use super::launch::{Place, Sign};
use super::settings::Ready;
use crate::activation;
use crate::descriptors::Keep;
use crate::error::{Error, Step, Subject};
use crate::readiness::{ListenAddress, Readiness};
use crate::sys::c_buf::CBuf;
use crate::sys::process::StringList;
use crate::sys::{Errno, Sys, fd, file, memory};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The descriptor of the sign is the program's alone, and so is the file that it writes its PID to.
pub(super) fn check_sign(keep: &Keep, pid_file: Option<&CBuf>, readiness: &Readiness) -> Result<(), Error> {
    match readiness {
        Readiness::Forked(Some(path)) => {
            let bytes = path.as_os_str().as_bytes();
            let path = file::absolute_path(bytes).map_err(|errno| Error::about(Step::Ready, bytes, errno))?;
            if pid_file.is_some_and(|pid_file| pid_file.as_bytes() == path.as_bytes()) {
                let error = Error::about(Step::Ready, path.as_bytes(), Errno::EINVAL);
                return Err(error.note("the daemon's pid file, which the monitor writes"));
            }
            Ok(())
        }
        Readiness::Newline(number) if *number >= fd::limit() => {
            let error = Error::os(Step::ReadyDescriptor, Subject::Number(i64::from(*number)), Errno::EBADF);
            Err(error.note("not below the limit of open descriptors, RLIMIT_NOFILE"))
        }
        Readiness::Newline(number) if keep.iter().any(|kept| kept == *number) => {
            let error = Error::os(Step::ReadyDescriptor, Subject::Number(i64::from(*number)), Errno::EINVAL);
            Err(error.note("kept for the program"))
        }
        _ => Ok(()),
    }
}

pub(super) fn readiness(readiness: &Readiness) -> Sys<(Ready, Sign)> {
    let absolute = |path: &Path| file::absolute_path(path.as_os_str().as_bytes());
    Ok(match readiness {
        Readiness::Executed => (Ready::Executed, Sign::None),
        Readiness::StillRunning(time) => (Ready::Running(*time), Sign::None),
        Readiness::Newline(number) if *number < fd::FIRST_OTHER => return Err(Errno::EBADF),
        Readiness::Newline(number) => (Ready::Sign, Sign::Newline(*number)),
        Readiness::Notify => (Ready::Sign, Sign::Notify),
        Readiness::Forked(None) => (Ready::Followed, Sign::None),
        Readiness::Forked(Some(path)) => (Ready::Sign, Sign::PidFile(absolute(path)?)),
        Readiness::Listening(ListenAddress::Port(_, 0)) => return Err(Errno::EINVAL),
        Readiness::Listening(ListenAddress::Port(address, port)) => {
            (Ready::Sign, Sign::Listen(Place::Port(*address, *port)))
        }
        Readiness::Listening(ListenAddress::Unix(path)) => (Ready::Sign, Sign::Listen(Place::Path(absolute(path)?))),
        Readiness::File(path) => (Ready::Sign, Sign::File(absolute(path)?)),
    })
}

/// The variables that name this process by its PID are to name the program; the others stay.
/// `own` is to name it, too.
pub(super) fn variables(all: &StringList, sign: &Sign, own: Option<&'static CStr>) -> Sys<(Vec<CBuf>, StringList)> {
    let named = [c"LISTEN_PID", c"WATCHDOG_PID"];
    let meant = named.map(|name| (name, activation::is_meant(name) == Some(true)));
    let is = |variable: &CStr, name: &CStr| {
        variable.to_bytes().strip_prefix(name.to_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
    };
    let mut list = StringList::default();
    for variable in all.iter() {
        let is_replaced = meant.iter().any(|(name, meant)| *meant && is(variable, name))
            || *sign == Sign::Notify && is(variable, c"NOTIFY_SOCKET");
        if !is_replaced {
            list.push(CBuf::new(variable.to_bytes())?)?;
        }
    }
    list.finish()?;
    let mut names = Vec::new();
    for name in meant.into_iter().filter_map(|(name, meant)| meant.then_some(name)).chain(own) {
        memory::push(&mut names, CBuf::new(name.to_bytes())?)?;
    }
    Ok((names, list))
}
