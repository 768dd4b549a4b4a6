//! Descriptors that do not block.

use super::result;
use ::daemonctx::parts;
use libc::c_int;

#[unsafe(no_mangle)]
extern "C" fn daemon_nonblock(fd: c_int, b: c_int) -> c_int {
    result(parts::set_nonblocking(fd, b != 0), libc::EINVAL)
}
