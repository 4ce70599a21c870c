//! An echo server with its clients, reads that are given up, and a copy of a file, over monoio as it was released.

use monoio::fs::File;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

const CLIENTS: u8 = 4;
const ROUNDS: usize = 20;
const SHORT: std::time::Duration = std::time::Duration::from_millis(1);

async fn serve(mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let (read, back) = stream.read(buffer).await;
        if read.unwrap() == 0 {
            break;
        }
        let (written, mut back) = stream.write_all(back).await;
        written.unwrap();
        back.clear();
        buffer = back;
    }
}

async fn call(address: std::net::SocketAddr, number: u8) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut total = 0;
    for _ in 0..ROUNDS {
        stream.write_all(vec![number; 100]).await.0.unwrap();
        let mut got = 0;
        while got < 100 {
            let (read, buffer) = stream.read(Vec::with_capacity(200)).await;
            got += read.unwrap();
            assert_eq!(buffer[0], number);
        }
        total += got;
    }
    // Given up: nothing comes any more.
    let read = stream.read(Vec::with_capacity(1000));
    assert!(monoio::time::timeout(SHORT, read).await.is_err());
    total
}

async fn copy(from: &str, to: &str) {
    let (from, to) = (File::open(from).await.unwrap(), File::create(to).await.unwrap());
    let (mut at, mut buffer) = (0, Vec::with_capacity(4096));
    loop {
        let (read, back) = from.read_at(buffer, at).await;
        let length = read.unwrap();
        if length == 0 {
            break;
        }
        let (written, mut back) = to.write_all_at(back, at).await;
        written.unwrap();
        back.clear();
        buffer = back;
        at += length as u64;
    }
    from.close().await.unwrap();
    to.close().await.unwrap();
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
    runtime.enable_timer().build().expect("a ring").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = monoio::spawn(async move {
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await.unwrap();
                monoio::spawn(serve(stream));
            }
        });
        let calls = (0..CLIENTS).map(|number| monoio::spawn(call(address, number)));
        let calls: Vec<_> = calls.collect();
        copy(&format!("{folder}/source"), &format!("{folder}/target")).await;
        let mut echoed = 0;
        for call in calls {
            echoed += call.await;
        }
        server.await;
        println!("{echoed} bytes echoed");
    });
}
