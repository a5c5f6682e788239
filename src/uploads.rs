//! `provost uploads`: what phones have sent, listed, shown and discarded. The server may run meanwhile.

use std::io::{self, Write};

use anyhow::{Context as _, bail};
use provost_core::Mac;
use provost_core::text::escaped;
use provost_tenants::uploads::{Selection, UploadEntry};

use crate::cli::{UploadsCommand, UploadsSelection};
use crate::configuration;
use crate::terminal::table;

/// Runs the subcommand.
pub(crate) fn run(command: &UploadsCommand, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        UploadsCommand::List(args) => list(args, output),
        UploadsCommand::Show(args) => show(args),
        UploadsCommand::Discard(args) => discard(args, output),
    }
}

fn list(args: &UploadsSelection, output: &mut impl Write) -> anyhow::Result<()> {
    let loaded = configuration::load(&args.config.config)?;
    let tenant = configuration::tenant(&loaded, &args.tenant)?;
    let entries = tenant.uploads.list().with_context(|| format!("cannot list the uploads of {}", args.tenant))?;
    let rows = entries.iter().filter(|entry| is_chosen(entry, args.mac, args.path.as_deref())).map(|entry| {
        let label = entry.device.and_then(|mac| tenant.devices.label(mac)).unwrap_or_default();
        [escaped(&entry.path), entry.size.to_string(), time(entry), label]
    });
    writeln!(output, "{}", table(["path", "bytes", "changed", "device"], rows))?;
    Ok(())
}

fn is_chosen(entry: &UploadEntry, mac: Option<Mac>, path: Option<&str>) -> bool {
    mac.is_none_or(|mac| entry.device == Some(mac))
        && path.is_none_or(|path| entry.path == path.trim_start_matches('/'))
}

fn time(entry: &UploadEntry) -> String {
    jiff::Timestamp::try_from(entry.modified).map_or_else(|_| "-".to_owned(), |time| format!("{time:.0}"))
}

fn show(args: &UploadsSelection) -> anyhow::Result<()> {
    if args.mac.is_none() && args.path.is_none() {
        bail!("say which upload: a path, or --mac");
    }
    let loaded = configuration::load(&args.config.config)?;
    let tenant = configuration::tenant(&loaded, &args.tenant)?;
    let mut entries = tenant.uploads.list().with_context(|| format!("cannot list the uploads of {}", args.tenant))?;
    entries.retain(|entry| is_chosen(entry, args.mac, args.path.as_deref()));
    let path = match entries.as_slice() {
        [] => bail!("there is no such upload; `provost uploads list` shows them"),
        [one] => &one.path,
        [..] => {
            let paths: Vec<String> = entries.iter().map(|entry| escaped(&entry.path)).collect();
            bail!("there are several, name one: {}", paths.join(", "))
        }
    };
    let mut file = tenant.uploads.show(path).with_context(|| format!("cannot show {path}"))?;
    // The bytes as they are, past the stream that takes colours out.
    io::copy(&mut file, &mut io::stdout().lock()).with_context(|| format!("cannot show {path}"))?;
    Ok(())
}

fn discard(args: &UploadsSelection, output: &mut impl Write) -> anyhow::Result<()> {
    let selection = match (args.mac, &args.path) {
        (None, None) => bail!("say which upload: a path, or --mac for all of one phone"),
        (Some(_), Some(_)) => bail!("give a path or --mac, not both: a path names one upload already"),
        (Some(mac), None) => Selection::Device(mac),
        (None, Some(path)) => Selection::Path(path.trim_start_matches('/').to_owned()),
    };
    let loaded = configuration::load(&args.config.config)?;
    let tenant = configuration::tenant(&loaded, &args.tenant)?;
    let discarded = tenant.uploads.discard(&selection).context("cannot discard")?;
    if discarded.is_empty() {
        bail!("there is no such upload; `provost uploads list` shows them");
    }
    discarded.iter().try_for_each(|entry| writeln!(output, "discarded {}", escaped(&entry.path)))?;
    Ok(())
}
