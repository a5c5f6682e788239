//! What a check says of the files in the tenants' folders.

use std::path::{Path, PathBuf};

use super::node::Place;
use super::{Loaded, Origin, Problem, Severity, assemble};
use crate::deployment::Tenant;
use crate::files::FileError;

impl Loaded {
    /// Adds a warning for each link in the tenants' folders that leads out of them, and so is not followed, and for each
    /// file that looks like a device's and is none, or may be that of several. It walks them all, which takes its time: it is for a
    /// check, not for a server that starts.
    pub fn look_at_folders(&mut self) {
        let found = self.deployment.tenants.iter().flat_map(|tenant| doubtful(tenant));
        self.problems = self.problems.iter().cloned().chain(found).collect();
    }
}

fn doubtful(tenant: &Tenant) -> Vec<Problem> {
    let warning = |path: &Path, message: &str| {
        let place = Place::whole(&Origin::file(path));
        Problem { severity: Severity::Warning, ..place.error("", message.to_owned()) }
    };
    let all = |found: Result<Vec<PathBuf>, FileError>, message: &str| match found {
        Ok(paths) => paths.iter().map(|path| warning(path, message)).collect(),
        Err(error) => {
            let message = format!("cannot look at this tenant's folders: {}", assemble::with_source(&error));
            vec![warning(Path::new(&tenant.policy.name), &message)]
        }
    };
    let mut found: Vec<Problem> = all(
        tenant.files.links_that_lead_out(),
        "this link leads out of the folder that phones read, and is not followed",
    );
    found.extend(all(
        tenant.files.names_that_look_like_a_device(),
        "this looks like a device's file and is nobody's: written so, the name is no MAC, and the rules for files of all devices \
         decide; write the 12 digits together",
    ));
    found.extend(all(
        tenant.files.names_that_nobody_gets(&tenant.policy.rules),
        "nobody gets this: it is in doubt which device the path names (two of them, or more hex digits in a row than a MAC has); a \
         rule that says where `{mac}` stands, or spells the path out, settles it",
    ));
    found
}
