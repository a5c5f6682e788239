//! Passwords that a tenant's phones share: `[[users]]`.

use jiff::civil::Date;
use provost_core::Mac;

use super::contents;
use super::field::Field;
use super::section::Section;
use super::spot::Named;
use super::tls::warn_readable;
use crate::passwords::{Costs, Form, Stored, raise};
use crate::users::{Credential, Users};

/// Passwords of argon2id that one user may have, and costs (m, t and p) that they may have. Each check pays for all of them,
/// since the work must not tell which user exists.
const MAX_ARGON2: usize = 4;

/// The credentials; the files with secrets come to `secrets`. `realm` is the tenant's name. Of `former` ones, which are of the same text,
/// each stays whose successor has errors.
pub(super) fn read(
    sections: Vec<Section<'_>>,
    realm: &str,
    (today, former): (Date, Option<&Users>),
    secrets: &mut Vec<Named>,
) -> Vec<Credential> {
    let (mut credentials, mut costs) = (Vec::new(), Costs::new());
    for (index, mut section) in sections.into_iter().enumerate() {
        let fields = [section.take("password"), section.take("password_file")];
        let former = former.and_then(|former| former.iter().nth(index)).cloned();
        let read = section.problems().or_former(former, || credential(section, realm, today, secrets));
        let Some(read) = read else { continue };
        credentials.push(read);
        if let Some(field) = fields.into_iter().flatten().next().filter(|_| is_laborious(&mut costs, &credentials)) {
            field.refuse(format!(
                "expected at most {MAX_ARGON2} passwords of argon2id for one user, and {MAX_ARGON2} different costs (m, t and p): each check pays for all"
            ));
            credentials.pop();
        }
    }
    credentials
}

/// Adds the last one's cost, and says whether it is too much.
fn is_laborious(costs: &mut Costs, credentials: &[Credential]) -> bool {
    let Some(last) = credentials.last().filter(|last| last.form == Form::Argon2) else { return false };
    let of_user = credentials.iter().filter(|other| other.shared.user == last.shared.user);
    let stored: Vec<Stored> = of_user.map(|other| other.stored.clone()).collect();
    let before = costs.clone();
    raise(costs, &stored);
    let is_too_much = costs.len() > MAX_ARGON2 || costs.iter().any(|(_, count)| *count > MAX_ARGON2);
    if is_too_much {
        *costs = before;
    }
    is_too_much
}

fn credential(mut section: Section<'_>, realm: &str, today: Date, secrets: &mut Vec<Named>) -> Option<Credential> {
    let name = section.need("name", "the user's name, such as \"PlcmSpIp\"").and_then(|field| user_name(&field));
    let stands = match (section.take("password"), section.take("password_file")) {
        (Some(_), Some(file)) => {
            file.refuse("stands beside `password`: expected one of the two");
            None
        }
        (Some(field), None) => field.text("a password").map(str::to_owned).zip(Some(field)),
        (None, Some(field)) => {
            secrets.extend(field.named());
            password_in(&field).zip(Some(field))
        }
        (None, None) => {
            section.missing("password", "is missing: expected `password` or `password_file`");
            None
        }
    };
    let stands = stands.filter(|(text, field)| is_something(text, field));
    let expires = section.take("expires").and_then(|field| {
        let date = field.date()?;
        if date < today {
            field.warn("this password has expired and proves nothing");
        }
        Some(date)
    });
    section.finish();
    let (text, field) = stands?;
    Credential::read(realm, &name?, &text, expires).map_err(|error| field.refuse(error)).ok()
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
    let text = contents::text(&path);
    let text = text.map_err(|error| field.refuse(format!("cannot read the password: {error}"))).ok()?;
    Some(text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
}

fn is_something(password: &str, field: &Field<'_>) -> bool {
    if password.is_empty() {
        field.refuse("an empty password lets everyone in");
    }
    !password.is_empty()
}
