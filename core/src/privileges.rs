//! Privileges: who the daemon is to be, and the proof that it is nobody else.

use crate::error::{Error, Failure, Step, Subject};
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::capability::{self, Capability};
use crate::sys::identity::{self, Gid, Uid, User};
use crate::sys::{Sys, memory};

/// The supplementary groups of a daemon that changes its user. One that does not keeps what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Groups {
    /// The new user's own, as initgroups(3) sets them; none for a user that the user database does not know.
    #[default]
    Own,
    /// None at all.
    None,
    /// For language bindings: what this process has. For one that goes back to its real user, and may not set any.
    #[doc(hidden)]
    Keep,
}

/// A user or group as it was named.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Text(CBuf),
    Number(u32),
}

/// As it was named.
impl std::fmt::Debug for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => text.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

impl Name {
    /// A name, or a number where nobody has that name: the rule of chown(1).
    pub(crate) fn new(bytes: &[u8]) -> Sys<Self> {
        if bytes.is_empty() {
            return Err(Errno::EINVAL);
        }
        CBuf::new(bytes).map(Self::Text)
    }

    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            // The highest number is "no change" to the kernel.
            Self::Text(text) => crate::sys::parse_decimal(text.as_bytes())
                .and_then(|number| u32::try_from(number).ok())
                .filter(|&number| number != u32::MAX),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Number(number) => Subject::Number(i64::from(*number)),
            Self::Text(text) => Subject::Text(text.clone()),
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) user: Option<Name>,
    pub(crate) group: Option<Name>,
    pub(crate) groups: Groups,
    pub(crate) no_new_privileges: bool,
}

/// What the daemon has to set, resolved in the starter; nothing is set where nothing changes.
pub(crate) struct Plan {
    ids: Ids,
    /// Where the daemon reads its groups back into.
    room: Vec<Gid>,
}

/// Resolved ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) user: Option<Uid>,
    pub(crate) group: Option<Gid>,
    /// In ascending order, each once.
    pub(crate) groups: Option<Vec<Gid>>,
    /// The user ids change, to a user who is not root.
    pub(crate) leaves_root_behind: bool,
    pub(crate) no_new_privileges: bool,
}

impl Plan {
    pub(crate) fn new(request: &Request) -> Result<Self, Error> {
        let user = request.user.as_ref().map(|user| find_user(Step::User, user)).transpose()?;
        let changes_user = match &user {
            Some(user) => !now(Step::User, identity::user_ids)?.are_all(user.uid),
            None => false,
        };
        let group = match (&request.group, &user) {
            (Some(group), _) => Some(find_group(Step::Group, group)?),
            (None, Some(user)) if changes_user && user.name.is_empty() => {
                let subject = Subject::Number(i64::from(user.uid));
                return Err(Error::os(Step::Group, subject, Errno::ENOENT)
                    .note("a user without an entry in the user database needs a group"));
            }
            (None, Some(user)) if changes_user => Some(user.gid),
            (None, _) => None,
        };
        let groups = match (&user, request.groups) {
            (Some(user), Groups::Own) if changes_user => Some(own_groups(user, group)?),
            (Some(_), Groups::None) if changes_user => Some(Vec::new()),
            _ => None,
        };
        let ids = Ids {
            user: user.as_ref().map(|user| user.uid),
            group,
            groups,
            leaves_root_behind: changes_user && user.is_some_and(|user| user.uid != 0),
            no_new_privileges: request.no_new_privileges,
        };
        Self::of(ids).map_err(|errno| Error::os(Step::Groups, Subject::Nothing, errno))
    }

    /// Refuses what this process may not set, before anything has happened.
    pub(crate) fn check_permitted(&self) -> Result<(), Error> {
        let refused = |step| Err(Error::os(step, self.subject(step, 0), Errno::EPERM));
        if self.ids.groups.is_some() && !capability::has(Capability::SetGroup) {
            return refused(Step::SetGroups);
        }
        if let Some(group) = self.ids.group.filter(|_| !capability::has(Capability::SetGroup)) {
            if !now(Step::Group, identity::group_ids)?.have(group) {
                return refused(Step::SetGroup);
            }
        }
        if let Some(user) = self.ids.user.filter(|_| !capability::has(Capability::SetUser)) {
            if !now(Step::User, identity::user_ids)?.have(user) {
                return refused(Step::SetUser);
            }
        }
        Ok(())
    }

    /// The plan for ids that were resolved before, by this process or another.
    pub(crate) fn of(ids: Ids) -> Sys<Self> {
        let room = memory::filled(0, ids.groups.as_ref().map_or(0, |groups| groups.len() + 1))?;
        Ok(Self { ids, room })
    }

