//! Strings for the kernel: NUL-terminated, allocated politely.

use crate::sys::Errno;
use crate::sys::{Sys, memory};
use std::ffi::CStr;
use std::path::{Path, PathBuf};

/// The longest path the kernel takes, its NUL included.
pub(crate) const PATH_MAX: usize = 4096;

/// An owned string that ends in NUL and has none inside.
#[derive(Default, PartialEq, Eq, Hash)]
pub(crate) struct CBuf(Vec<u8>);

impl std::fmt::Debug for CBuf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_path().fmt(formatter)
    }
}

/// Without memory the copy is empty: a message loses its subject, a path names nothing.
impl Clone for CBuf {
    fn clone(&self) -> Self {
        Self::new(self.as_bytes()).unwrap_or_default()
    }
}

impl CBuf {
    /// Copies `bytes`; EINVAL when there is a NUL among them.
    pub(crate) fn new(bytes: &[u8]) -> Sys<Self> {
        if bytes.contains(&0) {
            return Err(Errno::EINVAL);
        }
        let mut text = Vec::new();
        memory::extend(&mut text, bytes)?;
        memory::push(&mut text, 0)?;
        Ok(Self(text))
    }

    /// As much as is before the first NUL, for a message; nothing without memory.
    pub(crate) fn up_to_nul(bytes: &[u8]) -> Self {
        Self::new(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).unwrap_or_default()
    }

    /// A path as the kernel may be given one: not empty, not too long, no NUL.
    pub(crate) fn path(bytes: &[u8]) -> Sys<Self> {
        match bytes.len() {
            0 => Err(Errno::ENOENT),
            PATH_MAX.. => Err(Errno::ENAMETOOLONG),
            _ => Self::new(bytes),
        }
    }

    /// The directory that the last name of this path is in.
    pub(crate) fn parent(&self) -> Sys<Self> {
        let bytes = self.as_bytes();
        let name = bytes.iter().rev().take_while(|byte| **byte != b'/').count();
        match bytes.get(..bytes.len() - name).unwrap_or_default() {
            [] => Self::path(b"."),
            directory => Self::path(directory),
        }
    }

    /// What this path is called inside `root`, if it lies there by its name.
    pub(crate) fn inside(&self, root: &Self) -> Sys<Option<Self>> {
        let root = root.as_bytes();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        let inside = self.as_bytes().strip_prefix(root).filter(|rest| rest.first() == Some(&b'/'));
        inside.map(Self::path).transpose()
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0).unwrap_or(c"")
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.as_c_str().to_bytes()
    }

    pub(crate) fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(self.as_bytes()))
    }
}

impl From<&CBuf> for PathBuf {
    fn from(text: &CBuf) -> Self {
        text.as_path().to_path_buf()
    }
}
