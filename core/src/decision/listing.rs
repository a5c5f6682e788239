//! Listings: a folder is listed name by name, and each name passes the ladder.

use super::{
    AccessRequest, Admission, Audience, Denial, Opening, Reason, Step, decide, device, pinned, require, throttle,
};
use crate::mac::Mac;
use crate::path::{NamedDevice, RequestPath};
use crate::policy::Operation;
use crate::rules::{Kind, Prefer};

/// A folder may be listed, as far as [`ListPermit::shows_file`] and [`ListPermit::shows_folder`] say.
#[derive(Debug)]
pub struct ListPermit<'a> {
    request: AccessRequest<'a>,
    folder: &'a RequestPath,
    proven: Option<Mac>,
    opening: Opening,
}

/// Decides whether a folder may be listed. The rules are asked for each name, not for the folder.
///
/// # Errors
/// - [`Denial`]: as [`decide`], without the steps that are about one file
pub fn decide_listing<'a>(request: &AccessRequest<'a>) -> Result<ListPermit<'a>, Denial> {
    let request = AccessRequest { operation: Operation::Read, ..*request };
    let denied = |step| move |reason: Reason| Denial::of(step, reason, &request);
    super::admit(request.tenant, request.listener, request.client)?;
    let folder = request.path.map_err(Reason::Path).map_err(denied(Step::Path))?;
    let admission: Admission = require(&request, Audience::Device, None).map_err(denied(Step::Require))?;
    throttle(&request).map_err(denied(Step::Throttle))?;
    let subject = device(&request, admission, None).map_err(denied(Step::Device))?;
    pinned(&request, &subject).map_err(denied(Step::Binding))?;
    let opening = match (admission, subject.proven) {
        (Admission::ReportOnly, _) => Opening::ReportOnly,
        (Admission::Listener | Admission::Exception, Some(_)) => Opening::Device,
        (Admission::Listener, None) => Opening::Unbound,
        (Admission::Exception, None) => Opening::Exception,
    };
    Ok(ListPermit { request, folder, proven: subject.proven, opening })
}

impl ListPermit<'_> {
    /// The folder.
    pub fn folder(&self) -> &RequestPath {
        self.folder
    }

    /// The device that asks, where it is proven.
    pub fn proven(&self) -> Option<Mac> {
        self.proven
    }

    /// What made the decision positive: as for a file that every device may read.
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether the folder may show anything. One that names another device shows nothing, and is not to be looked at: else the time
    /// tells whether it is there, and so which devices there are.
    pub fn shows_anything(&self) -> bool {
        match self.folder.named() {
            NamedDevice::None => true,
            NamedDevice::One(mac) => self.proven == Some(*mac),
            // An operator's rule may settle whose its files are.
            NamedDevice::Ambiguous => self.proven.is_some(),
        }
    }

    /// Whether the file may be named: it may be read, and where its path names a device that one has proven itself.
    pub fn shows_file(&self, file: &RequestPath) -> bool {
        self.shown(file).is_some()
    }

    /// The kind of a file that may be named, and where it is looked for first.
    pub fn shown(&self, file: &RequestPath) -> Option<(Kind, Prefer)> {
        let permit = decide(&AccessRequest { path: Ok(file), ..self.request }).ok()?;
        let is_shown = match permit.opening() {
            Opening::Own => true,
            Opening::Anyone | Opening::Device | Opening::Unbound | Opening::Exception | Opening::ReportOnly => {
                permit.device().is_none() && *file.named() == NamedDevice::None
            }
        };
        is_shown.then_some((permit.rule().kind, permit.rule().prefer))
    }

    /// Whether the folder may be named: a folder that names a device is shown to that device alone.
    pub fn shows_folder(&self, folder: &RequestPath) -> bool {
        match folder.named() {
            NamedDevice::None => true,
            NamedDevice::One(mac) => self.proven == Some(*mac),
            NamedDevice::Ambiguous => false,
        }
    }
}
