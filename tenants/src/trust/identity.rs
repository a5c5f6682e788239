//! The device that a leaf certificate names.

use provost_core::identity::MacRule;
use provost_core::{Mac, NoIdentity};

/// Reads the device from a leaf, in DER, whose chain has been verified.
///
/// # Errors
/// - [`NoIdentity::Malformed`]: not a certificate, or bytes behind its end
/// - what [`MacRule::device`] says of its subject
pub fn device_of(leaf: &[u8], rule: &MacRule) -> Result<Mac, NoIdentity> {
    todo!()
}
