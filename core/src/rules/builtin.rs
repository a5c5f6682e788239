//! The rules that every tenant has for the phone families, tried after the operator's own.
//!
//! They say what phones may write; reading ends with two rules for everything: a name with a device's MAC is read
//! by its own device, any other by every device of the tenant.

use super::{Gap, Kind, Origin, Pattern, Prefer, Readers, Rule, TftpOption, Writers};

/// What phones send: pattern and kind. All of it is read and written by its own device alone.
const UPLOADS: [(&str, Kind); 12] = [
    // Poly UCS: `-app.log` and `-boot.log`; Yealink: `-sys.log`.
    ("*{mac}*.log", Kind::Log),
    // Poly UCS: overrides from the phone's menu and its web page. A phone that cannot store them may lose them.
    ("{mac}-phone.cfg", Kind::Settings),
    ("{mac}-web.cfg", Kind::Settings),
    ("{mac}-user.cfg", Kind::Settings),
    // Poly UCS: directory and call lists.
    ("{mac}-directory.xml", Kind::Settings),
    ("{mac}-calls.xml", Kind::Settings),
    // Yealink: local settings and contacts.
    ("{mac}-local.cfg", Kind::Settings),
    ("{mac}-contact.xml", Kind::Settings),
    ("{mac}-calllog.xml", Kind::Settings),
    ("{mac}-favorite.xml", Kind::Settings),
    // Poly UCS: what a crash leaves.
    ("*{mac}*core*", Kind::File),
    ("corefiles/*{mac}*", Kind::File),
];

pub(super) fn rules() -> impl Iterator<Item = Rule> {
    let uploads = UPLOADS
        .into_iter()
        .filter_map(|(pattern, kind)| Some(rule(pattern.parse().ok()?, Readers::Own, Some(Writers::Own), kind)));
    uploads.chain([
        rule(Pattern::ANY_OF_DEVICE, Readers::Own, None, Kind::File),
        rule(Pattern::ANY, Readers::Device, None, Kind::File),
    ])
}

fn rule(pattern: Pattern, read: Readers, write: Option<Writers>, kind: Kind) -> Rule {
    Rule {
        pattern,
        read: Some(read),
        write,
        kind,
        prefer: Prefer::Uploads,
        gap: Gap::Append,
        max_size: None,
        tftp_options: TftpOption::ALL.to_vec(),
        origin: Origin::BuiltIn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pattern_is_a_pattern() {
        assert_eq!(rules().count(), UPLOADS.len() + 2);
    }
}
