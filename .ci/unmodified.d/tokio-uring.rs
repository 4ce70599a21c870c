//! An echo server with its clients, reads that are given up, and a copy of a file, over tokio-uring as it was released.

use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::{TcpListener, TcpStream};

const CLIENTS: u8 = 4;
const ROUNDS: usize = 20;
const SHORT: std::time::Duration = std::time::Duration::from_millis(1);

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

async fn call(address: std::net::SocketAddr, number: u8) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut total = 0;
    for _ in 0..ROUNDS {
        stream.write_all(vec![number; 100]).await.0.unwrap();
        let mut got = 0;
        while got < 100 {
            let (read, buffer) = stream.read(vec![0; 200]).await;
            got += read.unwrap();
            assert_eq!(buffer[0], number);
        }
        total += got;
    }
    // Given up: nothing comes any more.
    let read = stream.read(vec![0; 1000]);
    assert!(tokio::time::timeout(SHORT, read).await.is_err());
    // What is in flight when the runtime ends keeps no buffer in this release (`Drop for Driver`): it ends before that,
    // unless that very mistake is to be seen.
    if std::env::args().nth(2).is_none() {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    total
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
        let calls = (0..CLIENTS).map(|number| tokio_uring::spawn(call(address, number)));
        let calls: Vec<_> = calls.collect();
        copy(&format!("{folder}/source"), &format!("{folder}/target")).await;
        let mut echoed = 0;
        for call in calls {
            echoed += call.await.unwrap();
        }
        server.await.unwrap();
        println!("{echoed} bytes echoed");
    });
}
