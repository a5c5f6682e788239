//! Who holds how much: the accounts of a tenant's devices.
//!
//! A ledger is plain memory. It is filled by one walk over the directory and kept by those who change files. Bodies on
//! their way are reserved as they grow, so that a hundred of them at once hold no more than a quota allows.

use std::collections::HashMap;

use provost_core::Mac;

/// The accounts of one tenant.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: HashMap<Mac, Account>,
    /// Files whose names leave their device in doubt, until their device touches them.
    unowned: HashMap<Box<str>, u64>,
    /// Of all devices together.
    files: u64,
    bytes: u64,
    reserved: u64,
    /// Of those what is held by devices that have no share in what all may hold, as was last looked.
    without_share: Held,
}

/// So many files and bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Account {
    files: Vec<Row>,
    bytes: u64,
    reserved: u64,
    spools: u32,
}

#[derive(Debug)]
struct Row {
    path: Box<str>,
    bytes: u64,
}

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) device_bytes: u64,
    pub(super) device_files: u32,
    pub(super) device_spools: u32,
    pub(super) tenant_bytes: u64,
    pub(super) tenant_files: u64,
}

/// What a change does to an account.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    /// Bytes that are added.
    pub(super) adds: u64,
    /// Bytes that are given back.
    pub(super) frees: u64,
    /// Files that are added.
    pub(super) files: u32,
    /// Bytes that are reserved for this very change.
    pub(super) reserved: u64,
}

/// How far a body is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    /// What is reserved for it by now.
    pub(super) reserved: u64,
    /// What comes beside that.
    pub(super) more: u64,
}

/// What would go to make room: the rotated logs of the device.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spare {
    pub(super) bytes: u64,
    pub(super) files: u32,
}

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    DeviceBytes,
    DeviceFiles,
    TenantBytes,
    TenantFiles,
    Spools,
}

impl Shortage {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::DeviceBytes => "the device's quota is used up",
            Self::DeviceFiles => "the device holds as many files as it may",
            Self::TenantBytes => "the tenant's quota is used up",
            Self::TenantFiles => "the tenant holds as many files as it may",
            Self::Spools => "the device sends too many files at once",
        }
    }
}

impl Ledger {
    /// Bodies that were on their way while everything was counted anew are on their way still.
    pub(super) fn take_bodies_of(&mut self, former: &Self) {
        self.reserved = former.reserved;
        for (device, account) in
            former.accounts.iter().filter(|(_, account)| account.spools > 0 || account.reserved > 0)
        {
            let own = self.accounts.entry(*device).or_default();
            (own.reserved, own.spools) = (account.reserved, account.spools);
        }
    }

    /// Opens a body of `device`.
    pub(super) fn open_spool(&mut self, device: Mac, allowance: Allowance) -> Result<(), Shortage> {
        let account = self.accounts.entry(device).or_default();
        if account.spools >= allowance.device_spools {
            return Err(Shortage::Spools);
        }
        account.spools += 1;
        Ok(())
    }

    /// Ends a body of `device` and gives back what it had reserved.
    pub(super) fn close_spool(&mut self, device: Mac, reserved: u64) {
        self.reserved = self.reserved.saturating_sub(reserved);
        let Some(account) = self.accounts.get_mut(&device) else { return };
        account.reserved = account.reserved.saturating_sub(reserved);
        account.spools = account.spools.saturating_sub(1);
        self.drop_if_idle(device);
    }

    /// Whether `change` fits once what is `spare` has gone. One that takes no more than it gives back fits always, unless others are on their way beside it: an
    /// account may hold more than it is allowed, such as logs beside settings that came later, and a phone that sends its log
    /// anew must not be refused for that ever after.
    pub(super) fn check(
        &self,
        device: Mac,
        change: Change,
        spare: Spare,
        allowance: Allowance,
    ) -> Result<(), Shortage> {
        let none = Account::default();
        let account = self.accounts.get(&device).unwrap_or(&none);
        let grows = |reserved: u64| change.adds > change.frees || reserved > change.reserved;
        let after = |bytes: u64, reserved: u64| {
            let reserved = reserved.saturating_sub(change.reserved);
            let kept = bytes.saturating_sub(spare.bytes);
            kept.saturating_add(reserved).saturating_add(change.adds).saturating_sub(change.frees)
        };
        if grows(account.reserved) && after(account.bytes, account.reserved) > allowance.device_bytes {
            return Err(Shortage::DeviceBytes);
        }
        let files = u32::try_from(account.files.len()).unwrap_or(u32::MAX).saturating_sub(spare.files);
        if change.files > 0 && files.saturating_add(change.files) > allowance.device_files {
            return Err(Shortage::DeviceFiles);
        }
        let files = self.files.saturating_sub(spare.files.into()).saturating_sub(self.without_share.files);
        if change.files > 0 && files.saturating_add(change.files.into()) > allowance.tenant_files {
            return Err(Shortage::TenantFiles);
        }
        let bytes = self.bytes.saturating_sub(self.without_share.bytes);
        if grows(self.reserved) && after(bytes, self.reserved) > allowance.tenant_bytes {
            return Err(Shortage::TenantBytes);
        }
        Ok(())
    }

