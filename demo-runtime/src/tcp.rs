//! TCP over IPv4: accept, connect, receive, send.

use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use crate::operation::Operation;
use crate::request::Request;
use crate::runtime::Runtime;

/// A listening socket.
pub struct Listener {
    runtime: Runtime,
    socket: Rc<OwnedFd>,
    address: SocketAddrV4,
}

impl Listener {
    /// Listens; port 0 lets the kernel choose.
    pub fn bind(runtime: &Runtime, address: SocketAddrV4) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = match listener.local_addr()? {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(_) => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        Ok(Self {
            runtime: runtime.clone(),
            socket: Rc::new(listener.into()),
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<Stream>> + use<> {
        let runtime = self.runtime.clone();
        let operation = Operation::start(&runtime, Request::Accept(self.socket.clone()));
        async move {
            let (completed, _) = operation.await;
            completed.result?;
            let socket = completed
                .descriptor
                .ok_or_else(|| io::Error::other("accept returned no descriptor"))?;
            Ok(Stream {
                runtime,
                socket: Rc::new(socket),
            })
        }
    }
}

/// A connection.
#[derive(Clone)]
pub struct Stream {
    runtime: Runtime,
    socket: Rc<OwnedFd>,
}

impl Stream {
    /// Connects.
    pub async fn connect(runtime: &Runtime, to: SocketAddrV4) -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let socket = Rc::new(socket);
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: to.port().to_be(),
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes(to.ip().octets()),
            },
            sin_zero: [0; 8],
        };
        let request = Request::Connect {
            socket: socket.clone(),
            address,
        };
        let (completed, _) = Operation::start(runtime, request).await;
        completed.result?;
        Ok(Self {
            runtime: runtime.clone(),
            socket,
        })
    }

    /// Receives what there is, up to the buffer's length; how much it was, 0 when the peer has closed.
    /// The buffer travels with the operation and comes back with it.
    #[track_caller]
    pub fn receive(
        &self,
        buffer: Vec<u8>,
    ) -> impl Future<Output = (io::Result<u32>, Vec<u8>)> + use<> {
        let request = Request::Receive {
            socket: self.socket.clone(),
            buffer,
        };
        let operation = Operation::start(&self.runtime, request);
        async move {
            let (completed, request) = operation.await;
            (completed.result, request.into_bytes())
        }
    }

    /// Receives exactly that many bytes.
    pub async fn receive_exact(&self, count: usize) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::with_capacity(count), Vec::new());
        while all.len() < count {
            buffer.resize(count - all.len(), 0);
            let result;
            (result, buffer) = self.receive(buffer).await;
            match result? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                received => {
                    all.extend_from_slice(buffer.get(..received as usize).unwrap_or_default());
                }
            }
        }
        Ok(all)
    }

    /// Sends all bytes, in as many operations as it takes, and gives the buffer back.
    pub async fn send_all(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let (mut bytes, mut start) = (bytes, 0);
        while start < bytes.len() {
            let request = Request::Send {
                socket: self.socket.clone(),
                bytes,
                start,
            };
            let (completed, request) = Operation::start(&self.runtime, request).await;
            start += completed.result? as usize;
            bytes = request.into_bytes();
        }
        Ok(bytes)
    }

    /// Makes closing forget what was not sent, so that the port is free again at once.
    pub fn close_at_once(&self) -> io::Result<()> {
        let none = Some(std::time::Duration::ZERO);
        Ok(sockopt::set_socket_linger(self.socket.as_fd(), none)?)
    }
}
