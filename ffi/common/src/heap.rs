//! Values on the heap for C to own.

/// Moves a value to the heap; NULL when there is no memory. `Box::new` would end the process instead.
pub fn to_c<T>(value: T) -> *mut T {
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: none of the types that are moved here is of size zero.
    let place = unsafe { std::alloc::alloc(layout) }.cast::<T>();
    if !place.is_null() {
        // SAFETY: `place` was allocated for one `T` just now.
        unsafe { place.write(value) };
    }
    place
}

/// Takes back what [`to_c`] gave out; NULL is nothing.
///
/// # Safety
/// `place` is NULL or came from `to_c`, and is not used again.
pub unsafe fn from_c<T>(place: *mut T) -> Option<T> {
    // SAFETY: `to_c` allocated it by the layout that a box has, and gave ownership away.
    (!place.is_null()).then(|| *unsafe { Box::from_raw(place) })
}
