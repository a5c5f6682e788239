//! From the subject of a verified certificate to the device that it names.

use regex::Regex;

use crate::mac::{Mac, Oui};
use crate::proof::{Attribute, NoIdentity};

/// How a trust set's certificates name their device: one subject attribute and one pattern, or several.
#[derive(Debug, Clone)]
pub struct MacRule {
    places: Vec<MacPlace>,
    ouis: Option<Vec<Oui>>,
}

/// One place where the MAC may stand.
#[derive(Debug, Clone)]
pub struct MacPlace {
    attribute: Attribute,
    pattern: Regex,
}

/// Why a pattern does not say where the MAC stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacPatternError {
    /// Not a regular expression.
    #[error("not a regular expression: {0}")]
    NotRegex(String),
    /// Without `^` and `$` a longer text would match.
    #[error("expected a pattern from `^` to `$`")]
    NotAnchored,
    /// Exactly one capture says which part is the MAC.
    #[error("expected exactly one capture, the MAC's 12 hex digits")]
    NotOneCapture,
}

/// The values of one attribute in a subject, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    Text(String),
    /// Bytes that are not text in their encoding.
    NotText,
}

impl MacPlace {
    /// The MAC is what `pattern` captures of `attribute`.
    ///
    /// # Errors
    /// - [`MacPatternError`]: the pattern is not a regular expression from `^` to `$` with exactly one capture
    pub fn new(attribute: Attribute, pattern: &str) -> Result<Self, MacPatternError> {
        let inner =
            pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).ok_or(MacPatternError::NotAnchored)?;
        let written = Regex::new(pattern).map_err(|error| MacPatternError::NotRegex(error.to_string()))?;
        if written.captures_len() != 2 {
            return Err(MacPatternError::NotOneCapture);
        }
        // `^a$|^b$` begins and ends right and still matches inside a longer text: the group keeps the anchors outside.
        let pattern =
            Regex::new(&format!(r"\A(?:{inner})\z")).map_err(|error| MacPatternError::NotRegex(error.to_string()))?;
        Ok(Self { attribute, pattern })
    }
}

impl MacRule {
    /// Where the MAC may stand, and the vendors that the trust set may speak for (all where `ouis` is absent).
    pub fn new(places: Vec<MacPlace>, ouis: Option<Vec<Oui>>) -> Self {
        Self { places, ouis }
    }

    /// The attributes that are looked at.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.places.iter().map(|place| place.attribute)
    }

    /// The device that a subject names. `subject` holds its attributes in order, each with its value.
    ///
    /// # Errors
    /// - [`NoIdentity::Repeated`], [`NoIdentity::Nul`], [`NoIdentity::NotText`]: an attribute that is looked at has
    ///   a bad form, whatever the others say
    /// - [`NoIdentity::Missing`], [`NoIdentity::NoMatch`]: no place names a device
    /// - [`NoIdentity::Disagree`]: two places name different ones
    /// - [`NoIdentity::ForeignOui`], [`NoIdentity::NoDevice`]: the trust set may not speak for this address
    pub fn device(&self, subject: &[(Attribute, AttributeValue)]) -> Result<Mac, NoIdentity> {
        let mut device = None;
        let mut absence = None;
        for place in &self.places {
            match (place.device(subject), device) {
                (Ok(mac), Some(other)) if mac != other => return Err(NoIdentity::Disagree),
                (Ok(mac), _) => device = Some(mac),
                (Err(why @ (NoIdentity::Missing(_) | NoIdentity::NoMatch(_))), _) => absence = absence.or(Some(why)),
                (Err(why), _) => return Err(why),
            }
        }
        let mac = device.ok_or(absence.unwrap_or(NoIdentity::Missing(Attribute::CommonName)))?;
        match &self.ouis {
            _ if mac.oui() == Oui::NONE => Err(NoIdentity::NoDevice),
            Some(ouis) if !ouis.contains(&mac.oui()) => Err(NoIdentity::ForeignOui(mac.oui())),
            Some(_) | None => Ok(mac),
        }
    }
}

