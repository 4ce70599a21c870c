//! Files: opened the ordinary way, read and written through the ring.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use crate::operation::Operation;
use crate::request::Request;
use crate::runtime::Runtime;

/// An open file.
pub struct File {
    runtime: Runtime,
    file: Rc<OwnedFd>,
}

impl File {
    /// Makes a new file, to be read and written. Fails where there is one.
    pub fn create_new(runtime: &Runtime, path: &Path) -> io::Result<Self> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Self {
            runtime: runtime.clone(),
            file: Rc::new(file.into()),
        })
    }

    /// Opens a file, to be read.
    pub fn open(runtime: &Runtime, path: &Path) -> io::Result<Self> {
        let file = fs::File::open(path)?;
        Ok(Self {
            runtime: runtime.clone(),
            file: Rc::new(file.into()),
        })
    }

    /// Reads into the buffer what there is at the offset, up to the buffer's length; how much it was.
    /// The buffer travels with the operation and comes back with it.
    #[track_caller]
    pub fn read_at(
        &self,
        buffer: Vec<u8>,
        offset: u64,
    ) -> impl Future<Output = (io::Result<u32>, Vec<u8>)> + use<> {
        let request = Request::Read {
            file: self.file.clone(),
            buffer,
            offset,
        };
        let operation = Operation::start(&self.runtime, request);
        async move {
            let (completed, request) = operation.await;
            (completed.result, request.into_bytes())
        }
    }

    /// Writes all bytes at the offset, in as many operations as it takes.
    pub async fn write_all_at(&self, bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        let (mut bytes, mut start) = (bytes, 0);
        while start < bytes.len() {
            let offset = offset + start as u64;
            let request = Request::Write {
                file: self.file.clone(),
                bytes,
                start,
                offset,
            };
            let (completed, request) = Operation::start(&self.runtime, request).await;
            match completed.result? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => start += written as usize,
            }
            bytes = request.into_bytes();
        }
        Ok(())
    }

    /// Reads to the end of the file.
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 4096]);
        loop {
            let result;
            (result, buffer) = self.read_at(buffer, all.len() as u64).await;
            match result? {
                0 => return Ok(all),
                read => all.extend_from_slice(buffer.get(..read as usize).unwrap_or_default()),
            }
        }
    }
}
