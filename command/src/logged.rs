//! A stub, to be replaced.
