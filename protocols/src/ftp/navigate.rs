//! PWD, CWD, CDUP, MKD.
//!
//! > CHANGE WORKING DIRECTORY (CWD): This command allows the user to work with a different directory or dataset for file
//! > storage or retrieval without altering his login or accounting information. (RFC 959 section 4.1.1)
//!
//! A folder is a text that is put before names. Every folder that can be named counts as existing: whether it does would
//! tell a stranger what the server holds. For the same reason MKD always finds the folder there, and phones that make one
//! before an upload go on.

use provost_core::{PathError, RequestPath};
use provost_tenants::Tenant;

use super::command::Verb;
use super::reply::Reply;
use super::session::Session;

/// The working folder: `/`, or `/` before each segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder(String);

impl Folder {
    pub(super) fn root() -> Self {
        Self("/".into())
    }

    /// The path that an argument means here. The bytes are not looked at beyond the first: the path parser does that.
    pub(super) fn join(&self, argument: &[u8]) -> Vec<u8> {
        if argument.first().is_some_and(|first| is_separator(*first)) {
            return argument.to_vec();
        }
        let mut path = self.0.clone().into_bytes();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(argument);
        path
    }

    /// The folder that an argument means here.
    ///
    /// # Errors
    /// - [`PathError`]: the tenant's path parser refuses it, or it leaves the root
    fn enter(&self, argument: &[u8], tenant: &Tenant) -> Result<Self, PathError> {
        let joined = self.join(argument);
        let text = std::str::from_utf8(&joined).map_err(|_| PathError::NotUtf8)?;
        let mut segments: Vec<&str> = Vec::new();
        // Resolved before prefixes are cut, so that `CWD /tftpboot` and `CWD ..` behind it lead to the root.
        for segment in text.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop().ok_or(PathError::LeavesRoot)?),
                name => segments.push(name),
            }
        }
        let folder = format!("/{}", segments.join("/"));
        let _: RequestPath = tenant.policy.path(folder.as_bytes())?;
        Ok(Self(folder))
    }

    /// The folder's name in a reply: quotation marks are doubled (RFC 959 appendix II).
    fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

impl Session {
    pub(super) fn pwd(&self) -> Reply {
        Reply::with(257, format!("{} is the current folder.", self.folder.quoted()))
    }

    pub(super) fn cwd(&mut self, argument: &[u8]) -> Reply {
        if argument.is_empty() {
            return Reply::BAD_PARAMETER;
        }
        match self.folder.enter(argument, &self.front.tenant()) {
            Ok(folder) => self.folder = folder,
            Err(error) => {
                self.is_no_folder(Verb::Cwd, argument, error);
                return Reply::NO_SUCH_FOLDER;
            }
        }
        Reply::with(250, format!("{} is the current folder.", self.folder.quoted()))
    }

    /// RFC 959 lets CDUP answer 200; clients of RFC 1123 expect what CWD answers. The root is its own parent, as on every
    /// server that clients know: some climb until nothing changes.
    pub(super) fn cdup(&mut self) -> Reply {
        if self.folder == Folder::root() { self.cwd(b"/") } else { self.cwd(b"..") }
    }

    pub(super) fn mkd(&self, argument: &[u8]) -> Reply {
        if argument.is_empty() {
            return Reply::BAD_PARAMETER;
        }
        match self.folder.enter(argument, &self.front.tenant()) {
            Ok(folder) => Reply::with(257, format!("{} exists.", folder.quoted())),
            Err(error) => {
                self.is_no_folder(Verb::Mkd, argument, error);
                Reply::BAD_NAME
            }
        }
    }
}
