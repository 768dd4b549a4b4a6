//! Descriptors that do not block.

use super::fail;
use ::daemonctx::parts;
use libc::c_int;

#[unsafe(no_mangle)]
extern "C" fn daemon_nonblock(fd: c_int, b: c_int) -> c_int {
    // Without a message: it is no step of anything.
    match parts::set_nonblocking(fd, b != 0) {
        Ok(()) => 0,
        Err(error) => fail(error.errno().unwrap_or(libc::EINVAL)),
    }
}
