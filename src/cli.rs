//! The command line as clap reads it: names, options, and help from which a person can learn the product.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use provost_core::{Mac, Operation, Protocol};

/// Where the configuration is looked for.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/provost/provost.toml";

/// A provisioning server for IP phones that many enterprises share and none can see across.
///
/// Each enterprise is a tenant with its own listeners for HTTPS with client certificates, HTTP, TFTP and FTP. A phone gets
/// what is its own, proves who it is where its listener requires that, and may send back its logs and settings. What it
/// may have is decided in one place for all protocols, and `provost explain` shows that decision step by step.
///
/// To see it work, without root and without a configuration:  provost demo
#[derive(Debug, Parser)]
#[command(name = "provost", version, max_term_width = 100, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a complete two-tenant deployment, serve it on loopback, and print commands to try
    ///
    /// Makes a certificate authority, certificates of a few phones, two tenants that answer differently for the same path, and
    /// sample files for Poly, Yealink and Cisco phones; writes a configuration that `provost check` accepts and `provost serve`
    /// serves; then prints curl, tftp and ftp commands, right and wrong ones, each with what it will answer. It serves
    /// until it is interrupted, without root. A folder that holds a demo already is served again as it stands.
    Demo(DemoArgs),

    /// Serve every tenant of the configuration until SIGINT or SIGTERM
    ///
    /// One record per request goes to standard output, events to standard error; `[log] format` chooses text or JSON for both,
    /// `RUST_LOG` the level of events. A tenant whose file has errors is left out, with its errors in the log, and never stops
    /// the others. A listener whose address or network is not there waits for it.
    ///
    /// Sockets that systemd passes (`sd_listen_fds(3)`) are taken by the listeners of their addresses; others are closed, and told by
    /// `provost status`.
    ///
    /// SIGHUP reads the configuration anew, as `provost reload` does. SIGINT and SIGTERM let requests under way end first, for as
    /// long as `[serve] drain` says; a second one cuts them.
    ///
    /// Exit status: 0 after SIGINT or SIGTERM; 1 where provost.toml itself has errors or nothing can be served.
    Serve(ConfigArgs),

    /// Check the configuration: every error and warning at once
    ///
    /// Each line names file, line, key, value and what was expected. Warnings say what exceptions and listeners without proofs
    /// open, which links lead out of a folder, and which files look like a device's and are nobody's. Nothing on the disk is
    /// changed.
    ///
    /// Exit status: 0 where there is no error; 1 otherwise.
    Check(CheckArgs),

    /// Explain a decision: why this phone gets, or does not get, that file
    ///
    /// Walks the same ladder that the server walks, for the configuration on disk, and shows each step up to the first that
    /// denies; then the verdict: which rule, whose, which file would be served, or what the phone would be told. With --live
    /// the running server is asked: its configuration counts, and whether it throttles the source just now, which nobody else knows. No record is
    /// written, and nothing that a source is judged by changes.
    ///
    /// Exit status: 0 where it is permitted; 1 where it is denied; 2 where there is no answer: the question is malformed, the configuration
    /// has errors, or no server answers.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),

    /// Ask the running server how it stands: tenants, listeners, connections, denials
    ///
    /// The server is found by the admin socket that the configuration names. A listener that cannot listen shows why.
    ///
    /// Exit status: 0 where all that is meant to listen does, every tenant is served as its file says, and the state folder can be
    /// written; 1 otherwise, as while the server ends.
    Status(StatusArgs),

    /// Make the running server read its configuration anew, and print what changed
    ///
    /// A tenant whose file has errors goes on as it was. Listeners whose address stays the same keep their sockets; what phones are
    /// fetching goes on, unless the phone or its tenant was blocked or removed. `[admin]`, `[log]`, `[serve]` and `state` count
    /// from the next start, and where they changed it says so. SIGHUP does the same, into the log.
    ///
    /// Exit status: 0 where everything loaded, listeners among it that wait for their address or network, which are named; 1 otherwise.
    Reload(ReloadArgs),

    /// Look at what phones have sent: logs, settings, directories
    Uploads(UploadsArgs),

    /// Make the stored form of a password, and see which passwords are in use still
    Password(PasswordArgs),

    /// Look at certificates of vendors and phones, and sort a vendor's pack
    Trust(TrustArgs),

    /// Print the DHCP options that send a tenant's phones to its listeners
    ///
    /// Options 66, 150, 160, 43, 100 and 101, written for the DHCP server that you run, with notes on which phones take which.
    /// They name what the configuration says; an https listener's first server name stands in its URL.
    Dhcp(DhcpArgs),

    /// Write man pages or shell completions, for packages
    #[command(hide = true)]
    Generate(GenerateArgs),
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  provost explain --tenant acme --listener phones --from 10.1.2.3 \\
      --mac 0004f2aabbcc GET /0004f2aabbcc.cfg
  provost explain --tenant acme --listener phones --from 10.1.2.3 \\
      --certificate phone.pem PUT /0004f2aabbcc-app.log
  provost explain --tenant acme --listener tftp --from 10.1.2.3 RRQ SEP0004F2AABBCC.cnf.xml
  provost explain --live --tenant acme --listener tftp --from 10.1.2.3 RRQ 0004f2aabbcc.cfg
  provost explain --tenant acme --listener ftp --from 10.1.2.3 \\
      --user PlcmSpIp RETR 000000000000.cfg";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "PROVOST_CONFIG", hide_env_values = true, default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print all there is to know, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print whom report-only exceptions let pass: which devices would be refused without them
    #[arg(long, conflicts_with = "json")]
    pub(crate) report_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Device files that lost more than a tenth of their devices are meant so
    #[arg(long)]
    pub(crate) accept_removals: bool,
    /// Print what changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to make it; a new temporary folder where it is left out
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print each tenant's rules, too, in the order in which they are tried
    #[arg(long)]
    pub(crate) rules: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Ask the running server, by the admin socket that the configuration names
    #[arg(long)]
    pub(crate) live: bool,
    /// The tenant's name
    #[arg(long)]
    pub(crate) tenant: String,
    /// The listener's name
    #[arg(long)]
    pub(crate) listener: String,
    /// The address that the phone asks from
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: IpAddr,
    /// The phone's certificate chain, leaf first: which device would it prove?
    #[arg(long, value_name = "PEM", conflicts_with = "mac")]
    pub(crate) certificate: Option<PathBuf>,
    /// Suppose that a certificate proved this device
    #[arg(long)]
    pub(crate) mac: Option<Mac>,
    /// Suppose the right password of this user; a MAC stands for that device's own password
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// GET, HEAD, PUT, RRQ, WRQ, RETR, STOR, APPE, SIZE, MDTM, LIST, NLST, MLSD, MLST or STAT
    #[arg(value_name = "METHOD", ignore_case = true)]
    pub(crate) method: Method,
    /// The path as the phone asks for it
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
}

