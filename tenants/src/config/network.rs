//! Where a tenant's sockets are made: `network`.

use std::fmt;
use std::str::FromStr;

use super::field::Field;
use super::section::Section;
use crate::network::{DeviceName, NetworkStack};

/// What `network` says; absent where it has errors, the host's where it is left out.
pub(super) fn read(root: &mut Section<'_>) -> Option<NetworkStack> {
    let Some(field) = root.take("network") else { return Some(NetworkStack::HOST) };
    let mut section = field.section()?;
    let keys = [section.take("namespace"), section.take("vrf"), section.take("interface")];
    let strange = keys.iter().all(Option::is_none) && !section.all().is_empty();
    section.finish();
    match keys {
        [Some(namespace), None, None] => stack(&namespace, "the name of a network namespace", NetworkStack::Namespace),
        [None, Some(device), None] => stack(&device, "the name of a VRF device", NetworkStack::Vrf),
        [None, None, Some(device)] => {
            let host = |interface| NetworkStack::Host { interface: Some(interface) };
            stack(&device, "the name of a network device", host)
        }
        // It is said of each unknown key.
        _ if strange => None,
        _ => {
            field.refuse("expected exactly one of `namespace`, `vrf` and `interface`");
            None
        }
    }
}

fn stack<N>(field: &Field<'_>, expected: &str, of: impl FnOnce(N) -> NetworkStack) -> Option<NetworkStack>
where
    N: FromStr,
    N::Err: fmt::Display,
{
    let stack = of(field.explained(expected)?);
    // It may come later, so this refuses nothing.
    let doubts = doubts(&stack);
    for doubt in &doubts {
        field.warn(doubt);
    }
    field.said_of(stack.clone(), doubts);
    Some(stack)
}

/// What the operator should know of the network as it is now.
pub(super) fn doubts(stack: &NetworkStack) -> Vec<String> {
    let absent =
        stack.identity().err().map(|error| format!("{error}: the listeners of the tenant wait until it is there"));
    let strange = match stack {
        NetworkStack::Vrf(device) => of_another_kind(device),
        NetworkStack::Host { .. } | NetworkStack::Namespace(_) => None,
    };
    absent.into_iter().chain(strange).collect()
}

/// `IFF_MASTER` and `IFF_NOARP` of linux/if.h. The kernel gives a VRF both (`vrf_dev_init`), and neither a `DEVTYPE` nor
/// anything else of its own in sysfs; no other usual device has both.
const VRF: u32 = 0x400 | 0x80;

/// Sockets bound to a device that is no VRF see the packets of that device alone, which is what `interface` means.
fn of_another_kind(device: &DeviceName) -> Option<String> {
    let flags = std::fs::read_to_string(format!("/sys/class/net/{device}/flags")).ok()?;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
    let warning =
        "this device is no VRF: expected one made by `ip link add NAME type vrf table NUMBER`, or `interface`";
    (flags & VRF != VRF).then(|| warning.to_owned())
}
