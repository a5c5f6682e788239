//! Every form of a tenant's file that is refused, one row each: what stands there from line 5 on, and what is said of it.

use super::Site;

#[test]
fn each_bad_form_is_refused_with_its_line_and_what_was_expected() {
    let site = Site::new();
    site.write("empty", "\n");
    site.write("file", "");
    for (more, expected) in [
        ("enabled = 1", "5: enabled = 1: expected true or false"),
        ("nmae = 1", "5: nmae: unknown key, did you mean `name`?"),
        ("network = {}", "5: network: expected exactly one of `namespace`, `vrf` and `interface`"),
        (
            "network = { vrf = \"lo\", interface = \"lo\" }",
            "5: network: expected exactly one of `namespace`, `vrf` and `interface`",
        ),
        (
            "[network]\nnamespace = \"a/b\"",
            "6: network.namespace = \"a/b\": expected the name of a network namespace, as `ip netns list` shows it, or an absolute path",
        ),
        (
            "network.vrf = \"vrf-of-a-customer\"",
            "5: network.vrf = \"vrf-of-a-customer\": expected the name of a network device: 1 to 15 bytes without blanks, `/` and `:`, such as \"eth1.101\"",
        ),
        (
            "network.interface = \"eth0:1\"",
            "5: network.interface = \"eth0:1\": expected the name of a network device: 1 to 15 bytes without blanks, `/` and `:`, such as \"eth1.101\"",
        ),
        ("network.namespace = 7", "5: network.namespace = 7: expected the name of a network namespace"),
        ("network.netns = \"a\"", "5: network.netns: unknown key, expected one of namespace, vrf, interface"),
        ("network = \"host\"", "5: network = \"host\": expected a table"),
        // Files.
        ("files.shared = \"x\"", "5: files.shared = \"x\": expected a list, such as [\"…\"]"),
        ("files.shared = [\"../file\"]", "5: files.shared[0] = \"../file\": expected a folder"),
        (
            "files.shared = [\"../none\"]",
            "5: files.shared[0] = \"../none\": expected a folder that exists: No such file or directory (os error 2)",
        ),
        ("files.strip = [\"/\"]", "5: files.strip[0] = \"/\": expected a prefix of paths, such as \"/tftpboot\""),
        (
            "files.strip = [\"a/../b\"]",
            "5: files.strip[0] = \"a/../b\": expected a prefix of paths, such as \"/tftpboot\"",
        ),
        // Uploads.
        (
            "uploads.device_quota = 16",
            "5: uploads.device_quota = 16: expected a size with its unit (B, KiB, MiB, GiB, TiB), such as \"16MiB\"",
        ),
        (
            "uploads.quota = \"1GB\"",
            "5: uploads.quota = \"1GB\": expected a size with its unit (B, KiB, MiB, GiB, TiB), such as \"16MiB\"",
        ),
        ("uploads.device_files = 0", "5: uploads.device_files = 0: expected a whole number from 1 to 100000"),
        ("uploads.keep = -1", "5: uploads.keep = -1: expected a whole number from 0 to 100"),
        ("uploads.durability = \"ram\"", "5: uploads.durability = \"ram\": expected `disk` or `cache`"),
        // Devices.
        ("devices.policy = \"all\"", "5: devices.policy = \"all\": expected `listed` or `any`"),
        ("devices.file = 7", "5: devices.file = 7: expected a path"),
        (
            "devices.file = \"none.csv\"",
            "5: devices.file = \"none.csv\": expected a CSV file: No such file or directory (os error 2)",
        ),
        // Users.
        (
            "users = [{ password = \"p\" }]",
            "5: users[0].name: is missing: expected the user's name, such as \"PlcmSpIp\"",
        ),
        (
            "users = [{ name = \"a:b\", password = \"p\" }]",
            "5: users[0].name = \"a:b\": expected a name without `:` and control characters",
        ),
        (
            "users = [{ name = \"0004f2aabbcc\", password = \"p\" }]",
            "5: users[0].name = \"0004f2aabbcc\": a MAC address as user stands for the password of that device: it belongs into `devices.file`",
        ),
        ("users = [{ name = \"a\" }]", "5: users[0].password: is missing: expected `password` or `password_file`"),
        (
            "users = [{ name = \"a\", password = \"\" }]",
            "5: users[0].password = [redacted]: an empty password lets everyone in",
        ),
        (
            "users = [{ name = \"a\", password = \"a\\nb\" }]",
            "5: users[0].password = [redacted]: expected a password without control characters",
        ),
        ("users = [{ name = \"a\", password = 7 }]", "5: users[0].password = [redacted]: expected a password"),
        (
            "users = [{ name = \"a\", password = \"p\", password_file = \"f\" }]",
            "5: users[0].password_file = \"f\": stands beside `password`: expected one of the two",
        ),
        (
            "users = [{ name = \"a\", password_file = \"none\" }]",
            "5: users[0].password_file = \"none\": cannot read the password: No such file or directory (os error 2)",
        ),
        (
            "users = [{ name = \"a\", password_file = \"../empty\" }]",
            "5: users[0].password_file = \"../empty\": an empty password lets everyone in",
        ),
        (
            "users = [{ name = \"a\", password = \"p\", expires = \"2027-03-31\" }]",
            "5: users[0].expires = \"2027-03-31\": expected a date without quotes, such as 2027-03-31",
        ),
        (
            "[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\n[listener.exception]\nouis = []",
            "9: listener[0].exception: expected a list of tables, each begun by [[listener.exception]]",
        ),
        ("users = { name = \"a\" }", "5: users: expected a list of tables, each begun by [[users]]"),
        // Rules.
        (
            "[[rule]]\nread = \"own\"",
            "5: rule[0].path: is missing: expected a glob over paths, such as \"firmware/**\" or \"{mac}.cfg\"",
        ),
        (
            "[[rule]]\npath = \"a[\"\nread = \"nobody\"",
            "6: rule[0].path = \"a[\": not a glob: unclosed character class; missing ']'",
        ),
        (
            "[[rule]]\npath = \"a\"",
            "5: rule[0]: denies everything by saying nothing: expected `read` or `write`, or both",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"own\"",
            "6: rule[0].path = \"a\": `own` needs `{mac}` in the path: it says whose file it is",
        ),
        (
            "[[rule]]\npath = \"a\"\nwrite = \"own\"",
            "6: rule[0].path = \"a\": `own` needs `{mac}` in the path: it says whose file it is",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\ntftp_options = [\"multicast\"]",
            "8: rule[0].tftp_options[0] = \"multicast\": expected `blksize` or `timeout` or `tsize` or `windowsize`",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\ntftp_options = \"no\"",
            "8: rule[0].tftp_options = \"no\": expected true, false or a list, such as [\"blksize\", \"tsize\"]",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"all\"",
            "7: rule[0].read = \"all\": expected `nobody` or `own` or `device` or `anyone`",
        ),
        (
            "[[rule]]\npath = \"a\"\nwrite = \"anyone\"",
            "7: rule[0].write = \"anyone\": expected `nobody` or `own`: else one phone could overwrite what another reads",
        ),
        (
            "[[rule]]\npath = \"a\"\nwrite = \"device\"",
            "7: rule[0].write = \"device\": expected `nobody` or `own`: else one phone could overwrite what another reads",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\nkind = \"x\"",
            "8: rule[0].kind = \"x\": expected `file` or `settings` or `log`",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\nprefer = \"x\"",
            "8: rule[0].prefer = \"x\": expected `uploads` or `root`",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\nmax_size = \"1MiB\"",
            "8: rule[0].max_size: is of rules with `kind = \"log\"` only",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\ngap = \"append\"",
            "8: rule[0].gap: is of rules with `kind = \"log\"` only",
        ),
        (
            "[[rule]]\npath = \"a\"\nread = \"device\"\n[[rule]]\npath = \"a\"\nread = \"nobody\"",
            "9: rule[1].path = \"a\": is idle: rule[0] has the same path, and the first that matches decides",
        ),
        (
            "[[rule]]\npath = \"/SEP0004F2AABBCC.cnf.xml\"\nread = \"nobody\"",
            "6: rule[0].path = \"/SEP0004F2AABBCC.cnf.xml\": is idle: a path that names a device, as 0004f2aabbcc, matches only patterns with `{mac}`; `blocked` in `devices.file` shuts one out",
        ),
    ] {
        assert_eq!(site.refused(&format!("{more}\n")), [expected], "{more}");
    }
}

#[test]
fn what_would_be_without_effect_or_store_nothing_is_refused() {
    let site = Site::new();
    for (more, expected) in [
        ("files.strip = [\"/./\"]", "5: files.strip[0] = \"/./\": expected a prefix of paths, such as \"/tftpboot\""),
        ("uploads.max_upload = \"0B\"", "5: uploads.max_upload = \"0B\": expected from \"1B\" to \"1024TiB\""),
        ("uploads.min_free = \"2048TiB\"", "5: uploads.min_free = \"2048TiB\": expected from \"0B\" to \"1024TiB\""),
    ] {
        assert_eq!(site.refused(&format!("{more}\n")), [expected], "{more}");
    }
}

#[test]
fn what_bounds_peers_and_guards_devices_has_its_own_bounds() {
    let site = Site::new();
    for (more, expected) in [
        ("limits.handshake = \"0s\"", "5: limits.handshake = \"0s\": expected more than \"0s\" and not over \"1d\""),
        (
            "limits.tftp_block_size = \"65465B\"",
            "5: limits.tftp_block_size = \"65465B\": expected from \"512B\" to \"65464B\"",
        ),
        ("limits.bandwidth = \"1KiB/s\"", "5: limits.bandwidth = \"1KiB/s\": expected at least \"65536B/s\""),
        ("limits.tftp_window = 0", "5: limits.tftp_window = 0: expected a whole number from 1 to 65535"),
        ("limits.connections = 0", "5: limits.connections = 0: expected a whole number from 1 to 1000000"),
        (
            "limits.header_bytes = 1",
            "5: limits.header_bytes: unknown key, expected one of least_rate, bandwidth, handshake, client_hello, header, stall, idle, login, header_size, memory, command_size_before_login, command_size, tftp_block_size, tftp_memory, connections, connections_per_address, commands_per_second, tftp_window, tftp_sends",
        ),
        ("guard.unlisted = 0", "5: guard.unlisted = 0: expected a whole number from 1 to 1000000"),
        ("guard.window = \"2d\"", "5: guard.window = \"2d\": expected more than \"0s\" and not over \"1d\""),
        (
            "[[guard.site]]\nunlisted = 9",
            "5: guard.site[0].prefixes: is missing: expected the addresses of the site or relay, such as [\"203.0.113.7/32\"]",
        ),
        (
            "[[guard.site]]\nprefixes = [\"10.0.0.1\"]",
            "5: guard.site[0].unlisted: is missing: expected how many devices that are not listed it may ask for",
        ),
        (
            "[[guard.site]]\nprefixes = []\nunlisted = 9",
            "6: guard.site[0].prefixes: an empty list lets nobody in: expected prefixes, such as [\"10.0.0.0/8\"]",
        ),
        (
            "guard.limit = 1",
            "5: guard.limit: unknown key, expected one of unlisted, alarm, misses, window, pairs, site",
        ),
    ] {
        assert_eq!(site.refused(&format!("{more}\n")), [expected], "{more}");
    }
}

#[test]
fn what_the_first_lines_say_is_checked_too() {
    let site = Site::new();
    let tenant = |name: &str, allow: &str, list: &str| {
        format!("name = {name}\nallow = {allow}\nfiles.root = \"../files/acme\"\ndevices.list = {list}\n")
    };
    for (text, expected) in [
        (tenant("\"a_b\"", "[\"10.0.0.0/8\"]", "[]"), "1: name = \"a_b\": expected 1 to 63 of a-z, 0-9 and -"),
        (tenant("7", "[\"10.0.0.0/8\"]", "[]"), "1: name = 7: expected 1 to 63 of a-z, 0-9 and -"),
        (
            tenant("\"a\"", "[]", "[]"),
            "2: allow: an empty list lets nobody in: expected prefixes, such as [\"10.0.0.0/8\"]",
        ),
        (
            tenant("\"a\"", "[\"10/8\"]", "[]"),
            "2: allow[0] = \"10/8\": expected a prefix, such as \"10.0.0.0/8\" or \"fd00:a::/32\"",
        ),
        (
            tenant("\"a\"", "[\"10.0.0.1/8\"]", "[]"),
            "2: allow[0] = \"10.0.0.1/8\": bits behind the prefix length are set: expected \"10.0.0.0/8\", or a longer prefix",
        ),
        (
            tenant("\"a\"", "[\"10.0.0.1\"]", "[\"0004f2\"]"),
            "4: devices.list[0] = \"0004f2\": expected a MAC address: 12 hex digits, six pairs with `:` or `-`, or three quads with `.`",
        ),
        (
            tenant("\"a\"", "[\"10.0.0.1\"]", "[\"000000000000\"]"),
            "4: devices.list[0] = \"000000000000\": the OUI 000000 stands for no device",
        ),
    ] {
        site.write("tenants.d/acme.toml", &text);
        let loaded = site.load().unwrap();
        assert_eq!(site.lines(loaded.problems.errors()), [format!("tenants.d/acme.toml:{expected}")]);
    }
}

#[test]
fn a_quota_that_one_device_can_use_up_is_warned_of() {
    let site = Site::new();
    for (uploads, is_warned) in [
        ("", false),
        ("quota = \"17MiB\"", false),
        ("quota = \"16MiB\"", true),
        ("quota = \"16MiB\"\ndevice_quota = \"1MiB\"", false),
        ("quota = \"1MiB\"\ndevice_quota = \"2MiB\"", true),
    ] {
        site.acme(&format!("[uploads]\n{uploads}\n"));
        let loaded = site.load().unwrap_or_else(|problems| panic!("{problems}"));
        let warnings = site.lines(loaded.problems.warnings());
        let told = warnings.iter().any(|warning| warning.contains("no more than `device_quota`"));
        assert_eq!(told, is_warned, "{uploads}: {warnings:?}");
    }
}
