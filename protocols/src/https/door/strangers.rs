//! Records of connections that never had a tenant. Their number is bounded in time, as that of peers that are turned away.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use provost_core::{ClientAddr, Protocol};

use crate::record::{Flood, Outcome, Record, RecordLog, RecordShare, text_of};

/// What is kept of those who came to one door and were nobody's.
pub(super) struct Strangers {
    records: RecordLog,
    share: Arc<RecordShare>,
    flood: Flood,
}

impl Strangers {
    pub(super) fn new(records: RecordLog) -> Self {
        Self { records, share: Arc::default(), flood: Flood::default() }
    }

    /// Records a connection that ends without a tenant: the fields of tenant and listener are empty.
    pub(super) fn note(
        &self,
        method: &'static str,
        client: ClientAddr,
        began: Instant,
        (outcome, reason): (Outcome, &'static str),
        detail: impl Display,
    ) {
        let Some(left_out) = self.flood.take(Instant::now()) else { return };
        let (detail, duration) = (detail.to_string(), began.elapsed());
        let now = jiff::Timestamp::now();
        let record = Record {
            time: now.saturating_sub(duration).unwrap_or(now),
            tenant: String::new(),
            listener: String::new(),
            protocol: Protocol::Https,
            client,
            mac: None,
            proof: None,
            method: method.into(),
            path: String::new(),
            outcome,
            opening: None,
            reason: Some(reason),
            detail: (!detail.is_empty()).then(|| text_of(detail.as_bytes())),
            alarm: None,
            agent: None,
            bytes: 0,
            left_out,
            duration,
        };
        self.records.write(&record, &self.share);
    }
}
