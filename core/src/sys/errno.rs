//! Error numbers: what a failed system call says, and its names.

use crate::sys::fixed_buf::MessageBuf;

/// The value of `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(libc::c_int);

/// A name's room in the table: `EPROTONOSUPPORT` and its like have 15 letters.
const ROOM: usize = 16;

/// The names stand in one table of fixed cells, not in a list of strings: strings would be pointers, and each pointer a
/// relocation that every program linked with the C library pays for when it starts.
const fn cell(name: &str) -> [u8; ROOM] {
    let bytes = name.as_bytes();
    let mut cell = [0; ROOM];
    let mut index = 0;
    while index < bytes.len() {
        cell[index] = bytes[index];
        index += 1;
    }
    cell
}

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(dead_code, reason = "the table names all of them, the code only some")]
        impl Errno {
            $(pub(crate) const $name: Self = Self(libc::$name);)*
        }
        static NAMES: &[(libc::c_int, [u8; ROOM])] = &[$((libc::$name, cell(stringify!($name)))),*];
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM EOVERFLOW EILSEQ EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE
    EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL
    ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EOWNERDEAD ENOTRECOVERABLE EPROTO
    EBADMSG
}

impl Errno {
    /// flock(2)'s and read(2)'s word for EAGAIN.
    pub(crate) const EWOULDBLOCK: Self = Self(libc::EWOULDBLOCK);

    pub(crate) const fn new(value: libc::c_int) -> Self {
        Self(value)
    }

    /// The calling thread's `errno`.
    pub(crate) fn last() -> Self {
        Self(super::last_errno())
    }

    pub(crate) const fn value(self) -> libc::c_int {
        self.0
    }

    /// The macro's name, such as `ENOENT`; `errno` for a number this table does not have.
    fn name(self) -> &'static [u8] {
        let cell = NAMES.iter().find(|(value, _)| *value == self.0).map(|(_, cell)| cell.as_slice());
        let name = cell.and_then(|cell| cell.split(|&byte| byte == 0).next());
        name.unwrap_or(b"errno")
    }

    /// Appends `strerror (NUMBER NAME)`.
    pub(crate) fn describe(self, line: &mut MessageBuf) {
        let mut text = [0_u8; 128];
        line.push(super::message(self, &mut text));
        line.push(b" (").push_number(i64::from(self.0)).push(b" ").push(self.name()).push(b")");
    }
}
