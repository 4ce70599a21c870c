//! Correct: a TCP echo over loopback, under load.
//!
//! Clients connect in batches, send a few messages each and compare what comes back; the server has a
//! coroutine for each connection. Tickets, and so addresses, are used again hundreds of times. At the
//! end the server is cancelled in the middle of its accept.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Context, Outcome, Report};
use crate::runtime::{Config, Runtime};
use crate::tcp::{Listener, Stream};

const BATCHES: u32 = 10;
const CLIENTS: u32 = 32;
const MESSAGES: u32 = 4;
const MESSAGE: usize = 96;

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 128,
        seed: context.seed,
        fault: None,
    };
    let inside = report.clone();
    let (result, tally) = Runtime::run(config, |runtime| main(runtime, inside))?;
    result?;
    Ok(report.outcome(context, tally))
}

async fn main(runtime: Runtime, report: Report) -> io::Result<()> {
    let listener = Listener::bind(&runtime, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.address();
    let server = runtime.spawn("server", serve(runtime.clone(), listener));
    for batch in 0..BATCHES {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let seed = batch * CLIENTS + client;
            clients.push(runtime.spawn("client", talk(runtime.clone(), address, seed)));
        }
        for client in clients {
            client.await.ok_or(io::ErrorKind::Interrupted)??;
        }
    }
    server.cancel();
    let connections = BATCHES * CLIENTS;
    let messages = connections * MESSAGES;
    report.say(format!(
        "{connections} connections, {messages} messages, each echoed as sent"
    ));
    Ok(())
}

async fn serve(runtime: Runtime, listener: Listener) -> io::Result<()> {
    loop {
        let stream = listener.accept().await?;
        runtime.spawn("connection", echo(stream));
    }
}

async fn echo(stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; MESSAGE];
    loop {
        buffer.resize(MESSAGE, 0);
        let result;
        (result, buffer) = stream.receive(buffer).await;
        match result? {
            0 => return Ok(()),
            received => buffer.truncate(received as usize),
        }
        buffer = stream.send_all(buffer).await?;
    }
}

async fn talk(runtime: Runtime, address: SocketAddrV4, seed: u32) -> io::Result<()> {
    let stream = Stream::connect(&runtime, address).await?;
    for message in 0..MESSAGES {
        let sent: Vec<u8> = (0..MESSAGE as u32)
            .map(|at| (seed * 7 + message + at) as u8)
            .collect();
        let sent = stream.send_all(sent).await?;
        if stream.receive_exact(MESSAGE).await? != sent {
            return Err(io::Error::other("the echo differs from what was sent"));
        }
    }
    // A port that lingers would be missing in the next run.
    stream.close_at_once()
}
