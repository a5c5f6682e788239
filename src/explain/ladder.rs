//! The ladder as it is printed: one line a step.

use std::fmt;
use std::io::{self, Write};

use provost_core::{Step, Witness};

use super::verdict::Why;
use crate::terminal::{BAD, FAINT, GOOD, paint};

/// A witness that prints what it sees.
pub(super) struct Ladder<'o, W> {
    output: &'o mut W,
    /// A witness cannot fail; the first error waits here.
    error: Option<io::Error>,
    last: Option<Step>,
}

impl<'o, W: Write> Ladder<'o, W> {
    pub(super) fn new(output: &'o mut W) -> Self {
        Self { output, error: None, last: None }
    }

    /// Prints the step that denied.
    pub(super) fn denied(&mut self, step: Step, why: &Why) -> io::Result<()> {
        let verdict = paint(BAD, format_args!("{:<6}", "DENIED"));
        writeln!(self.output, "  {} {verdict} {}", name(step), why.text)?;
        self.error.take().map_or(Ok(()), Err)
    }

    /// After a permit: says which steps were not needed, and whether all could be printed.
    pub(super) fn permitted(&mut self) -> io::Result<()> {
        if self.last == Some(Step::Rule) {
            let note = paint(FAINT, "the rule is for anyone, so nothing more is asked");
            writeln!(self.output, "  {:<13} {:<6} {note}", "5 to 8", "-")?;
        }
        self.error.take().map_or(Ok(()), Err)
    }
}

impl<W: Write> Witness for Ladder<'_, W> {
    fn passed(&mut self, step: Step, finding: &dyn fmt::Display) {
        self.last = Some(step);
        if self.error.is_none() {
            let verdict = paint(GOOD, format_args!("{:<6}", "ok"));
            self.error = writeln!(self.output, "  {} {verdict} {finding}", name(step)).err();
        }
    }
}

fn name(step: Step) -> String {
    let name = match step {
        Step::Enabled => "1 enabled",
        Step::Source => "2 source",
        Step::Path => "3 path",
        Step::Rule => "4 rule",
        Step::Require => "5 require",
        Step::Throttle => "6 throttle",
        Step::Device => "7 device",
        Step::Binding => "8 binding",
    };
    format!("{name:<13}")
}
