//! The process that stays with a launched program; docs/monitor.md describes it.

mod action;
mod descendants;
mod event;
mod fields;
mod files;
mod guard;
mod launch;
mod launcher;
mod machine;
mod outcome;
mod proc;
mod program;
mod run;
mod settings;
mod sign;
mod state;

#[cfg(test)]
mod explored;
#[cfg(test)]
mod tests;

pub(crate) use guard::run;
