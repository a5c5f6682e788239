//! Settings of the kernel that open VRFs to sockets of the host's own network.

use std::fs;

use provost_core::Protocol;

use super::newcomer::Newcomer;
use super::tenant::Claim;
use crate::network::NetworkStack;

/// Where the kernel says whether a socket that is bound to no device answers in VRFs, too. Both count for IPv6 as well.
const SETTINGS: &str = "/proc/sys/net/ipv4";

/// Warns of listeners that would answer in a tenant's VRF and are another tenant's.
pub(super) fn check(tenants: &[&Newcomer]) {
    if !tenants.iter().any(|tenant| matches!(tenant.claims().network, Some(NetworkStack::Vrf(_)))) {
        return;
    }
    let open = ["tcp_l3mdev_accept", "udp_l3mdev_accept"].map(|name| (name, is_on(name)));
    for tenant in tenants.iter().filter(|tenant| tenant.claims().network == Some(NetworkStack::HOST)) {
        for Claim { protocol, spot, .. } in &tenant.claims().addresses {
            let [tcp, udp] = open;
            let (setting, is_open) = match protocol {
                Protocol::Https | Protocol::Http | Protocol::Ftp => tcp,
                Protocol::Tftp => udp,
            };
            if is_open {
                spot.warn(&tenant.problems, format!(
                    "net.ipv4.{setting} is 1, so this listener answers in every VRF: expected 0, or `network.interface` for this tenant"
                ));
            }
        }
    }
}

/// A kernel without VRFs has no such setting.
fn is_on(setting: &str) -> bool {
    fs::read_to_string(format!("{SETTINGS}/{setting}")).is_ok_and(|value| value.trim() != "0")
}
