//! Names of devices and namespaces, in the forms that Linux takes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `IFNAMSIZ` without the zero at its end.
const LONGEST_DEVICE: usize = 15;
/// `NAME_MAX`: the name is that of a file.
const LONGEST_NAMESPACE: usize = 255;
/// Where `ip netns add NAME` puts namespaces.
const NAMESPACES: &str = "/run/netns";

/// The name of a network device, such as `eth1.101`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceName(String);

/// A network namespace: the name that `ip netns` knows, or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceName(PathBuf);

/// Why a text names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a network device: 1 to 15 bytes without blanks, `/` and `:`, such as \"eth1.101\"")]
pub struct NotADevice;

/// Why a text names no namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a network namespace, as `ip netns list` shows it, or an absolute path")]
pub struct NotANamespaceName;

impl DeviceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = NotADevice;

    /// The rule of Linux (`dev_valid_name`), and no control characters.
    fn from_str(text: &str) -> Result<Self, NotADevice> {
        let strange = |c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control();
        let valid =
            (1..=LONGEST_DEVICE).contains(&text.len()) && !matches!(text, "." | "..") && !text.contains(strange);
        if valid { Ok(Self(text.to_owned())) } else { Err(NotADevice) }
    }
}

impl NamespaceName {
    /// The file that stands for the namespace.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for NamespaceName {
    type Err = NotANamespaceName;

    fn from_str(text: &str) -> Result<Self, NotANamespaceName> {
        if text.contains(char::is_control) {
            return Err(NotANamespaceName);
        }
        if text.starts_with('/') {
            let path = PathBuf::from(text);
            // /var/run is a link to /run, so that one namespace would have two names.
            let path = path.strip_prefix("/var/run").map(|rest| Path::new("/run").join(rest)).unwrap_or(path);
            return Ok(Self(path));
        }
        let name = (1..=LONGEST_NAMESPACE).contains(&text.len()) && !matches!(text, "." | "..") && !text.contains('/');
        if name { Ok(Self(Path::new(NAMESPACES).join(text))) } else { Err(NotANamespaceName) }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceName {
    /// The name, where it is one of `ip netns`; the path otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.strip_prefix(NAMESPACES).unwrap_or(&self.0);
        write!(f, "{}", name.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_name_that_linux_allows() {
        for name in ["eth1.101", "vrf-acme", "a", "123456789012345", "eth0@x"] {
            assert_eq!(name.parse::<DeviceName>().map(|device| device.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "1234567890123456", "eth0:1", "eth/0", "eth 0", ".", "..", "eth\t0", "eth\0"] {
            assert_eq!(name.parse::<DeviceName>(), Err(NotADevice), "{name:?}");
        }
    }

    #[test]
    fn a_namespace_is_a_name_or_an_absolute_path() {
        for (text, path, shown) in [
            ("acme", "/run/netns/acme", "acme"),
            ("/run/netns/acme", "/run/netns/acme", "acme"),
            ("/var/run/netns/acme", "/run/netns/acme", "acme"),
            ("/proc/7/ns/net", "/proc/7/ns/net", "/proc/7/ns/net"),
        ] {
            let name: NamespaceName = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((name.path(), name.to_string().as_str()), (Path::new(path), shown));
        }
        for text in ["", ".", "..", "a/b", "../acme", "a\nb", &"a".repeat(256)] {
            assert_eq!(text.parse::<NamespaceName>(), Err(NotANamespaceName), "{text:?}");
        }
    }
}
