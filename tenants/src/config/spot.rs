//! What is left of a [`Field`](super::field::Field) once its document is gone: where it stands and what it says, so that something
//! can be said of it still.

use std::fmt;
use std::path::PathBuf;

use super::node::Place;
use super::problem::{Collector, Origin, Problem, Severity};

/// A value that was read, by its place.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) key: String,
    pub(super) place: Place,
    /// As TOML spells it, secrets redacted.
    pub(super) shown: Option<String>,
}

/// A path that the configuration names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) spot: Spot,
}

impl Spot {
    /// Notes that the value is wrong.
    pub(super) fn refuse(&self, problems: &Collector, message: impl fmt::Display) {
        problems.push(self.problem(Severity::Error, message.to_string()));
    }

    /// Notes what the operator should know of the value.
    pub(super) fn warn(&self, problems: &Collector, message: impl fmt::Display) {
        problems.push(self.problem(Severity::Warning, message.to_string()));
    }

    /// The key, with all that it stands in.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Where it stands.
    pub(super) fn origin(&self) -> &Origin {
        &self.place.origin
    }

    fn problem(&self, severity: Severity, message: String) -> Problem {
        Problem { severity, value: self.shown.clone(), ..self.place.error(&self.key, message) }
    }
}
