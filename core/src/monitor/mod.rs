//! The process that stays with a launched program; docs/monitor.md describes it.

mod action;
mod event;
mod machine;
mod settings;
mod state;

#[cfg(test)]
mod explored;
