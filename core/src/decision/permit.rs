//! The permit: what a positive decision makes, and the only key to a file.

use std::fmt;
use std::sync::Arc;

use crate::mac::Mac;
use crate::path::RequestPath;
use crate::policy::Operation;
use crate::rules::Rule;

/// One path, one operation, allowed. It cannot be made or copied outside this crate's decision.
///
/// What a permit is asked for compiles; to name its fields, to call what makes it, or to copy it does not:
///
/// ```
/// fn look(permit: &provost_core::Permit) -> &provost_core::RequestPath { permit.path() }
/// ```
/// ```compile_fail
/// fn take_apart(permit: provost_core::Permit) { let provost_core::Permit { path, .. } = permit; }
/// ```
/// ```compile_fail
/// let make = provost_core::Permit::granted;
/// ```
/// ```compile_fail
/// fn copy(permit: &provost_core::Permit) -> provost_core::Permit { permit.clone() }
/// ```
#[derive(Debug)]
#[must_use = "a permit opens nothing by itself"]
pub struct Permit {
    operation: Operation,
    path: RequestPath,
    rule: Arc<Rule>,
    device: Option<Mac>,
    proven: Option<Mac>,
    opening: Opening,
}

/// What made the decision positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// The rule is for anyone inside the prefixes.
    Anyone,
    /// A device of the tenant asks for a file of all devices.
    Device,
    /// The proven device asks for its own file.
    Own,
    /// Nothing proves the device, and the listener allows that.
    Unbound,
    /// Nothing proves the device, and an exception allows that.
    Exception,
    /// A report-only exception: without it the request would have been refused.
    ReportOnly,
}

impl Permit {
    pub(super) fn granted(
        operation: Operation,
        path: RequestPath,
        rule: Arc<Rule>,
        device: Option<Mac>,
        proven: Option<Mac>,
        opening: Opening,
    ) -> Self {
        Self { operation, path, rule, device, proven, opening }
    }

    /// What may be done.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// With which path.
    pub fn path(&self) -> &RequestPath {
        &self.path
    }

    /// The rule that allows it: kind, preference and sizes stand there.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The device that the path names: whose upload it is.
    pub fn device(&self) -> Option<Mac> {
        self.device
    }

    /// The device that the request proved.
    pub fn proven(&self) -> Option<Mac> {
        self.proven
    }

    /// What made the decision positive.
    pub fn opening(&self) -> Opening {
        self.opening
    }
}

impl Opening {
    /// A short fixed word for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Device => "device",
            Self::Own => "own",
            Self::Unbound => "unbound",
            Self::Exception => "exception",
            Self::ReportOnly => "report_only",
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "anyone may read it",
            Self::Device => "every device of the tenant may read it",
            Self::Own => "it is the proven device's own",
            Self::Unbound => "the listener allows it without a proof of the device",
            Self::Exception => "an exception allows it without a proof of the device",
            Self::ReportOnly => "a report-only exception allows what would be refused",
        })
    }
}
