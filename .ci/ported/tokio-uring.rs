//! An echo server with its clients, reads that are given up, and a copy of a file, over tokio-uring.

use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::{TcpListener, TcpStream};

const CLIENTS: u8 = 8;

async fn serve(stream: TcpStream) {
    let mut buffer = vec![0; 1024];
    loop {
        let (read, back) = stream.read(buffer).await;
        let length = read.unwrap();
        if length == 0 {
            break;
        }
        let (written, back) = stream.write_all(back.slice(..length)).await;
        written.unwrap();
        buffer = back.into_inner();
    }
}

async fn call(address: std::net::SocketAddr, number: u8) {
    let stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..20 {
        stream.write_all(vec![number; 100]).await.0.unwrap();
        let (mut got, mut buffer) = (0, vec![0; 200]);
        while got < 100 {
            let (read, back) = stream.read(buffer).await;
            got += read.unwrap();
            buffer = back;
        }
        assert_eq!(buffer[0], number);
    }
    // Given up: nothing comes any more, and the read stays in the kernel for as long as the connection.
    let read = stream.read(vec![0; 10]);
    let short = std::time::Duration::from_millis(1);
    assert!(tokio::time::timeout(short, read).await.is_err());
    tokio_uring::no_op().await.unwrap();
}

async fn copy(from: &str, to: &str) {
    let (from, to) = (File::open(from).await.unwrap(), File::create(to).await.unwrap());
    let (mut at, mut buffer) = (0, vec![0; 4096]);
    loop {
        let (read, back) = from.read_at(buffer, at).await;
        let length = read.unwrap();
        if length == 0 {
            break;
        }
        let (written, back) = to.write_all_at(back.slice(..length), at).await;
        written.unwrap();
        buffer = back.into_inner();
        at += length as u64;
    }
    from.close().await.unwrap();
    to.close().await.unwrap();
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    tokio_uring::start(async {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio_uring::spawn(async move {
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await.unwrap();
                tokio_uring::spawn(serve(stream));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| tokio_uring::spawn(call(address, number)))
            .collect();
        let (source, target) = (format!("{folder}/source"), format!("{folder}/target"));
        std::fs::write(&source, vec![7u8; 100_000]).unwrap();
        copy(&source, &target).await;
        assert_eq!(std::fs::read(&target).unwrap(), vec![7u8; 100_000]);
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}