    /// Whether a body may fit once what is `spare` has gone: what it may replace counts as free. The last word is spoken when it is
    /// applied.
    pub(super) fn check_spool(
        &self,
        device: Mac,
        path: &str,
        Coming { reserved, more }: Coming,
        spare: Spare,
        allowance: Allowance,
    ) -> Result<(), Shortage> {
        let frees = self.size(device, path).unwrap_or(0);
        let adds = reserved.saturating_add(more);
        self.check(device, Change { adds, frees, reserved, ..Change::default() }, spare, allowance)
    }

    /// Reserves bytes for a body.
    pub(super) fn reserve(
        &mut self,
        device: Mac,
        path: &str,
        coming: Coming,
        spare: Spare,
        allowance: Allowance,
    ) -> Result<(), Shortage> {
        self.check_spool(device, path, coming, spare, allowance)?;
        let more = coming.more;
        self.accounts.entry(device).or_default().reserved += more;
        self.reserved += more;
        Ok(())
    }

    /// Admits `change`, and enters the file at `path`, so that another one cannot take its place in the count.
    pub(super) fn admit(
        &mut self,
        device: Mac,
        path: &str,
        change: Change,
        allowance: Allowance,
    ) -> Result<(), Shortage> {
        self.check(device, change, Spare::default(), allowance)?;
        if self.size(device, path).is_none() {
            self.put(device, path, Some(0));
        }
        Ok(())
    }

