//! Memory that is asked for politely: an allocation that fails is `ENOMEM` for the caller, never an abort of the program
//! this library is linked into. Nothing here may be called between a fork and the report.

use super::Errno;
use super::Sys;

/// Inserts `value` at `index`, which is taken as the end where it lies beyond it.
pub(crate) fn insert<T>(list: &mut Vec<T>, index: usize, value: T) -> Sys<()> {
    list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let index = index.min(list.len());
    // SAFETY: the reserve above made room for one more element; everything from `index` on is moved up by one, which
    // stays inside that room, and the hole is filled before the length says so.
    unsafe {
        let hole = list.as_mut_ptr().add(index);
        std::ptr::copy(hole, hole.add(1), list.len() - index);
        hole.write(value);
        list.set_len(list.len() + 1);
    }
    Ok(())
}

/// Appends `value`.
pub(crate) fn push<T>(list: &mut Vec<T>, value: T) -> Sys<()> {
    insert(list, usize::MAX, value)
}

/// Appends copies of `values`.
pub(crate) fn extend<T: Copy>(list: &mut Vec<T>, values: &[T]) -> Sys<()> {
    list.try_reserve(values.len()).map_err(|_| Errno::ENOMEM)?;
    // SAFETY: the reserve above made room for `values`, and a `&mut Vec` cannot overlap the shared slice.
    unsafe {
        let end = list.as_mut_ptr().add(list.len());
        std::ptr::copy_nonoverlapping(values.as_ptr(), end, values.len());
        list.set_len(list.len() + values.len());
    }
    Ok(())
}

/// Moves a part of `buffer` to its front, and says how long it is; a part beyond the end is empty.
pub(crate) fn move_to_front(buffer: &mut [u8], part: std::ops::Range<usize>) -> usize {
    let Some(len) = buffer.get(part.clone()).map(<[u8]>::len) else { return 0 };
    let front = buffer.as_mut_ptr();
    // SAFETY: both lie in `buffer`, the front being no longer than the part; they may overlap. One pointer is made of the other:
    // a slice of the part would end where the buffer is borrowed to be written to.
    unsafe { std::ptr::copy(front.add(part.start), front, len) };
    len
}

/// A list of `len` copies of `value`.
pub(crate) fn filled<T: Copy>(value: T, len: usize) -> Sys<Vec<T>> {
    let mut list: Vec<T> = Vec::new();
    list.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    for index in 0..len {
        // SAFETY: `index` lies within the `len` elements reserved above.
        unsafe { list.as_mut_ptr().add(index).write(value) };
    }
    // SAFETY: all `len` elements were written above.
    unsafe { list.set_len(len) };
    Ok(list)
}

/// Puts `value` on the heap.
pub(crate) fn boxed<T>(value: T) -> Sys<Box<T>> {
    const { assert!(size_of::<T>() > 0) };
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: the size is not zero.
    let place = unsafe { std::alloc::alloc(layout) }.cast::<T>();
    if place.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the place is for one `T`, by the layout that a box has, and nobody else's.
    unsafe {
        place.write(value);
        Ok(Box::from_raw(place))
    }
}

/// Puts `value` on the heap for an atomic pointer to own.
pub(crate) fn leak<T>(value: T) -> Sys<*mut T> {
    boxed(value).map(Box::into_raw)
}

/// Takes back and drops what [`leak`] gave out; NULL is nothing.
///
/// Each pointer comes here once at most: callers swap it out of the one place that owns it.
pub(crate) fn reclaim<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: `leak` made it from a box.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

/// Borrows what [`leak`] gave out; NULL is nothing.
///
/// The borrow must end before the pointer is reclaimed: callers hold the owning place, and release it only afterwards.
pub(crate) fn borrow<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: a pointer that is not NULL was given out by `leak` and points to a live value.
    unsafe { pointer.as_ref() }
}

// What Miri looks at (`make miri`): values with a heap of their own show what is lost or freed twice.
#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> String {
        format!("number {number}")
    }

    #[test]
    fn lists_keep_their_order() {
        let mut list = Vec::new();
        for number in 0..40 {
            push(&mut list, text(number)).ok();
            insert(&mut list, number / 2, text(100 + number)).ok();
        }
        insert(&mut list, usize::MAX, text(1000)).ok();
        insert(&mut list, 0, text(2000)).ok();
        let mut expected = Vec::new();
        for number in 0..40 {
            expected.push(text(number));
            expected.insert(number / 2, text(100 + number));
        }
        expected.push(text(1000));
        expected.insert(0, text(2000));
        assert_eq!(list, expected);
    }

    #[test]
    fn parts_and_copies() {
        let mut list = Vec::new();
        extend(&mut list, &[1_u8, 2, 3]).ok();
        extend(&mut list, &[]).ok();
        extend(&mut list, &[4, 5]).ok();
        assert_eq!(list, [1, 2, 3, 4, 5]);
        assert_eq!(move_to_front(&mut list, 1..4), 3);
        assert_eq!(list, [2, 3, 4, 4, 5]);
        assert_eq!(move_to_front(&mut list, 5..5), 0);
        assert_eq!(move_to_front(&mut list, 4..9), 0);
        assert_eq!(filled(7_u64, 3), Ok(vec![7, 7, 7]));
        assert_eq!(filled((), 0), Ok(vec![]));
        assert_eq!(filled(0_u64, usize::MAX), Err(Errno::ENOMEM));
        assert_eq!(extend(&mut Vec::new(), &[0_u16; 2]), Ok(()));
    }

    #[test]
    fn what_is_given_out_comes_back() {
        let owned = boxed(text(1)).map(|text| *text);
        assert_eq!(owned, Ok(text(1)));
        let given = leak(vec![text(2)]).unwrap_or(std::ptr::null_mut());
        assert_eq!(borrow(given), Some(&vec![text(2)]));
        reclaim(given);
        assert_eq!(borrow::<String>(std::ptr::null()), None);
        reclaim::<String>(std::ptr::null_mut());
    }
}
