//! Passwords that a tenant's phones share: `[[users]]`.

use jiff::civil::Date;
use provost_core::Mac;
use secrecy::SecretString;

use super::field::Field;
use super::section::Section;
use super::tls::warn_readable;
use crate::users::Credential;

/// The credentials, and the fields that name files with secrets.
pub(super) fn read(sections: Vec<Section<'_>>, today: Date) -> (Vec<Credential>, Vec<Field<'_>>) {
    let mut secrets = Vec::new();
    let credentials = sections.into_iter().filter_map(|section| credential(section, today, &mut secrets)).collect();
    (credentials, secrets)
}

fn credential<'a>(mut section: Section<'a>, today: Date, secrets: &mut Vec<Field<'a>>) -> Option<Credential> {
    let name = section.need("name", "the user's name, such as \"PlcmSpIp\"").and_then(|field| user_name(&field));
    let password = match (section.take("password"), section.take("password_file")) {
        (Some(_), Some(file)) => {
            file.refuse("stands beside `password`: expected one of the two");
            None
        }
        (Some(field), None) => field.text("a password").map(str::to_owned).filter(|text| is_something(text, &field)),
        (None, Some(field)) => {
            secrets.push(field.clone());
            password_in(&field).filter(|text| is_something(text, &field))
        }
        (None, None) => {
            section.missing("password", "is missing: expected `password` or `password_file`");
            None
        }
    };
    let expires = section.take("expires").and_then(|field| {
        let date = field.date()?;
        if date < today {
            field.warn("this password has expired and proves nothing");
        }
        Some(date)
    });
    section.finish();
    Some(Credential { name: name?, password: SecretString::from(password?), expires })
}

fn user_name(field: &Field<'_>) -> Option<String> {
    let name = field.text("a user's name")?;
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
        // RFC 7617 section 2: a colon ends the name.
        field.refuse("expected a name without `:` and control characters");
        return None;
    }
    if name.parse::<Mac>().is_ok() {
        field.refuse("a MAC address as user stands for the password of that device: it belongs into `devices.file`");
        return None;
    }
    Some(name.to_owned())
}

fn password_in(field: &Field<'_>) -> Option<String> {
    let path = field.path()?;
    warn_readable(&path, field);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| field.refuse(format!("cannot read the password: {error}"))).ok()?;
    Some(text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
}

fn is_something(password: &str, field: &Field<'_>) -> bool {
    if password.is_empty() {
        field.refuse("an empty password lets everyone in");
    }
    !password.is_empty()
}
