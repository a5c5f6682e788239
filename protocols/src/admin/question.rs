//! What `provost explain` asks, of the running server or of the configuration on disk.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A request that might come. What is not understood is told when it is explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// The address that the phone asks from.
    pub from: IpAddr,
    /// The phone's certificate chain, leaf first, in PEM or DER.
    #[serde(default, with = "base64")]
    pub certificate: Option<Vec<u8>>,
    /// The device that a certificate is supposed to have proved.
    #[serde(default)]
    pub mac: Option<String>,
    /// The user whose right password is supposed to have been sent.
    #[serde(default)]
    pub user: Option<String>,
    /// GET, RRQ, STOR …
    pub method: String,
    /// The path as the phone asks for it.
    pub path: String,
}

/// Bytes as text: JSON has none.
mod base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands a field as it stands")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| STANDARD.decode(text).map_err(D::Error::custom)).transpose()
    }
}
