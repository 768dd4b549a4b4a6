//! Errors of options with an invalid value: a setter keeps them, the call that applies the options reports the first.

use crate::error::{Error, Step, Subject};
use crate::sys::{Errno, memory};

/// The errors that setters have kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionErrors {
    errors: Vec<Error>,
    /// The step of an error that there was no memory for.
    lost: Option<Step>,
}

impl OptionErrors {
    /// The value of an option that has one value: what it was set to before does not count any more, valid or not.
    pub(crate) fn replace<T>(&mut self, step: Step, value: Result<T, Error>) -> Option<T> {
        self.errors.retain(|error| error.step() != step);
        self.add(value)
    }

    /// An entry of an option that is a list.
    pub(crate) fn add<T>(&mut self, value: Result<T, Error>) -> Option<T> {
        let error = match value {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let step = error.step();
        if memory::push(&mut self.errors, error).is_err() {
            self.lost = self.lost.or(Some(step));
        }
        None
    }

    /// # Errors
    /// A setter has kept one.
    pub(crate) fn first(&self) -> Result<(), Error> {
        match (self.errors.first(), self.lost) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(step)) => Err(Error::os(step, Subject::Nothing, Errno::ENOMEM)),
            (None, None) => Ok(()),
        }
    }

    /// The same, and forgets all of them.
    pub(crate) fn take(&mut self) -> Result<(), Error> {
        let first = self.first();
        if first.is_err() {
            *self = Self::default();
        }
        first
    }
}
