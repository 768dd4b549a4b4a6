//! A session leader that borrows this process's memory.
//!
//! A fork copies the page tables of whoever forks. The leader has no use for a copy: it calls setsid(2), forks the daemon and is gone.
//! So where that can be done it is made as vfork(2) makes processes: in the memory, and on the stack, of a starter that stands
//! still meanwhile. Only the daemon's tables are copied.
//!
//! vfork() itself returns twice into one stack frame. Here only one of the two, the starter, comes back in this memory: the other goes down
//! the stack and either ends there, or is forked into memory of its own, and comes back in that.

/// What the leader is to do; it comes back only in the daemon.
pub(crate) trait Lead {
    fn lead(&mut self);
}

#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod gnu {
    use super::super::process::{Forked, Pid};
    use super::super::{Errno, Sys, check_size};
    use super::Lead;
    use std::ffi::{CStr, c_void};

    /// linux/rseq.h; what an rseq area begins with.
    const CPU_ID_OFFSET: usize = 4;
    const CPU_ID_REGISTRATION_FAILED: u32 = -2_i32 as u32;
    /// What every kernel and C library takes; a longer area is as long as the C library says.
    const SHORTEST: u32 = 32;
    #[cfg(target_arch = "x86_64")]
    const SIGNATURE: u32 = 0x5305_3053;
    #[cfg(target_arch = "aarch64")]
    const SIGNATURE: u32 = 0xd428_bc00;

    /// The C library's registration of the restartable sequences area (rseq(2)), where the kernel says on which processor a thread
    /// runs. A child in the same memory has none, and neither has a child of that.
    #[derive(Clone, Copy)]
    struct Rseq {
        /// From the thread pointer.
        offset: isize,
        size: u32,
    }

    /// That memory can be borrowed, and what has to be put right afterwards.
    #[derive(Clone, Copy)]
    pub(crate) struct Borrowing(Rseq);

    impl Borrowing {
        /// Whether it is right here. In a process that has had a second thread it is not: handlers of pthread_atfork(3) may start threads
        /// again, which would be the leader's and end with it, and the C library takes locks around a fork, which a leader that is
        /// killed would leave locked. Without the C library's rseq area somebody else may have registered one that nobody knows of.
        pub(crate) fn find() -> Option<Self> {
            // SAFETY: a `char` of the C library's (sys/single_threaded.h).
            let single_threaded = unsafe { object::<u8>(c"__libc_single_threaded")?.read_volatile() };
            if single_threaded == 0 {
                return None;
            }
            // SAFETY: an `unsigned int` that does not change (sys/rseq.h).
            let size = unsafe { object::<u32>(c"__rseq_size")?.read() };
            // SAFETY: a `ptrdiff_t` that does not change.
            let offset = unsafe { object::<isize>(c"__rseq_offset")?.read() };
            (size > 0).then_some(Self(Rseq { offset, size: size.max(SHORTEST) }))
        }

        /// Forks a leader, which does as it is told. Comes back here when it has ended, with its PID; and in the daemon.
        ///
        /// # Safety
        /// This is the only thread, and no signal reaches it. The leader makes system calls, forks and ends; what it writes to memory is the
        /// starter's.
        pub(crate) unsafe fn fork<T: Lead>(self, leader: &mut T) -> Sys<Forked> {
            // SAFETY: `begin` is called with this pointer, once in this memory, while the frame that it points into stands still.
            match unsafe { clone(begin::<T>, std::ptr::from_mut(leader).cast()) } {
                0 => {
                    self.0.register_again();
                    Ok(Forked::Child)
                }
                result if result < 0 => Err(Errno::new(-result as i32)),
                leader => Ok(Forked::Parent(leader as Pid)),
            }
        }
    }

    extern "C" fn begin<T: Lead>(leader: *mut c_void) {
        // SAFETY: what `fork` has passed on.
        unsafe { &mut *leader.cast::<T>() }.lead();
    }

    /// clone(2) as vfork(2) calls it. The child goes on below this frame; the stack pointer is the parent's, and what it finds
    /// there when it goes on is as it was.
    #[inline(never)]
    unsafe fn clone(begin: extern "C" fn(*mut c_void), argument: *mut c_void) -> isize {
        let flags = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as usize;
        let result: isize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: for the parent this is a system call that changes no memory but what `begin` writes; for the child it is a call of
        // `begin`; and who comes back from that is a copy of the child, with a stack of its own.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "mov rdi, r12",
                "call r13",
                "xor eax, eax",
                "2:",
                inlateout("rax") libc::SYS_clone as isize => result,
                in("rdi") flags,
                in("rsi") 0,
                in("rdx") 0,
                in("r10") 0,
                in("r8") 0,
                in("r12") argument,
                in("r13") begin,
                clobber_abi("C"),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                "svc 0",
                "cbnz x0, 2f",
                "mov x0, x20",
                "blr x21",
                "mov x0, xzr",
                "2:",
                inlateout("x0") flags as isize => result,
                in("x1") 0,
                in("x2") 0,
                in("x3") 0,
                in("x4") 0,
                in("x8") libc::SYS_clone,
                in("x20") argument,
                in("x21") begin,
                clobber_abi("C"),
            );
        }
        result
    }

    impl Rseq {
        /// For the daemon. Where it does not succeed, the C library is told to ask the kernel each time.
        fn register_again(self) {
            let area = thread_pointer().wrapping_offset(self.offset);
            // SAFETY: the area that the C library had registered for this thread, `size` bytes.
            let result = unsafe { libc::syscall(libc::SYS_rseq, area, self.size, 0, SIGNATURE) };
            if check_size(result as isize).is_err_and(|errno| errno != Errno::EBUSY) {
                // SAFETY: the place of `cpu_id` in the area, which the kernel does not write to now.
                unsafe { area.wrapping_add(CPU_ID_OFFSET).cast::<u32>().write_volatile(CPU_ID_REGISTRATION_FAILED) };
            }
        }
    }

    fn thread_pointer() -> *mut u8 {
        let pointer: *mut u8;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the ABI has the thread pointer point to itself.
        unsafe {
            std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a register that may be read.
        unsafe {
            std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, preserves_flags, nomem));
        }
        pointer
    }

    /// A data object of the C library's, where it has one of that name. Takes the dynamic linker's lock.
    fn object<T>(name: &CStr) -> Option<*const T> {
        // SAFETY: the name is NUL-terminated and RTLD_DEFAULT a valid handle.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast::<T>().cast_const())
    }
}

/// Elsewhere nobody has shown that it is right.
#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod other {
    use super::super::Sys;
    use super::super::process::Forked;
    use super::Lead;

    /// There is none.
    #[derive(Clone, Copy)]
    pub(crate) enum Borrowing {}

    impl Borrowing {
        pub(crate) fn find() -> Option<Self> {
            None
        }

        pub(crate) unsafe fn fork<T: Lead>(self, _leader: &mut T) -> Sys<Forked> {
            match self {}
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use gnu::Borrowing;
#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) use other::Borrowing;
