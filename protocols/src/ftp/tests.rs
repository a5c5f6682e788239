//! Sessions over loopback.
