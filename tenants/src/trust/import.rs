//! `provost trust import`: sorts a vendor's pack of CA files.
//!
//! It writes what can be an anchor or an intermediate, one PEM file each, and reports the rest. It never writes over
//! a file that holds something else, never follows a link, and decides about trust for nobody: the operator still
//! names the folder in a trust set.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use super::anchor::{AnchorError, check_anchor};
use super::describe::{Description, describe};
use super::facts::Fingerprint;
use super::legacy::Legacy;
use super::read::{ReadError, certificates_in};

/// Files larger than this, in bytes, are no CA files.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Folders deeper than this below the pack are not looked into.
const MAX_DEPTH: usize = 8;

/// What became of a pack.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// What was written, or stood there already.
    pub imported: Vec<Imported>,
    /// Certificates of devices, or self-signed ones that are no CA. They are not written.
    pub leaves: Vec<(PathBuf, Description)>,
    /// CA certificates that no trust set can use. They are not written.
    pub refused: Vec<Refused>,
    /// A certificate that had been seen before: this file holds the one that stands in that file.
    pub duplicates: Vec<(PathBuf, PathBuf)>,
    /// Files that hold no certificate, and why not.
    pub unreadable: Vec<(PathBuf, Unreadable)>,
}

/// A certificate that was sorted.
#[derive(Debug)]
pub struct Imported {
    /// The file that it came from.
    pub source: PathBuf,
    /// The file that it stands in now.
    pub target: PathBuf,
    /// What it is.
    pub sort: Sort,
    /// Whether the file is new.
    pub written: Written,
    /// The certificate.
    pub description: Description,
}

/// A CA certificate that cannot be used.
#[derive(Debug)]
pub struct Refused {
    /// The file that it came from.
    pub source: PathBuf,
    /// Why.
    pub why: AnchorError,
    /// The certificate.
    pub description: Description,
}

/// What a CA certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A self-signed CA.
    Anchor,
    /// A CA that another one signed. It may be an anchor too, where the phones' chains end there.
    Intermediate,
}

/// What was done with a target file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    New,
    /// The same certificate stood there.
    Unchanged,
    /// Another thing stands there, and was left as it is.
    Conflict,
}

/// Why a file holds no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system's error.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// It is too large, with so many bytes, and was not read.
    #[error("{0} bytes are more than a CA file has")]
    TooLarge(u64),
    /// What it holds is no certificate, or a damaged one.
    #[error(transparent)]
    Form(#[from] ReadError),
    /// What looks like a certificate cannot be described.
    #[error("holds no certificate")]
    NoCertificate,
}

/// Why a pack cannot be sorted at all.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub struct ImportError {
    /// What was tried.
    operation: &'static str,
    /// On which file or folder.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

impl ImportReport {
    /// What a trust set has to tolerate to use all of its CAs as anchors, and to believe its leaves.
    pub fn legacy(&self) -> Vec<Legacy> {
        let anchors = self.imported.iter().flat_map(|file| &file.description.legacy_as_anchor);
        let leaves = self.leaves.iter().flat_map(|(_, leaf)| &leaf.legacy);
        let all: BTreeSet<Legacy> = anchors.chain(leaves).copied().collect();
        all.into_iter().collect()
    }
}

/// Sorts the files below `pack` into `into/anchors` and `into/intermediates`. It blocks.
///
/// # Errors
/// - [`ImportError`]: the pack cannot be listed, or a target cannot be made. A file that cannot be read is reported.
pub fn import(pack: &Path, into: &Path) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    let mut seen: HashMap<Fingerprint, PathBuf> = HashMap::new();
    for file in files(pack)? {
        match read(&file) {
            Ok(certificates) => {
                for certificate in certificates {
                    sort(&certificate, &file, into, &mut seen, &mut report)?;
                }
            }
            Err(why) => report.unreadable.push((file, why)),
        }
    }
    Ok(report)
}

fn sort(
    certificate: &CertificateDer<'_>,
    file: &Path,
    into: &Path,
    seen: &mut HashMap<Fingerprint, PathBuf>,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let source = file.to_owned();
    let Some(description) = describe(certificate, SystemTime::now()) else {
        report.unreadable.push((source, Unreadable::NoCertificate));
        return Ok(());
    };
    if let Some(first) = seen.get(&description.fingerprint) {
        report.duplicates.push((source, first.clone()));
        return Ok(());
    }
    seen.insert(description.fingerprint, source.clone());
    // Version 1 cannot say whether it is a CA; what issued itself is one that needs `legacy`.
    let may_be_ca = description.is_ca || (description.is_self_signed && description.version < 3);
    if !may_be_ca {
        report.leaves.push((source, description));
        return Ok(());
    }
    if let Err(why) = check_anchor(certificate, &Legacy::ALL) {
        report.refused.push(Refused { source, why, description });
        return Ok(());
    }
    let (sort, folder) = if description.is_self_signed {
        (Sort::Anchor, into.join("anchors"))
    } else {
        (Sort::Intermediate, into.join("intermediates"))
    };
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    let target = folder.join(file_name(&description));
    let written = write(&target, &pem(certificate)).map_err(failed("write", &target))?;
    report.imported.push(Imported { source, target, sort, written, description });
    Ok(())
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    move |source| ImportError { operation, path, source }
}

