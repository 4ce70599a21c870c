//! An echo server with its clients, reads that are given up, and a copy of a file, over glommio as it was released.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::LocalExecutor;
use glommio::io::BufferedFile;
use glommio::net::{TcpListener, TcpStream};

const CLIENTS: u8 = 4;
const ROUNDS: usize = 20;
const SHORT: std::time::Duration = std::time::Duration::from_millis(1);

async fn serve(mut stream: TcpStream) {
    let mut buffer = vec![0; 1024];
    loop {
        let length = stream.read(&mut buffer).await.unwrap();
        if length == 0 {
            break;
        }
        stream.write_all(&buffer[..length]).await.unwrap();
    }
}

async fn call(address: std::net::SocketAddr, number: u8) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut total, mut buffer) = (0, vec![0; 200]);
    for _ in 0..ROUNDS {
        stream.write_all(&vec![number; 100]).await.unwrap();
        let mut got = 0;
        while got < 100 {
            got += stream.read(&mut buffer).await.unwrap();
            assert_eq!(buffer[0], number);
        }
        total += got;
    }
    // Given up: nothing comes any more.
    let read = async { Ok::<usize, glommio::GlommioError<()>>(stream.read(&mut buffer).await?) };
    assert!(glommio::timer::timeout(SHORT, read).await.is_err());
    total
}

async fn copy(from: &str, to: &str) {
    let from = BufferedFile::open(from).await.unwrap();
    let to = BufferedFile::create(to).await.unwrap();
    let mut at = 0;
    loop {
        let read = from.read_at(at, 4096).await.unwrap();
        if read.is_empty() {
            break;
        }
        let length = to.write_at(read.to_vec(), at).await.unwrap();
        at += length as u64;
    }
    from.close().await.unwrap();
    to.close().await.unwrap();
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    LocalExecutor::default().run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = glommio::spawn_local(async move {
            for _ in 0..CLIENTS {
                let stream = listener.accept().await.unwrap();
                glommio::spawn_local(serve(stream)).detach();
            }
        });
        let calls = (0..CLIENTS).map(|number| glommio::spawn_local(call(address, number)));
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
