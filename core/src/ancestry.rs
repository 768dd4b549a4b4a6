//! Whether a process descends from another, as `/proc` has it (proc(5)). Nothing here allocates: a helper may ask.

use crate::sys::process::Pid;

#[cfg(target_os = "linux")]
pub(crate) use linux::descends_from;

#[cfg(target_os = "linux")]
mod linux {
    use super::Pid;
    use crate::line::Line;
    use crate::sys::{Errno, Sys, file, process};
    use std::ffi::CStr;

    /// How many parents are looked at: a sender cannot keep its reader busy with a long line of ancestors.
    const MOST: usize = 256;

    /// Whether `process` is a descendant of `ancestor`, a child of this process. An orphan is one as well when this process adopts
    /// orphans, and has no children but those.
    pub(crate) fn descends_from(process: Pid, ancestor: Pid) -> bool {
        let this = process::id();
        let mut looked_at = process;
        for _ in 0..MOST {
            match parent_of(looked_at) {
                Ok(parent) if parent == ancestor || parent == this => return true,
                Ok(parent) if parent > 1 => looked_at = parent,
                // A parent that has ended meanwhile has left its child to another: from the beginning.
                Err(_) if looked_at != process => looked_at = process,
                _ => return false,
            }
        }
        false
    }

    fn parent_of(pid: Pid) -> Sys<Pid> {
        let mut path = Line::new();
        path.push(b"/proc/").push_number(i64::from(pid)).push(b"/stat\0");
        let path = CStr::from_bytes_until_nul(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
        let mut room = [0; 1024];
        let stat = file::read_small(path, &mut room)?;
        Ok(parent_in(stat).unwrap_or(0))
    }

    /// Field 4. The command in field 2 may hold anything, so fields are counted behind its last parenthesis.
    fn parent_in(stat: &[u8]) -> Option<Pid> {
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let mut words = stat.get(end + 1..)?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        crate::pidfile::number(words.nth(1)?).and_then(|number| Pid::try_from(number).ok())
    }

    #[cfg(test)]
    mod tests {
        use super::parent_in;

        #[test]
        fn a_command_cannot_forge_the_parent() {
            assert_eq!(parent_in(b"7 (a) S 1 1) R 42 7 7 0 -1\n"), Some(42));
            assert_eq!(parent_in(b"7 (a"), None);
        }
    }
}

/// Other systems have no such `/proc`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn descends_from(_process: Pid, _ancestor: Pid) -> bool {
    false
}
