//! What one request asks of its tenant's guard against enumeration, and tells it.
//!
//! Only devices that a path alone names are the guard's affair: who proves its device by certificate, by the device's own password or by
//! its link cannot try out others.

use std::time::{Duration, Instant};

use provost_core::{ClientAddr, DevicePolicy, Inventory as _, Mac, Opening, Operation, Protocol, Reason, Standing};
use provost_tenants::Tenant;
use provost_tenants::guard::{Alarm, Asker, Reach, Turn};

use crate::record::KnownBy;

/// How long a datagram waits for its source to answer another. Phones expect a first answer within two seconds.
const WAIT: Duration = Duration::from_millis(1500);

/// Whether the address is certain depends on the protocol.
pub(crate) fn asker(protocol: Protocol, client: ClientAddr) -> Asker {
    let reach = match protocol {
        Protocol::Tftp => Reach::Claimed,
        Protocol::Https | Protocol::Http | Protocol::Ftp => Reach::Proven,
    };
    Asker { client, reach }
}

/// One request before the guard.
pub(crate) struct Guarding<'a> {
    tenant: &'a Tenant,
    asker: Asker,
    device: Option<Mac>,
    /// Whether the path alone names it.
    is_named: bool,
}

impl<'a> Guarding<'a> {
    pub(crate) fn new(
        tenant: &'a Tenant,
        protocol: Protocol,
        client: ClientAddr,
        device: Option<Mac>,
        known_by: Option<KnownBy>,
    ) -> Self {
        Self { tenant, asker: asker(protocol, client), device, is_named: known_by == Some(KnownBy::Path) }
    }

    fn named(&self) -> Option<Mac> {
        self.device.filter(|_| self.is_named)
    }

    /// Whether the source may be told of the device. One that claims its address has had its turn: that others of it were sent files
    /// meanwhile takes nothing back.
    pub(crate) fn standing(&self) -> Standing {
        let Some(device) = self.named() else { return Standing::Free };
        let (guard, now) = (&self.tenant.guard, Instant::now());
        let is_withheld = match self.asker.reach {
            Reach::Proven => guard.turn(self.asker, device, now) != Turn::Go,
            Reach::Claimed => guard.is_throttled(self.asker, device, now),
        };
        if is_withheld { Standing::Throttled } else { Standing::Free }
    }

    /// Waits while others of the source have not been answered. Who claims its address is to ask this first.
    pub(crate) async fn turn(&self) -> bool {
        let Some(device) = self.named() else { return true };
        let guard = &self.tenant.guard;
        let turn = async {
            loop {
                // Before it is asked: an answer in between must not be missed.
                let answer = guard.answers().notified();
                match guard.turn(self.asker, device, Instant::now()) {
                    Turn::Go | Turn::Throttled => return,
                    Turn::Wait => answer.await,
                }
            }
        };
        tokio::time::timeout(WAIT, turn).await.is_ok()
    }

    /// The source may do what it wanted.
    pub(crate) fn allowed(&self, operation: Operation, opening: Opening) {
        match (self.asker.reach, operation) {
            (Reach::Proven, Operation::Read | Operation::Write) => self.learn(opening),
            // That it may write tells that the device is listed. That it may read tells nothing where there is no such file.
            (Reach::Claimed, Operation::Write) => self.offered(opening),
            (Reach::Claimed, Operation::Read) => {}
        }
    }

    /// A source that claims its address is going to hear that there is such a file, or that it may write it.
    pub(crate) fn offered(&self, opening: Opening) {
        if let Some(device) = self.told_of(opening) {
            self.tenant.guard.offered(self.asker, device, Instant::now());
        }
    }

    /// A source that claimed its address has answered.
    pub(crate) fn answered(&self, opening: Option<Opening>) {
        self.tenant.guard.answered(self.asker.client.source(), Instant::now());
        if let Some(opening) = opening {
            self.learn(opening);
        }
    }

    fn learn(&self, opening: Opening) {
        if let Some(device) = self.told_of(opening) {
            self.tenant.guard.learned(self.asker.client.source(), device);
        }
    }

    /// The device that an answer tells of. What is for anyone says nothing of it.
    fn told_of(&self, opening: Opening) -> Option<Mac> {
        self.device.filter(|_| opening != Opening::Anyone)
    }

    /// The source was refused.
    pub(crate) fn denied(&self, reason: &Reason) -> Option<Alarm> {
        let device = self.named()?;
        let is_unlisted = match self.tenant.policy.devices {
            DevicePolicy::Listed => self.tenant.devices.find(device).is_none(),
            DevicePolicy::Any => false,
        };
        if !is_unlisted || !matches!(reason, Reason::UnknownDevice { .. } | Reason::Throttled) {
            return None;
        }
        self.tenant.guard.unlisted(self.asker, device, Instant::now())
    }

    /// There was no such file.
    pub(crate) fn missing(&self) -> Option<Alarm> {
        self.tenant.guard.missed(self.asker, Instant::now())
    }
}