/// The regular files below `folder`, sorted, so that a second run reports the same.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let entry = entry.map_err(failed("list", &folder))?;
            let kind = entry.file_type().map_err(failed("look at", &entry.path()))?;
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let size = fs::metadata(file).map_err(Unreadable::Io)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Unreadable::TooLarge(size));
    }
    let bytes = fs::read(file).map_err(Unreadable::Io)?;
    Ok(certificates_in(&bytes)?)
}

/// The subject's CN, as far as it is plain, and the beginning of the fingerprint.
fn file_name(description: &Description) -> String {
    let name = description.subject.rsplit_once("CN=").map_or(description.subject.as_str(), |(_, name)| name);
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let stem = if words.is_empty() { "ca".to_owned() } else { words.join("-") };
    format!("{stem}-{}.pem", description.fingerprint.prefix())
}

/// RFC 7468: lines of 64 characters.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let body = STANDARD.encode(certificate);
    let lines = body.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn write(target: &Path, pem: &str) -> io::Result<Written> {
    match OpenOptions::new().write(true).create_new(true).open(target) {
        Ok(mut file) => file.write_all(pem.as_bytes()).map(|()| Written::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let same = fs::read(target).is_ok_and(|present| present == pem.as_bytes());
            Ok(if same { Written::Unchanged } else { Written::Conflict })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::trust::testing::{Ca, V1_CA, V1_LEAF};

    fn sorted(report: &ImportReport) -> Vec<(Sort, Written, String)> {
        let row = |item: &Imported| (item.sort, item.written, item.description.subject.clone());
        report.imported.iter().map(row).collect()
    }

    #[test]
    fn a_pack_is_sorted_and_a_second_run_changes_nothing() {
        let (pack, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = Ca::new("Root CA");
        let issuing = root.intermediate("Issuing CA");
        fs::create_dir(pack.path().join("sub")).unwrap();
        fs::write(pack.path().join("a.pem"), format!("{}{}", root.pem(), issuing.pem())).unwrap();
        fs::write(pack.path().join("b.crt"), root.der()).unwrap();
        fs::write(pack.path().join("c.cer"), &issuing.leaf("0004f2aabbcc").der).unwrap();
        fs::write(pack.path().join("sub/old.pem"), V1_CA).unwrap();
        fs::write(pack.path().join("sub/old-phone.pem"), V1_LEAF).unwrap();
        fs::write(pack.path().join("readme.txt"), "hello").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", pack.path().join("link.pem")).unwrap();

        let report = import(pack.path(), into.path()).unwrap();
        let expected = |written| {
            vec![
                (Sort::Anchor, written, "CN=Root CA".to_owned()),
                (Sort::Intermediate, written, "CN=Issuing CA".to_owned()),
                (Sort::Anchor, written, "CN=VPN".to_owned()),
            ]
        };
        assert_eq!(sorted(&report), expected(Written::New));
        let name = report.imported[0].target.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("Root-CA-") && name.len() == "Root-CA-01234567.pem".len(), "{name}");
        assert_eq!(certificates_in(&fs::read(&report.imported[0].target).unwrap()).unwrap(), [root.der()]);
        assert_eq!(report.duplicates, [(pack.path().join("b.crt"), pack.path().join("a.pem"))]);
        let leaves: Vec<PathBuf> = report.leaves.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(leaves, [pack.path().join("c.cer"), pack.path().join("sub/old-phone.pem")]);
        assert_eq!(
            report.unreadable.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(),
            [pack.path().join("readme.txt")]
        );
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        assert_eq!(report.legacy(), [Legacy::X509v1]);
        assert_eq!(sorted(&import(pack.path(), into.path()).unwrap()), expected(Written::Unchanged));
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_alone() {
        let (pack, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(pack.path().join("a.pem"), Ca::new("Root").pem()).unwrap();
        let first = import(pack.path(), into.path()).unwrap();
        fs::write(&first.imported[0].target, "mine").unwrap();
        assert_eq!(import(pack.path(), into.path()).unwrap().imported[0].written, Written::Conflict);
        assert_eq!(fs::read(&first.imported[0].target).unwrap(), b"mine");
    }
}
