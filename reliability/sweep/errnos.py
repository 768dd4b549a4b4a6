"""Which errors each system call can have on Linux: the ERRORS sections of section 2 of the manual.

A call that a start makes and that is not here ends the sweep: what the code does changes, and this has to keep up.
"""

from __future__ import annotations

import errno
import re

# Errors that a call cannot have here, whatever its manual says, are left out nowhere: the code does not know either.
_TABLE = """
access faccessat2   EACCES EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS ETXTBSY
arch_prctl          EFAULT EINVAL EPERM
bind                EACCES EADDRINUSE EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTSOCK EROFS
brk                 ENOMEM
capget capset       EFAULT EINVAL EPERM ESRCH
chdir               EACCES EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR
chmod fchmod        EACCES EBADF EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS
chown fchown        EACCES EBADF EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS
chroot              EACCES EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM
clone clone3 fork vfork    EAGAIN ENOMEM ENOSYS EPERM EINVAL
close               EBADF EINTR EIO ENOSPC EDQUOT
close_range         EBADF EINVAL EMFILE ENOMEM ENOSYS
connect             EACCES EPERM EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED EFAULT EINTR EISCONN ENETUNREACH ENOENT ENOTSOCK EPROTOTYPE ETIMEDOUT
dup dup2 dup3       EBADF EBUSY EINTR EINVAL EMFILE ENOMEM
execve              E2BIG EACCES EAGAIN EFAULT EINVAL EIO ELOOP EMFILE ENAMETOOLONG ENFILE ENOENT ENOEXEC ENOMEM ENOTDIR EPERM ETXTBSY
exit exit_group
fcntl               EACCES EAGAIN EBADF EBUSY EDEADLK EFAULT EINTR EINVAL EMFILE ENOLCK EPERM
flock               EBADF EINTR EINVAL ENOLCK EWOULDBLOCK
fstat newfstatat stat lstat statx    EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW
fstatfs statfs      EACCES EBADF EFAULT EINTR EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOSYS ENOTDIR EOVERFLOW
fsync               EBADF EINTR EIO ENOSPC EROFS EINVAL EDQUOT
ftruncate           EACCES EFBIG EINTR EINVAL EIO EBADF EPERM EROFS ETXTBSY
futex               EAGAIN EFAULT EINTR EINVAL ENOSYS
getcwd              EACCES EFAULT EINVAL ENAMETOOLONG ENOENT ENOMEM ERANGE
getdents64          EBADF EFAULT EINVAL ENOENT ENOTDIR
getgroups           EFAULT EINVAL
getpid getppid gettid getuid geteuid getgid getegid getpgrp umask sched_yield set_tid_address
getrandom           EAGAIN EFAULT EINTR EINVAL ENOSYS
getresuid getresgid EFAULT
getrlimit prlimit64 setrlimit    EFAULT EINVAL EPERM ESRCH
getsid getpgid      EPERM ESRCH
getsockname getpeername    EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK
getsockopt setsockopt      EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK ENOMEM ENOBUFS
ioctl               EBADF EFAULT EINVAL ENOTTY
kill tgkill         EINVAL EPERM ESRCH EAGAIN
listen              EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP
link linkat         EACCES EDQUOT EEXIST EFAULT EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS EXDEV
lseek               EBADF EINVAL ENXIO EOVERFLOW ESPIPE
madvise             EACCES EAGAIN EBADF EINVAL EIO ENOMEM EPERM
mkdir               EACCES EDQUOT EEXIST EFAULT EINVAL ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS
mmap                EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY
mprotect            EACCES EINVAL ENOMEM
mremap              EAGAIN EFAULT EINVAL ENOMEM
munmap              EINVAL
open openat creat   EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY EWOULDBLOCK
pause rt_sigsuspend EINTR
pidfd_getfd         EBADF EINVAL EMFILE ENFILE ENODEV EPERM ESRCH ENOSYS
pidfd_open          EINVAL EMFILE ENFILE ENODEV ENOMEM ESRCH ENOSYS
pidfd_send_signal   EBADF EINVAL EPERM ESRCH ENOSYS
pipe pipe2          EFAULT EINVAL EMFILE ENFILE ENOPKG
poll ppoll          EFAULT EINTR EINVAL ENOMEM
prctl               EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP EPERM ERANGE
pread64 read        EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO EOVERFLOW ESPIPE
pwrite64 write      EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC ENXIO EOVERFLOW EPERM EPIPE ESPIPE
readlink readlinkat            EACCES EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR
rename              EACCES EBUSY EDQUOT EFAULT EINVAL EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR ENOTEMPTY EEXIST EPERM EROFS EXDEV
rmdir               EACCES EBUSY EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTEMPTY EPERM EROFS
rseq                EBUSY EFAULT EINVAL EPERM ENOSYS
rt_sigaction        EFAULT EINVAL
rt_sigpending       EFAULT EINVAL
rt_sigprocmask      EFAULT EINVAL
rt_sigreturn
rt_sigtimedwait     EAGAIN EINTR EINVAL
sched_getaffinity   EFAULT EINVAL EPERM ESRCH
select pselect6     EBADF EINTR EINVAL ENOMEM
sendmsg sendto      EACCES EAGAIN EALREADY EBADF ECONNREFUSED ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE ENOBUFS ENOENT ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE
recvmsg recvfrom    EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK
setgid setresgid setregid    EAGAIN EINVAL EPERM
setfsuid setfsgid
setgroups           EFAULT EINVAL ENOMEM EPERM
setpgid             EACCES EINVAL EPERM ESRCH
setitimer           EFAULT EINVAL
setsid              EPERM
shutdown            EBADF EINVAL ENOTCONN ENOTSOCK
setuid setresuid setreuid    EAGAIN EINVAL EPERM
set_robust_list     EINVAL
sigaltstack         EFAULT EINVAL ENOMEM EPERM
signalfd4           EBADF EINVAL EMFILE ENFILE ENODEV ENOMEM
socket              EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT
socketpair          EAFNOSUPPORT EFAULT EMFILE ENFILE EOPNOTSUPP EPROTONOSUPPORT
symlink             EACCES EBADF EDQUOT EEXIST EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS
sysinfo uname       EFAULT
clock_nanosleep nanosleep    EFAULT EINTR EINVAL
unlink unlinkat     EACCES EBUSY EFAULT EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS
wait4 waitid        EAGAIN ECHILD EINTR EINVAL ESRCH
"""

ERRNOS: dict[str, tuple[str, ...]] = {}
for _line in _TABLE.strip().splitlines():
    _words = _line.split()
    _first = next((at for at, word in enumerate(_words) if re.fullmatch("E[A-Z0-9]+", word)), len(_words))
    # EWOULDBLOCK is another name of EAGAIN on Linux.
    _errnos = tuple(dict.fromkeys("EAGAIN" if word == "EWOULDBLOCK" else word for word in _words[_first:]))
    ERRNOS.update((name, _errnos) for name in _words[:_first])

# The one of each call that is tried where there is no time for all: the likeliest in life, mostly.
LIKELIEST = ("ENOSPC", "EMFILE", "EACCES", "EPERM", "ENOMEM", "EAGAIN", "EIO")


def likeliest(name: str) -> tuple[str, ...]:
    known = ERRNOS[name]
    return (next((it for it in LIKELIEST if it in known), known[0]),) if known else ()


def number(name: str) -> int:
    return getattr(errno, name)


def text(name: str) -> str:
    """As our lines end: `(13 EACCES)`."""
    return f"({number(name)} {name})"