impl MacPlace {
    fn device(&self, subject: &[(Attribute, AttributeValue)]) -> Result<Mac, NoIdentity> {
        let mut values = subject.iter().filter(|(attribute, _)| *attribute == self.attribute).map(|(_, value)| value);
        let value = values.next().ok_or(NoIdentity::Missing(self.attribute))?;
        if values.next().is_some() {
            return Err(NoIdentity::Repeated(self.attribute));
        }
        let AttributeValue::Text(text) = value else { return Err(NoIdentity::NotText(self.attribute)) };
        if text.contains('\0') {
            return Err(NoIdentity::Nul(self.attribute));
        }
        let capture = self.pattern.captures(text).and_then(|captures| captures.get(1));
        capture
            .and_then(|capture| Mac::from_hex_digits(capture.as_str().as_bytes()))
            .ok_or(NoIdentity::NoMatch(self.attribute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(places: &[(Attribute, &str)], ouis: Option<&[&str]>) -> MacRule {
        let place = |&(attribute, pattern): &(Attribute, &str)| {
            MacPlace::new(attribute, pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
        };
        let ouis = ouis.map(|ouis| ouis.iter().filter_map(|oui| oui.parse().ok()).collect());
        MacRule::new(places.iter().map(place).collect(), ouis)
    }

    fn device(rule: &MacRule, subject: &[(Attribute, &str)]) -> Result<String, NoIdentity> {
        let subject: Vec<_> =
            subject.iter().map(|(attribute, text)| (*attribute, AttributeValue::Text((*text).to_owned()))).collect();
        rule.device(&subject).map(|mac| mac.to_string())
    }

    const CN: Attribute = Attribute::CommonName;
    const ST: Attribute = Attribute::StateOrProvince;
    const MAC: &str = "^([0-9A-Fa-f]{12})$";

    #[test]
    fn each_vendors_subject_names_its_device() {
        let poly = rule(&[(CN, MAC)], None);
        assert_eq!(
            device(&poly, &[(Attribute::Organization, "Polycom Inc."), (CN, "0004F2AABBCC")]),
            Ok("0004f2aabbcc".into())
        );
        let cisco = rule(&[(ST, MAC)], None);
        let subject =
            [(ST, "708105B37234"), (Attribute::Locality, "CBT1"), (CN, "SPA-525G2, MAC: 708105B37234, Serial: CBT1")];
        assert_eq!(device(&cisco, &subject), Ok("708105b37234".into()));
        let mic = rule(&[(CN, "^CP-[0-9A-Z]+-SEP([0-9A-F]{12})$")], None);
        assert_eq!(device(&mic, &[(CN, "CP-8841-SEP001122AABBCC")]), Ok("001122aabbcc".into()));
    }

    #[test]
    fn a_subject_that_does_not_name_one_device_for_certain_is_no_identity() {
        let poly = rule(&[(CN, MAC)], None);
        for (subject, why) in [
            (&[][..], NoIdentity::Missing(CN)),
            (&[(CN, "")], NoIdentity::NoMatch(CN)),
            (&[(CN, "0004f2")], NoIdentity::NoMatch(CN)),
            (&[(CN, "0004f2aabbccdd")], NoIdentity::NoMatch(CN)),
            (&[(CN, "0004f2aabbcc\n")], NoIdentity::NoMatch(CN)),
            (&[(CN, " 0004f2aabbcc")], NoIdentity::NoMatch(CN)),
            (&[(CN, "0004f2aabbcc\0")], NoIdentity::Nul(CN)),
            (&[(CN, "0004f2aabbcc"), (CN, "0004f2aabbcc")], NoIdentity::Repeated(CN)),
            (&[(CN, "0004f2aabbcc"), (CN, "0004f2ddeeff")], NoIdentity::Repeated(CN)),
            (&[(CN, "000000000028")], NoIdentity::NoDevice),
        ] {
            assert_eq!(device(&poly, subject), Err(why), "{subject:?}");
        }
    }

    #[test]
    fn several_places_must_agree() {
        let both = rule(&[(CN, MAC), (ST, MAC)], None);
        assert_eq!(device(&both, &[(CN, "SPA-525G2"), (ST, "708105B37234")]), Ok("708105b37234".into()));
        assert_eq!(device(&both, &[(CN, "708105b37234"), (ST, "708105B37234")]), Ok("708105b37234".into()));
        assert_eq!(device(&both, &[(CN, "708105b37235"), (ST, "708105B37234")]), Err(NoIdentity::Disagree));
        assert_eq!(device(&both, &[(CN, "x"), (ST, "y")]), Err(NoIdentity::NoMatch(CN)));
        assert_eq!(device(&both, &[(CN, "708105b37234"), (ST, "a"), (ST, "b")]), Err(NoIdentity::Repeated(ST)));
    }

    #[test]
    fn a_trust_set_speaks_for_its_vendors_only() {
        let poly = rule(&[(CN, MAC)], Some(&["00:04:f2"]));
        assert_eq!(device(&poly, &[(CN, "0004f2aabbcc")]), Ok("0004f2aabbcc".into()));
        let foreign = Mac::from_octets([0x70, 0x81, 0x05, 0, 0, 1]).oui();
        assert_eq!(device(&poly, &[(CN, "708105000001")]), Err(NoIdentity::ForeignOui(foreign)));
    }

    #[test]
    fn alternatives_in_a_pattern_stay_anchored() {
        let rule = rule(&[(CN, "^x$|^([0-9A-F]{12})$")], None);
        assert_eq!(device(&rule, &[(CN, "x\n0004F2AABBCC")]), Err(NoIdentity::NoMatch(CN)));
        assert_eq!(device(&rule, &[(CN, "0004F2AABBCC")]), Ok("0004f2aabbcc".into()));
    }

    #[test]
    fn patterns_that_are_loose_are_refused() {
        let error = |pattern| MacPlace::new(CN, pattern).err();
        assert_eq!(error("([0-9A-F]{12})"), Some(MacPatternError::NotAnchored));
        assert_eq!(error("^[0-9A-F]{12}$"), Some(MacPatternError::NotOneCapture));
        assert_eq!(error("^([0-9A-F]{6})([0-9A-F]{6})$"), Some(MacPatternError::NotOneCapture));
        assert!(matches!(error("^([0-9$"), Some(MacPatternError::NotRegex(_))));
    }
}
