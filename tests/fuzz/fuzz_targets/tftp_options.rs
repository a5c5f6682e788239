//! Nothing is granted that was not asked for, nor more of it, nor past the limits; and the OACK says what is granted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_core::Operation;
use provost_protocols::tftp::options::{Asked, pairs};
use provost_tenants::Limits;

fuzz_target!(|input: (bool, Option<u64>, u16, u32, u32, &[u8])| {
    let (reads, size, window, block, memory, tail) = input;
    let operation = if reads { Operation::Read } else { Operation::Write };
    let limits = Limits {
        tftp_window: window.max(1),
        tftp_block_bytes: usize::try_from(block % 70_000).unwrap_or_default(),
        tftp_memory_bytes: usize::try_from(memory % 1_000_000).unwrap_or_default(),
        ..Limits::default()
    };
    let asked = Asked::of(pairs(tail));
    let (granted, answer) = asked.grant(operation, size, &limits);
    assert!((8..=65_464).contains(&granted.block) && granted.window >= 1);
    assert!(granted.block <= asked.block.unwrap_or(512) && granted.window <= asked.window.unwrap_or(1));
    assert!(granted.block <= limits.tftp_block_bytes.max(512) && granted.window <= limits.tftp_window);
    let bytes = granted.block * usize::from(granted.window);
    assert!(granted.window == 1 || bytes <= limits.tftp_memory_bytes, "{granted:?} {limits:?}");
    let told = Asked::of(pairs(answer.as_deref().unwrap_or_default()));
    assert_eq!((told.block, told.window), (asked.block.map(|_| granted.block), asked.window.map(|_| granted.window)));
    assert_eq!(told.timeout, asked.timeout);
    assert_eq!(told.size, if reads { asked.size.and(size) } else { asked.size });
    assert_eq!(answer.is_some(), told != Asked::default());
});