/// What a phone does, in its protocol's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Method {
    Get,
    Head,
    Put,
    Rrq,
    Wrq,
    Retr,
    Stor,
    Appe,
    Size,
    Mdtm,
    List,
    Nlst,
    Mlsd,
    Mlst,
    Stat,
}

#[derive(Debug, Args)]
pub(crate) struct UploadsArgs {
    #[command(subcommand)]
    pub(crate) command: UploadsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UploadsCommand {
    /// List uploads with size and time
    List(UploadsSelection),
    /// Write one upload to standard output: the one at a path, or with --mac the only one of a phone
    Show(UploadsSelection),
    /// Remove the upload at a path, or with --mac all of one phone
    Discard(UploadsSelection),
}

#[derive(Debug, Args)]
pub(crate) struct UploadsSelection {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The tenant's name
    #[arg(long)]
    pub(crate) tenant: String,
    /// What this phone sent
    #[arg(long)]
    pub(crate) mac: Option<Mac>,
    /// What stands at this path, as `provost uploads list` prints it
    pub(crate) path: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    #[command(subcommand)]
    pub(crate) command: PasswordCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Print the form in which a password is stored
    ///
    /// It reads the password from the terminal without echo, or the first line of standard input. What it prints stands as
    /// `password` in `[[users]]`, or in the `password` column of the device file, there in double quotes if it holds commas. Without --argon2 it is the form that Digest
    /// needs, for one user in one realm: the realm is the tenant's name, and the user of a device its MAC. That form is worth as much as
    /// the password on that tenant's listeners, and nowhere else. With --argon2 it is of use to nobody, but takes a phone that
    /// sends its password as it is: over https by Basic, or by FTP.
    Hash(PasswordHashArgs),
    /// Ask the running server which passwords phones use still, and how many phones
    Report(PasswordReportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PasswordHashArgs {
    /// The user's name; a device's MAC for its own password
    #[arg(long, value_name = "USER", required_unless_present = "argon2")]
    pub(crate) user: Option<String>,
    /// The tenant's name
    #[arg(long, value_name = "TENANT", required_unless_present = "argon2")]
    pub(crate) realm: Option<String>,
    /// argon2id: for Basic and FTP, not for Digest
    #[arg(long)]
    pub(crate) argon2: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordReportArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The tenant's name
    #[arg(long)]
    pub(crate) tenant: String,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    pub(crate) command: TrustCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Show certificates: subject, key, hash, times, legacy options, and the MAC that a leaf would prove
    ///
    /// Without a configuration, where in the subject the vendors' usual forms find a MAC; with one, what each of its trust sets says
    /// of the chain: the device that it proves, or why none. A file may hold a chain, the leaf and the CAs that a phone sends with it.
    Show {
        /// Ask the trust sets of this configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Files in PEM or DER
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Sort a vendor's pack of CA files into anchors, intermediates and leaves, without duplicates
    Import {
        /// The folder to read
        dir: PathBuf,
        /// The folder to write to; it is made where it is missing
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DhcpArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The tenant's name
    #[arg(long)]
    pub(crate) tenant: String,
    /// The DHCP server
    #[arg(long, value_enum)]
    pub(crate) format: DhcpFormat,
}

/// The DHCP servers that options are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DhcpFormat {
    /// ISC dhcpd
    Isc,
    /// Kea (JSON with comments)
    Kea,
    /// dnsmasq
    Dnsmasq,
    #[value(help = "MikroTik RouterOS")]
    Mikrotik,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// What to write
    #[arg(value_enum)]
    pub(crate) what: Generated,
    /// The folder to write to; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,
}

/// What a package needs beside the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    /// Manual pages, section 1
    Man,
    /// Completions for bash, zsh, fish, elvish and PowerShell
    Completions,
}

/// What a method does with its path.
#[derive(Debug, Clone, Copy)]
enum Does {
    Read,
    Write,
    List,
}

impl Method {
    /// Its name on the wire, the protocol that it is spoken in (http stands for https, too), and what it does.
    const fn row(self) -> (&'static str, Protocol, Does) {
        match self {
            Self::Get => ("GET", Protocol::Http, Does::Read),
            Self::Head => ("HEAD", Protocol::Http, Does::Read),
            Self::Put => ("PUT", Protocol::Http, Does::Write),
            Self::Rrq => ("RRQ", Protocol::Tftp, Does::Read),
            Self::Wrq => ("WRQ", Protocol::Tftp, Does::Write),
            Self::Retr => ("RETR", Protocol::Ftp, Does::Read),
            Self::Stor => ("STOR", Protocol::Ftp, Does::Write),
            Self::Appe => ("APPE", Protocol::Ftp, Does::Write),
            Self::Size => ("SIZE", Protocol::Ftp, Does::Read),
            Self::Mdtm => ("MDTM", Protocol::Ftp, Does::Read),
            Self::List => ("LIST", Protocol::Ftp, Does::List),
            Self::Nlst => ("NLST", Protocol::Ftp, Does::List),
            Self::Mlsd => ("MLSD", Protocol::Ftp, Does::List),
            Self::Mlst => ("MLST", Protocol::Ftp, Does::List),
            Self::Stat => ("STAT", Protocol::Ftp, Does::List),
        }
    }

    /// Its name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        self.row().0
    }

    /// What the ladder is asked.
    pub(crate) const fn operation(self) -> Operation {
        match self.row().2 {
            Does::Read | Does::List => Operation::Read,
            Does::Write => Operation::Write,
        }
    }

    /// Whether it belongs to the protocol.
    pub(crate) fn belongs_to(self, protocol: Protocol) -> bool {
        let spoken_in = match protocol {
            Protocol::Https | Protocol::Http => Protocol::Http,
            Protocol::Tftp | Protocol::Ftp => protocol,
        };
        self.row().1 == spoken_in
    }

    /// Whether it is answered with a list.
    pub(crate) const fn lists(self) -> bool {
        matches!(self.row().2, Does::List)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