    /// Enters the size of a device's file; `None` where it is gone.
    pub(super) fn put(&mut self, device: Mac, path: &str, size: Option<u64>) {
        self.bytes = self.bytes.saturating_sub(self.unowned.remove(path).unwrap_or(0));
        let account = self.accounts.entry(device).or_default();
        if let Some(at) = account.files.iter().position(|row| &*row.path == path) {
            let former = account.files.swap_remove(at);
            account.bytes = account.bytes.saturating_sub(former.bytes);
            self.bytes = self.bytes.saturating_sub(former.bytes);
            self.files = self.files.saturating_sub(1);
        }
        if let Some(bytes) = size {
            self.files = self.files.saturating_add(1);
            account.files.push(Row { path: path.into(), bytes });
            account.bytes = account.bytes.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.drop_if_idle(device);
    }

    /// Enters a file whose device is in doubt.
    pub(super) fn put_unowned(&mut self, path: &str, bytes: u64) {
        let former = self.unowned.insert(path.into(), bytes).unwrap_or(0);
        self.bytes = self.bytes.saturating_sub(former).saturating_add(bytes);
    }

    /// The files whose device is in doubt.
    pub(super) fn unowned(&self) -> Vec<Box<str>> {
        self.unowned.keys().cloned().collect()
    }

    /// Corrects the size of a file, unless it changed since `believed` was read.
    pub(super) fn correct(&mut self, device: Mac, path: &str, believed: u64, size: Option<u64>) {
        if self.size(device, path) == Some(believed) {
            self.put(device, path, size);
        }
    }

    /// Corrects the size of a file whose device is in doubt; of a device that has touched it since it is none.
    pub(super) fn correct_unowned(&mut self, path: &str, size: Option<u64>) {
        let Some(former) = self.unowned.remove(path) else { return };
        self.bytes = self.bytes.saturating_sub(former);
        if let Some(bytes) = size {
            self.put_unowned(path, bytes);
        }
    }

    /// The files of a device, with their sizes.
    pub(super) fn files(&self, device: Mac) -> Vec<(Box<str>, u64)> {
        let rows = self.accounts.get(&device).map(|account| account.files.as_slice()).unwrap_or_default();
        rows.iter().map(|row| (row.path.clone(), row.bytes)).collect()
    }

    /// Looks whose files and bytes are bounded by what all devices may hold together: what others have left must not be in their way.
    pub(super) fn look_at_shares(&mut self, has_files: impl Fn(Mac) -> bool, has_bytes: impl Fn(Mac) -> bool) {
        let mut left = Held::default();
        for (device, account) in &self.accounts {
            if !has_files(*device) {
                left.files += u64::try_from(account.files.len()).unwrap_or(u64::MAX);
            }
            if !has_bytes(*device) {
                left.bytes += account.bytes;
            }
        }
        self.without_share = left;
    }

    /// The devices that hold something.
    pub(super) fn devices(&self) -> Vec<Mac> {
        self.accounts.keys().copied().collect()
    }

    fn size(&self, device: Mac, path: &str) -> Option<u64> {
        self.accounts.get(&device)?.files.iter().find(|row| &*row.path == path).map(|row| row.bytes)
    }

    fn drop_if_idle(&mut self, device: Mac) {
        let idle = |account: &Account| account.files.is_empty() && account.spools == 0 && account.reserved == 0;
        if self.accounts.get(&device).is_some_and(idle) {
            self.accounts.remove(&device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: Mac = Mac::from_octets([0, 4, 0xf2, 1, 2, 3]);
    const ALLOWANCE: Allowance =
        Allowance { device_bytes: 100, device_files: 3, device_spools: 2, tenant_bytes: 150, tenant_files: 4 };

    fn coming(reserved: u64, more: u64) -> Coming {
        Coming { reserved, more }
    }

    #[test]
    fn bodies_on_their_way_count_together() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.reserve(DEVICE, "a", coming(0, 60), Spare::default(), ALLOWANCE), Ok(()));
        assert_eq!(ledger.reserve(DEVICE, "b", coming(0, 60), Spare::default(), ALLOWANCE), Err(Shortage::DeviceBytes));
        assert_eq!(ledger.reserve(DEVICE, "b", coming(0, 40), Spare::default(), ALLOWANCE), Ok(()));
        ledger.close_spool(DEVICE, 100);
        assert_eq!(ledger.reserve(DEVICE, "b", coming(0, 100), Spare::default(), ALLOWANCE), Ok(()));
    }

    #[test]
    fn a_body_may_be_as_large_as_what_it_replaces_leaves_room_for() {
        let mut ledger = Ledger::default();
        ledger.put(DEVICE, "a", Some(90));
        assert_eq!(ledger.check_spool(DEVICE, "a", coming(0, 95), Spare::default(), ALLOWANCE), Ok(()));
        assert_eq!(
            ledger.check_spool(DEVICE, "b", coming(0, 95), Spare::default(), ALLOWANCE),
            Err(Shortage::DeviceBytes)
        );
        assert_eq!(
            ledger.check_spool(DEVICE, "b", coming(0, 95), Spare { bytes: 85, files: 0 }, ALLOWANCE),
            Ok(()),
            "so many would go first"
        );
    }

    #[test]
    fn who_holds_more_than_it_may_can_still_replace_what_it_holds_and_add_nothing() {
        let mut ledger = Ledger::default();
        ledger.put(DEVICE, "a", Some(90));
        ledger.put(DEVICE, "settings", Some(70));
        assert_eq!(ledger.reserve(DEVICE, "a", coming(0, 50), Spare::default(), ALLOWANCE), Ok(()));
        assert_eq!(
            ledger.reserve(DEVICE, "a", coming(50, 41), Spare::default(), ALLOWANCE),
            Err(Shortage::DeviceBytes)
        );
        assert_eq!(ledger.reserve(DEVICE, "a", coming(50, 40), Spare::default(), ALLOWANCE), Ok(()));
        // A second one beside it would hold as much again.
        assert_eq!(ledger.reserve(DEVICE, "a", coming(0, 1), Spare::default(), ALLOWANCE), Err(Shortage::DeviceBytes));
        let change = Change { adds: 90, frees: 90, files: 0, reserved: 90 };
        assert_eq!(ledger.admit(DEVICE, "a", change, ALLOWANCE), Ok(()));
        let change = Change { adds: 91, ..change };
        assert_eq!(ledger.admit(DEVICE, "a", change, ALLOWANCE), Err(Shortage::DeviceBytes));
    }

    #[test]
    fn a_device_may_not_hold_more_files_or_use_what_the_tenant_has_not() {
        let mut ledger = Ledger::default();
        let change = Change { adds: 1, files: 1, ..Change::default() };
        for path in ["a", "b", "c"] {
            assert_eq!(ledger.admit(DEVICE, path, change, ALLOWANCE), Ok(()));
        }
        assert_eq!(ledger.admit(DEVICE, "d", change, ALLOWANCE), Err(Shortage::DeviceFiles));
        ledger.put_unowned("in doubt", 100);
        assert_eq!(ledger.reserve(DEVICE, "a", coming(0, 60), Spare::default(), ALLOWANCE), Err(Shortage::TenantBytes));
    }

    #[test]
    fn a_tenant_may_not_hold_more_files_however_small() {
        let mut ledger = Ledger::default();
        let change = Change { files: 1, ..Change::default() };
        let mut admit = |number: u8, path| {
            let device = Mac::from_octets([0, 4, 0xf2, 1, 2, number]);
            ledger.admit(device, path, change, ALLOWANCE)
        };
        for number in 0..4 {
            assert_eq!(admit(number, "a"), Ok(()));
        }
        assert_eq!(admit(4, "a"), Err(Shortage::TenantFiles));
        ledger.put(Mac::from_octets([0, 4, 0xf2, 1, 2, 0]), "a", None);
        assert_eq!(ledger.admit(DEVICE, "a", change, ALLOWANCE), Ok(()));
    }

    #[test]
    fn a_file_in_doubt_is_counted_once_when_its_device_touches_it() {
        let mut ledger = Ledger::default();
        ledger.put_unowned("a", 70);
        ledger.put(DEVICE, "a", Some(80));
        assert_eq!((ledger.bytes, ledger.files(DEVICE).len()), (80, 1));
    }

    #[test]
    fn accounts_without_anything_are_dropped() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.open_spool(DEVICE, ALLOWANCE), Ok(()));
        ledger.close_spool(DEVICE, 0);
        ledger.put(DEVICE, "a", Some(1));
        ledger.put(DEVICE, "a", None);
        assert!(ledger.accounts.is_empty());
    }
}