    /// The user and group that the daemon is going to run as, where they change.
    pub(crate) fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (self.ids.user, self.ids.group)
    }

    /// Whether the daemon runs as another user than its starter.
    pub(crate) fn changes_user(&self) -> bool {
        self.ids.leaves_root_behind
    }

    pub(crate) fn into_ids(self) -> Ids {
        self.ids
    }

    /// The user that the daemon runs as.
    pub(crate) fn user(&self) -> Uid {
        self.ids.user.unwrap_or_else(identity::effective_user)
    }

    /// What `step` sets, for a message.
    pub(crate) fn subject(&self, step: Step, value: i64) -> Subject {
        let number = |id: Option<u32>| id.map_or(Subject::Nothing, |id| Subject::Number(i64::from(id)));
        match step {
            Step::SetUser => number(self.ids.user),
            Step::SetGroup => number(self.ids.group),
            Step::VerifyPrivileges => Subject::Word(check_name(value)),
            _ => Subject::Nothing,
        }
    }

    /// The daemon's step: groups, then gid, then uid, because each needs the privileges that the next one gives up. A process that has
    /// just been forked is `single_threaded`.
    pub(crate) fn apply(&mut self, single_threaded: bool) -> Result<(), Failure> {
        let failed = |step| move |errno| Failure::new(step, errno);
        if let Some(groups) = &self.ids.groups {
            identity::set_groups(groups).map_err(failed(Step::SetGroups))?;
        }
        if let Some(group) = self.ids.group {
            identity::set_group(group).map_err(failed(Step::SetGroup))?;
        }
        if let Some(user) = self.ids.user {
            identity::set_user(user).map_err(failed(Step::SetUser))?;
        }
        if self.ids.leaves_root_behind {
            // Kept capabilities (PR_SET_KEEPCAPS, securebits) survive the change of user; these go by name.
            capability::drop_all().map_err(failed(Step::DropCapabilities))?;
        }
        if self.ids.no_new_privileges {
            capability::forbid_new().map_err(failed(Step::NoNewPrivileges))?;
        }
        self.verify(single_threaded).map_err(|check| Failure {
            step: Step::VerifyPrivileges,
            errno: Errno::EPERM,
            value: check as i64,
        })
    }

    fn verify(&mut self, single_threaded: bool) -> Result<(), Check> {
        let is = |ids: Sys<identity::Ids>, wanted| ids.is_ok_and(|ids| ids.are_all(wanted));
        if self.ids.user.is_some_and(|user| !is(identity::user_ids(), user)) {
            return Err(Check::User);
        }
        if self.ids.group.is_some_and(|group| !is(identity::group_ids(), group)) {
            return Err(Check::Group);
        }
        if let Some(wanted) = &self.ids.groups {
            match identity::groups(&mut self.room) {
                Ok(groups) if groups.len() == wanted.len() && groups.iter().all(|group| wanted.contains(group)) => {}
                _ => return Err(Check::Groups),
            }
        }
        if self.ids.leaves_root_behind && capability::none_left(single_threaded) != Ok(true) {
            return Err(Check::Capabilities);
        }
        if self.ids.leaves_root_behind && identity::regains_root() {
            return Err(Check::Regain);
        }
        Ok(())
    }
}

/// What [`Plan::verify`] looks at.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
enum Check {
    User,
    Group,
    Groups,
    Capabilities,
    Regain,
}

/// The words for a failed check.
fn check_name(value: i64) -> &'static str {
    let checks = [Check::User, Check::Group, Check::Groups, Check::Capabilities, Check::Regain];
    match checks.into_iter().find(|&check| check as i64 == value) {
        Some(Check::User) => "user ids",
        Some(Check::Group) => "group ids",
        Some(Check::Groups) => "supplementary groups",
        Some(Check::Capabilities) => "capabilities left",
        Some(Check::Regain) => "root can be regained",
        None => "",
    }
}

fn now<T>(step: Step, ask: impl FnOnce() -> Sys<T>) -> Result<T, Error> {
    ask().map_err(|errno| Error::os(step, Subject::Nothing, errno))
}

/// By name, else by number. A number need not be in the user database; its name is empty then.
pub(crate) fn find_user(step: Step, name: &Name) -> Result<User, Error> {
    let failed = |errno| Error::os(step, name.subject(), errno);
    if let Name::Text(text) = name {
        if let Some(user) = identity::user_by_name(text.as_c_str()).map_err(failed)? {
            return Ok(user);
        }
    }
    let uid = name.number().ok_or_else(|| failed(Errno::ENOENT).note("no such user"))?;
    let known = identity::user_by_id(uid).map_err(failed)?;
    Ok(known.unwrap_or(User { uid, gid: uid, name: Vec::new() }))
}

pub(crate) fn find_group(step: Step, name: &Name) -> Result<Gid, Error> {
    let failed = |errno| Error::os(step, name.subject(), errno);
    if let Name::Text(text) = name {
        if let Some(gid) = identity::group_by_name(text.as_c_str()).map_err(failed)? {
            return Ok(gid);
        }
    }
    name.number().ok_or_else(|| failed(Errno::ENOENT).note("no such group"))
}

fn own_groups(user: &User, group: Option<Gid>) -> Result<Vec<Gid>, Error> {
    let failed = |errno| Error::os(Step::Groups, Subject::Number(i64::from(user.uid)), errno);
    if user.name.is_empty() {
        return Ok(Vec::new());
    }
    let name = std::ffi::CStr::from_bytes_with_nul(&user.name).unwrap_or(c"");
    let mut groups = Vec::new();
    for gid in identity::groups_of(name, group.unwrap_or(user.gid)).map_err(failed)? {
        if let Err(place) = groups.binary_search(&gid) {
            memory::insert(&mut groups, place, gid).map_err(failed)?;
        }
    }
    Ok(groups)
}
