//! A connection's bytes: straight over its socket, or through TLS over it.
//!
//! TLS is a layer over the [`Socket`], so that its publishers are read at ticks as all others. Nothing here waits: what has
//! arrived is opened, what is to go is sealed, and the socket says when the next try is worth while.

use std::io::{self, BufRead as _, IoSlice, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::scratch::Scratch;
use super::socket::Socket;
use crate::limits::MAX_SEALED_BYTES;

/// See the module.
pub(super) struct Link {
    socket: Socket,
    tls: Option<Box<ServerConnection>>,
}

impl Link {
    /// Nothing between the session and the socket.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { socket: Socket::Driven(stream), tls: None }
    }

    /// TLS, whose handshake is the first thing that is read.
    pub(super) fn secure(stream: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(Some(MAX_SEALED_BYTES));
        Ok(Self { socket: Socket::Driven(stream), tls: Some(Box::new(tls)) })
    }

    /// See [`Socket::tick`].
    pub(super) fn tick(&mut self) -> io::Result<()> {
        self.socket.tick()
    }

    /// See [`Socket::drive`].
    pub(super) fn drive(&mut self) -> io::Result<()> {
        self.socket.drive()
    }

    /// Waits until reading is worth a try. What has arrived is never left in the TLS layer, so the socket knows.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until writing is worth a try.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Whether something of the TLS layer's own, or sealed by it, waits for the socket.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends what the TLS layer holds, as far as the kernel takes it now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut Sealed(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads at most `limit` of the socket's bytes: how many there were, and what they say. 0 is the end of the input,
    /// `WouldBlock` that there is nothing yet.
    pub(super) fn read<'a>(
        &mut self,
        scratch: &'a mut Scratch,
        limit: usize,
    ) -> io::Result<(usize, &'a [u8])> {
        let room = limit.min(scratch.received.len());
        let count = self.socket.read(&mut scratch.received[..room])?;
        let mut sealed = &scratch.received[..count];
        let Some(tls) = &mut self.tls else { return Ok((count, sealed)) };
        scratch.opened.clear();
        while !sealed.is_empty() {
            let taken = tls.read_tls(&mut sealed)?;
            let state = match tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The peer is told what it did wrong.
                    self.flush()?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            if state.plaintext_bytes_to_read() > 0 {
                let mut reader = tls.reader();
                while let Ok(opened) = reader.fill_buf()
                    && !opened.is_empty()
                {
                    let count = opened.len();
                    scratch.opened.extend_from_slice(opened);
                    reader.consume(count);
                }
            }
            // The peer has said goodbye: what follows counts for nothing (RFC 8446 §6.1).
            if taken == 0 {
                break;
            }
        }
        // The replies of a handshake are due at once.
        self.flush()?;
        Ok((count, &scratch.opened))
    }

    /// Takes what can go now. Through TLS nothing is taken before the kernel has all that was sealed, so that a peer that
    /// does not read is noticed as on a plain socket.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.tls.is_none() {
            return self.socket.write_vectored(slices);
        }
        self.flush()?;
        let Some(tls) = self.tls.as_mut().filter(|tls| !tls.wants_write()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let taken = tls.writer().write_vectored(slices)?;
        self.flush()?;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Says goodbye, waiting for the peer, and ends our direction. What is returned is only read to be thrown away.
    pub(super) async fn shutdown(mut self) -> io::Result<TcpStream> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()?;
        while self.wants_write() {
            self.writable().await?;
            self.flush()?;
        }
        let mut stream = self.socket.into_driven()?;
        stream.shutdown().await?;
        Ok(stream)
    }
}

/// Where the TLS layer writes to.
struct Sealed<'a>(&'a Socket);

impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
