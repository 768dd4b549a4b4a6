//! An allocator that ends the process when it is called between a fork and the report.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, Ordering};

/// The process that may allocate; 0 while all may.
static ONLY: AtomicI32 = AtomicI32::new(0);

struct Guard;

#[global_allocator]
static GUARD: Guard = Guard;

/// From now on children of this process must not allocate, until they say [`allow`].
pub fn forbid_children() {
    // SAFETY: getpid takes nothing and cannot fail.
    ONLY.store(unsafe { libc::getpid() }, Ordering::Relaxed);
}

pub fn allow() {
    ONLY.store(0, Ordering::Relaxed);
}

fn check() {
    let only = ONLY.load(Ordering::Relaxed);
    // SAFETY: getpid takes nothing and cannot fail.
    if only != 0 && only != unsafe { libc::getpid() } {
        // SAFETY: abort does not return; the signal's name reaches the test through the starter.
        unsafe { libc::abort() };
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
