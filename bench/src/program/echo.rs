//! An echo over loopback TCP: for each connection a coroutine that sends and awaits the answer, and one
//! that answers. Each has one operation in flight.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::{Operation, Ring, Tool, finish, start};

const CONNECTIONS: usize = 32;
const MESSAGE: usize = 96;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Asks,
    Answers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Send,
    Receive,
}

struct Peer<C> {
    side: Side,
    next: Next,
    socket: TcpStream,
    buffer: Box<[u8; MESSAGE]>,
    coroutine: C,
}

/// The peers of all connections, and their ring.
pub struct Echo<T: Tool> {
    ring: T::Ring,
    peers: Vec<Peer<T::Coroutine>>,
    /// Those that ask and rest between two calls of `run`.
    resting: Vec<usize>,
    in_flight: usize,
}

impl<T: Tool> Echo<T> {
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut echo = Self {
            ring: T::Ring::new(4 * CONNECTIONS as u32)?,
            peers: Vec::new(),
            resting: Vec::new(),
            in_flight: 0,
        };
        for _ in 0..CONNECTIONS {
            let asks = TcpStream::connect(listener.local_addr()?)?;
            let (answers, _) = listener.accept()?;
            for (side, next, socket) in [
                (Side::Asks, Next::Send, asks),
                (Side::Answers, Next::Receive, answers),
            ] {
                socket.set_nodelay(true)?;
                echo.peers.push(Peer {
                    side,
                    next,
                    socket,
                    buffer: Box::new([7; MESSAGE]),
                    coroutine: T::spawned(),
                });
            }
        }
        for index in 0..echo.peers.len() {
            match echo.peers[index].side {
                Side::Asks => echo.resting.push(index),
                Side::Answers => echo.go_on(index),
            }
        }
        Ok(echo)
    }

    /// Sends that many messages, and awaits their answers.
    pub fn run(&mut self, messages: u32) {
        let (mut to_send, mut unanswered) = (messages, messages);
        while to_send > 0
            && let Some(index) = self.resting.pop()
        {
            to_send -= 1;
            self.go_on(index);
        }
        while unanswered > 0 {
            for (index, cookie) in self.turn() {
                let Peer { side, next, .. } = self.peers[index];
                let ring = self.ring.id();
                T::resumed(self.peers[index].coroutine, ring, cookie);
                if side == Side::Asks && next == Next::Send {
                    // An answer came.
                    unanswered -= 1;
                    if to_send == 0 {
                        self.resting.push(index);
                        continue;
                    }
                    to_send -= 1;
                }
                self.go_on(index);
            }
        }
    }

    /// Submits what was pushed, waits, and takes what came: peers whose operation is over, with its
    /// cookie.
    fn turn(&mut self) -> Vec<(usize, u64)> {
        self.ring.submit_and_wait(1);
        let mut over = Vec::new();
        let peers = &mut self.peers;
        self.ring.reap(|cookie, result| {
            // SAFETY: every cookie came from `start` and completes once.
            let index = unsafe { finish::<T>(cookie, result) }.value as usize;
            let peer = &mut peers[index];
            // The ends of connections when all is over; messages are too short to come in parts.
            assert!(result == 0 || result == MESSAGE as i32, "{result} bytes");
            peer.next = match peer.next {
                Next::Send => Next::Receive,
                Next::Receive => Next::Send,
            };
            over.push((index, cookie));
        });
        self.in_flight -= over.len();
        over
    }

    /// Starts the next operation of a peer, and awaits it.
    fn go_on(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let socket = types::Fd(peer.socket.as_raw_fd());
        let entry: Entry = match peer.next {
            Next::Send => opcode::Send::new(socket, peer.buffer.as_ptr(), MESSAGE as u32).build(),
            Next::Receive => {
                opcode::Recv::new(socket, peer.buffer.as_mut_ptr(), MESSAGE as u32).build()
            }
        };
        // SAFETY: the buffer is boxed, its peer has one operation at a time, and peers live until
        // nothing is in flight.
        let cookie = unsafe { start::<T>(&mut self.ring, Operation::new(index as u64), entry) };
        self.in_flight += 1;
        T::suspended(peer.coroutine, cookie);
    }
}

impl<T: Tool> Drop for Echo<T> {
    fn drop(&mut self) {
        // Those that wait for a message are told that none will come.
        for peer in &self.peers {
            let _ = peer.socket.shutdown(Shutdown::Both);
        }
        while self.in_flight > 0 {
            self.turn();
        }
    }
}
