//! libunftp with its file system back end: `unftp listen|service ADDRESS FOLDER`. With `service` the accept loop is ours and sets
//! `TCP_NODELAY`, as whoever embeds it can.

use libunftp::ServerBuilder;
use unftp_sbe_fs::Filesystem;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, address, folder] = arguments.as_slice() else { panic!("unftp listen|service ADDRESS FOLDER") };
    let build = |folder: &str| {
        let folder = folder.to_owned();
        let files = Box::new(move || Filesystem::new(folder.clone()).unwrap());
        ServerBuilder::new(files).passive_ports(40000..=59999).build().unwrap()
    };
    if mode == "listen" {
        build(folder).listen(address.clone()).await.unwrap();
        return;
    }
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(build(folder).service(stream));
    }
}
