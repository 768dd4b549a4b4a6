//! What the two C libraries share: the calling thread's `errno`, and values on the heap for C to own.

pub mod errno;
pub mod heap;
