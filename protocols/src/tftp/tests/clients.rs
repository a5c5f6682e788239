//! The clients that operators have: tftp-hpa and atftp.

use std::path::Path;
use std::process::Command;

use super::MAC;
use super::site::Site;

/// Runs a client off the runtime, in `folder`, and says whether it was content.
async fn run(folder: &Path, program: &'static str, arguments: Vec<String>) -> bool {
    let folder = folder.to_path_buf();
    let output =
        tokio::task::spawn_blocking(move || Command::new(program).args(arguments).current_dir(folder).output());
    output.await.unwrap().unwrap_or_else(|error| panic!("{program}: {error}")).status.success()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn content() -> Vec<u8> {
    (0..300_000).map(|index: u32| index.to_be_bytes()[2] ^ index.to_be_bytes()[3]).collect()
}

#[tokio::test]
async fn tftp_hpa_gets_and_puts() {
    let site = Site::with(&[("image.ld", &content()), ("a.cfg", b"one\ntwo\n")]);
    let folder = site.scratch("client");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("log"), content()).unwrap();
    let port = site.address.port();
    assert!(run(&folder, "tftp", words(&format!("-m binary 127.0.0.1 {port} -c get image.ld"))).await);
    assert!(std::fs::read(folder.join("image.ld")).unwrap() == content());
    assert!(run(&folder, "tftp", words(&format!("-m ascii 127.0.0.1 {port} -c get a.cfg"))).await);
    assert_eq!(std::fs::read(folder.join("a.cfg")).unwrap(), b"one\ntwo\n");
    let put = format!("-m binary 127.0.0.1 {port} -c put log {MAC}-app.log");
    assert!(run(&folder, "tftp", words(&put)).await);
    assert!(site.upload(&format!("{MAC}-app.log")).unwrap() == content());
}

#[tokio::test]
async fn atftp_gets_and_puts_with_options() {
    let site = Site::with(&[("image.ld", &content())]);
    let folder = site.scratch("client");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("log"), content()).unwrap();
    let port = site.address.port();
    let get = "--option|blksize 1428|--option|tsize enable|--option|timeout 2|--option|windowsize 8|\
               --get|--remote-file|image.ld|--local-file|image.ld|127.0.0.1";
    let arguments = get.split('|').map(str::to_owned).chain([port.to_string()]).collect();
    assert!(run(&folder, "atftp", arguments).await);
    assert!(std::fs::read(folder.join("image.ld")).unwrap() == content());
    let put = format!("--option|blksize 8192|--put|--local-file|log|--remote-file|{MAC}-boot.log|127.0.0.1|{port}");
    assert!(run(&folder, "atftp", put.split('|').map(str::to_owned).collect()).await);
    assert!(site.upload(&format!("{MAC}-boot.log")).unwrap() == content());
}
