//! What is of tftp listeners alone: the ports of transfers, and how blocks are counted.

use provost_core::Protocol;

use super::field::Field;
use super::section::Section;
use crate::deployment::{Rollover, TftpSettings, TransferPorts};

/// The word for the listening port.
const LISTENING: &str = "listening";
const PORTS: &str = "a range of ports from 1024, such as \"40000-40999\", or \"listening\"";

pub(super) fn read(section: &mut Section<'_>, protocol: Protocol) -> TftpSettings {
    match protocol {
        Protocol::Tftp => {}
        Protocol::Https | Protocol::Http | Protocol::Ftp => {
            for key in ["transfer_ports", "rollover"] {
                section.misplaced(key, "is of tftp listeners only");
            }
            return TftpSettings::default();
        }
    }
    let transfer_ports = section.take("transfer_ports").and_then(|field| transfer_ports(&field)).unwrap_or_default();
    let rollover = section.take("rollover").and_then(|field| rollover(&field)).unwrap_or_default();
    TftpSettings { transfer_ports, rollover }
}

fn transfer_ports(field: &Field<'_>) -> Option<TransferPorts> {
    let text = field.text(PORTS)?;
    if text == LISTENING {
        field.warn("answers can be forged here: whoever can forge a phone's address can have files sent there, and be taken for it");
        return Some(TransferPorts::Listening);
    }
    let range = super::ftp::range(text);
    if range.is_none() {
        field.refuse(format!("expected {PORTS}"));
    }
    range.map(TransferPorts::Among)
}

fn rollover(field: &Field<'_>) -> Option<Rollover> {
    Some(if field.number(0_i64, 1)? == 0 { Rollover::Zero } else { Rollover::One })
}
