//! The ladder as it is printed: one line a step.

use std::fmt;
use std::io::{self, Write};

use provost_core::{Step, Witness};

use super::verdict::Why;
use crate::terminal::{BAD, FAINT, GOOD, paint};

/// Whether what the guard knows of the source went into the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedGuard {
    /// The running server's was asked.
    Yes,
    /// Nobody knows anything of a source but a server that runs.
    No,
}

/// A witness that prints what it sees.
pub(super) struct Ladder<'o, W> {
    output: &'o mut W,
    guard: AskedGuard,
    /// A witness cannot fail; the first error waits here.
    error: Option<io::Error>,
    last: Option<Step>,
}

impl<'o, W: Write> Ladder<'o, W> {
    pub(super) fn new(output: &'o mut W, guard: AskedGuard) -> Self {
        Self { output, guard, error: None, last: None }
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
        if self.error.is_some() {
            return;
        }
        let name = name(step);
        let written = if step == Step::Throttle && self.guard == AskedGuard::No {
            let note = paint(FAINT, "not asked: --live tells whether the source is throttled");
            writeln!(self.output, "  {name} {:<6} {note}", "-")
        } else {
            writeln!(self.output, "  {name} {} {finding}", paint(GOOD, format_args!("{:<6}", "ok")))
        };
        self.error = written.err();
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
