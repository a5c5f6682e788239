//! What the demo's tenants provide: sample files of Poly, Yealink and Cisco phones, and a firmware image.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// The size of the sample firmware, in bytes.
pub(super) const FIRMWARE_BYTES: usize = 1024 * 1024;

/// Small files: the path below the demo's folder, and the text.
const FILES: [(&str, &str); 13] = [
    (
        "acme/000000000000.cfg",
        "<?xml version=\"1.0\"?>\n<!-- Poly master file of acme -->\n\
         <APPLICATION APP_FILE_PATH=\"sip.ld\" CONFIG_FILES=\"site.cfg\" LOG_FILE_DIRECTORY=\"\"/>\n",
    ),
    (
        "acme/site.cfg",
        "<?xml version=\"1.0\"?>\n<acme voIpProt.server.1.address=\"sip.acme.example\" \
         log.render.file.upload.append=\"1\" log.render.file.upload.append.sizeLimit=\"512\"/>\n",
    ),
    (
        "acme/0004f2aabbcc.cfg",
        "<?xml version=\"1.0\"?>\n<acme reg.1.displayName=\"acme reception\" reg.1.address=\"101\" \
         reg.1.auth.password=\"only-for-101\"/>\n",
    ),
    (
        "acme/0004f2112233.cfg",
        "<?xml version=\"1.0\"?>\n<acme reg.1.displayName=\"acme workshop\" reg.1.address=\"102\" \
         reg.1.auth.password=\"only-for-102\"/>\n",
    ),
    (
        "acme/y000000000028.cfg",
        "#!version:1.0.0.1\n# Yealink T46G, every one of acme\nlocal_time.ntp_server1 = ntp.acme.example\n",
    ),
    (
        "acme/001565a1b2c3.cfg",
        "#!version:1.0.0.1\n# Yealink of acme\naccount.1.enable = 1\naccount.1.label = acme kitchen\n\
         account.1.user_name = 103\naccount.1.password = only-for-103\n",
    ),
    (
        "acme/708105b37234.xml",
        "<flat-profile>\n  <!-- Cisco SPA 525 of acme -->\n  <User_ID_1_>104</User_ID_1_>\n  \
         <Display_Name_1_>acme gate</Display_Name_1_>\n  <Password_1_>only-for-104</Password_1_>\n</flat-profile>\n",
    ),
    (
        "acme/SEP001120AABB01.cnf.xml",
        "<device>\n  <!-- Cisco 7960 of acme: TFTP is all that it speaks -->\n  <loadInformation>P0S3-8-12-00</loadInformation>\n  \
         <line><name>105</name><displayName>acme lift</displayName></line>\n</device>\n",
    ),
    ("acme/RINGLIST.DAT", "Classic\tclassic.pcm\nAcme\tacme.pcm\n"),
    (
        "globex/000000000000.cfg",
        "<?xml version=\"1.0\"?>\n<!-- Poly master file of globex -->\n\
         <APPLICATION APP_FILE_PATH=\"sip.ld\" CONFIG_FILES=\"site.cfg\" LOG_FILE_DIRECTORY=\"\"/>\n",
    ),
    ("globex/site.cfg", "<?xml version=\"1.0\"?>\n<globex voIpProt.server.1.address=\"sip.globex.example\"/>\n"),
    (
        "globex/0004f2ddeeff.cfg",
        "<?xml version=\"1.0\"?>\n<globex reg.1.displayName=\"globex board room\" reg.1.address=\"201\" \
         reg.1.auth.password=\"only-for-201\"/>\n",
    ),
    (
        "globex/00907a000550.cfg",
        "<?xml version=\"1.0\"?>\n<globex reg.1.displayName=\"globex warehouse\" reg.1.address=\"202\" \
         reg.1.auth.password=\"only-for-202\"/>\n",
    ),
];

/// Writes the sample files below `dir`.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    let firmware: Vec<u8> =
        b"provost demo firmware, not for a phone\n".iter().copied().cycle().take(FIRMWARE_BYTES).collect();
    let images = ["firmware/sip.ld", "firmware/3111-44500-001.sip.ld"].map(|image| (image, firmware.as_slice()));
    for (path, bytes) in FILES.iter().map(|(path, text)| (*path, text.as_bytes())).chain(images) {
        store(&dir.join(path), bytes)?;
    }
    Ok(())
}

/// Writes one file and the folders that it stands in.
pub(super) fn store(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}
