//! What is wrong, or worth knowing, in a configuration: where it stands, what stands there, and what was expected.

use std::cell::{RefCell, RefMut};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::sight::Sights;

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The tenant is not served; in provost.toml, nothing is.
    Error,
    /// It is served as configured, and the operator should know what that means.
    Warning,
}

/// One thing that is wrong, or worth knowing. It prints as one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Whether the configuration is refused for it.
    pub severity: Severity,
    /// The file, or the environment variable, in which it stands.
    pub origin: Arc<Origin>,
    /// Where in the file; absent where it concerns the file as a whole.
    pub position: Option<Position>,
    /// The key with all that it stands in, such as `listener[1].allow[0]`; empty for the file as a whole.
    pub key: String,
    /// What stands there, as TOML spells it, secrets redacted; absent for tables and lists.
    pub value: Option<String>,
    /// What was expected, or what the warning is about.
    pub message: String,
}

/// Where values come from.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file.
    File {
        /// Its path as the operator would name it.
        path: PathBuf,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
        /// The folder from which relative paths in it count: that of provost.toml.
        folder: PathBuf,
    },
}

/// A line and a column of a file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Every problem of a configuration: errors and warnings in the order of their files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// Collects problems while a document is read, and what they depend on beside it.
#[derive(Debug, Default)]
pub(super) struct Collector {
    problems: RefCell<Vec<Problem>>,
    /// Errors of pieces of which the former ones stay.
    borne: RefCell<Vec<Problem>>,
    /// The tenant's own file. What comes from elsewhere came through `[defaults]`, and its key says so.
    tenant: Option<Arc<Origin>>,
    /// What was looked at meanwhile.
    sights: RefCell<Sights>,
    /// The names of the trust sets that it depended on.
    sets: RefCell<BTreeSet<String>>,
}

impl Problems {
    /// The problems in the order of their files and lines.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Those that refuse something.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// Those that refuse nothing.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    /// Whether something is refused.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        let mut problems: Vec<Problem> = problems.into_iter().collect();
        // Thousands of tenants bring theirs in order, so that few origins are compared.
        problems.sort_by(|a, b| a.origin.order(&b.origin).then_with(|| a.position.cmp(&b.position)));
        // A mistake in `[defaults]` is found again under every tenant.
        let mut is_first = Vec::with_capacity(problems.len());
        for of_one_place in problems.chunk_by(|a, b| a.position == b.position && a.origin == b.origin) {
            let mut seen = HashSet::new();
            is_first.extend(of_one_place.iter().map(|problem| of_one_place.len() == 1 || seen.insert(problem)));
        }
        let mut is_first = is_first.into_iter();
        problems.retain(|_| is_first.next().unwrap_or(true));
        Self(problems)
    }
}

impl Collector {
    pub(super) fn for_tenant(tenant: Arc<Origin>) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }

    pub(super) fn push(&self, mut problem: Problem) {
        if self.tenant.as_ref().is_some_and(|tenant| *tenant != problem.origin) && !problem.key.is_empty() {
            problem.key.insert_str(0, "defaults.");
        }
        self.push_as_is(problem);
    }

    /// For problems of other files, such as an inventory.
    pub(super) fn push_as_is(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Reads a piece that files hold. Where that has errors the former one stays, if there is one, and they are told but refuse nothing:
    /// what other files hold has to count all the same.
    pub(super) fn or_former<T>(&self, former: Option<T>, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let before = self.problems.borrow().len();
        let read = read();
        let mut problems = self.problems.borrow_mut();
        let Some(former) = former.filter(|_| problems.iter().skip(before).any(Problem::is_error)) else { return read };
        let (errors, warnings): (Vec<_>, Vec<_>) = problems.drain(before..).partition(Problem::is_error);
        problems.extend(warnings);
        self.borne.borrow_mut().extend(errors);
        Some(former)
    }

    /// How many errors there are up to here.
    pub(super) fn errors(&self) -> usize {
        self.problems.borrow().iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// The errors up to here, one line each.
    pub(super) fn error_texts(&self) -> Vec<String> {
        let problems = self.problems.borrow();
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(ToString::to_string).collect()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// What was looked at up to here. It is held for one look only.
    pub(super) fn sights(&self) -> RefMut<'_, Sights> {
        self.sights.borrow_mut()
    }

    pub(super) fn depend_on_set(&self, name: &str) {
        self.sets.borrow_mut().insert(name.to_owned());
    }

    /// The problems, what was looked at, and the trust sets that it depended on.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Sights, BTreeSet<String>) {
        let problems = [self.problems.into_inner(), self.borne.into_inner()].concat();
        (problems, self.sights.into_inner(), self.sets.into_inner())
    }
}

impl Problem {
    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { "\n" };
            write!(f, "{before}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if let Some(position) = self.position {
            write!(f, ":{}", position.line)?;
        }
        f.write_str(": ")?;
        match self.severity {
            Severity::Error => {}
            Severity::Warning => f.write_str("warning: ")?,
        }
        match &self.value {
            Some(value) => write!(f, "{} = {value}: ", self.key)?,
            None if self.key.is_empty() => {}
            None => write!(f, "{}: ", self.key)?,
        }
        f.write_str(&self.message)
    }
}

impl Origin {
    /// The order of what they are called; one and the same is soon found to be.
    fn order(self: &Arc<Self>, other: &Arc<Self>) -> Ordering {
        if Arc::ptr_eq(self, other) { Ordering::Equal } else { self.to_string().cmp(&other.to_string()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Variable { name, .. } => write!(f, "environment variable {name}"),
        }
    }
}
