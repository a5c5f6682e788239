//! Errors as a record tells them.

use std::error::Error;

/// An error with all its causes, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn each_cause_is_told_once_and_in_order() {
        let full = Layer("the disk is full", None);
        let write = Layer("cannot write the spool", Some(Box::new(full)));
        let upload = Layer("cannot store x.log", Some(Box::new(write)));
        assert_eq!(with_causes(&upload), "cannot store x.log: cannot write the spool: the disk is full");
        assert_eq!(with_causes(&Layer("alone", None)), "alone");
    }
}
