//! A stub, to be replaced.
pub(crate) fn completions(_: &crate::arguments::Arguments) -> Result<crate::answer::Answer, crate::answer::Failure> {
    Ok(crate::answer::Answer::text(""))
}
