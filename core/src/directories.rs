//! Root directory, working directory, umask.

use crate::error::{Error, Failure, Step, Subject};
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::capability::{self, Capability};
use crate::sys::{Sys, file, memory};

/// Where the daemon lives.
pub(crate) struct Plan {
    umask: libc::mode_t,
    root: Option<CBuf>,
    /// As seen from inside the root.
    working: CBuf,
}

impl Plan {
    /// Checks that both directories can be entered. `working` is inside `root` where there is one.
    pub(crate) fn new(umask: libc::mode_t, root: Option<&CBuf>, working: &CBuf) -> Result<Self, Error> {
        let failed = |step, path: &CBuf, errno| Error::about(step, path.as_bytes(), errno);
        let copy = |step, path: &CBuf| file::absolute_path(path.as_bytes()).map_err(|errno| failed(step, path, errno));
        let root = root.map(|root| copy(Step::Chroot, root)).transpose()?;
        if let Some(root) = &root {
            file::check_directory(root.as_c_str()).map_err(|errno| failed(Step::Chroot, root, errno))?;
        }
        let working = match &root {
            Some(_) if working.as_bytes().first() != Some(&b'/') => {
                return Err(failed(Step::WorkingDirectory, working, Errno::EINVAL).note("relative below a chroot"));
            }
            _ => copy(Step::WorkingDirectory, working)?,
        };
        check_working(root.as_ref(), &working).map_err(|errno| failed(Step::WorkingDirectory, &working, errno))?;
        Ok(Self { umask, root, working })
    }

    /// Refuses a root that this process may not change to, before anything has happened.
    pub(crate) fn check_permitted(&self) -> Result<(), Error> {
        match &self.root {
            Some(root) if !capability::has(Capability::ChangeRoot) => {
                Err(Error::about(Step::ChangeRoot, root.as_bytes(), Errno::EPERM))
            }
            _ => Ok(()),
        }
    }

    /// The daemon's first step.
    pub(crate) fn change_root(&self) -> Result<(), Failure> {
        file::set_umask(self.umask);
        if let Some(root) = &self.root {
            file::change_root(root.as_c_str()).map_err(|errno| Failure::new(Step::ChangeRoot, errno))?;
            crate::registry::root_has_changed();
        }
        Ok(())
    }

    /// The daemon's second step, as its own user: root would follow a symbolic link that the owner of a directory above has made.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        let changed = file::change_directory(self.working.as_c_str());
        changed.map_err(|errno| Failure::new(Step::ChangeDirectory, errno))
    }

    pub(crate) fn working(&self) -> &CBuf {
        &self.working
    }

    pub(crate) fn root(&self) -> Option<&CBuf> {
        self.root.as_ref()
    }

    /// What `step` goes to, for a message.
    pub(crate) fn subject(&self, step: Step) -> Subject {
        match (step, &self.root) {
            (Step::ChangeRoot, Some(root)) => Subject::Text(root.clone()),
            (Step::ChangeDirectory, _) => Subject::Text(self.working.clone()),
            _ => Subject::Nothing,
        }
    }
}

/// A symbolic link below the root may lead elsewhere once inside; the daemon's own chdir finds that.
fn check_working(root: Option<&CBuf>, working: &CBuf) -> Sys<()> {
    let Some(root) = root else { return file::check_directory(working.as_c_str()) };
    let mut whole = Vec::new();
    memory::extend(&mut whole, root.as_bytes())?;
    memory::extend(&mut whole, working.as_bytes())?;
    file::check_directory(CBuf::path(&whole)?.as_c_str())
}
