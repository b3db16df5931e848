//! A publisher's socket: driven by readiness until it publishes, by the clock while it does.
//!
//! A socket that is registered with epoll wakes a worker for every packet, also when nobody waits for it. A publisher
//! sends some seventy packets a second, which cost more processor time than everything that is done with their bytes:
//! measured with fifty publishers of 4 Mbit/s, over a third of the whole recording. So while media flows the socket is
//! taken out of epoll and read at ticks; an empty read costs a microsecond.

use std::io::{self, IoSlice, Read as _, Write as _};

use tokio::net::TcpStream;

use crate::limits::WRITE_TICK;

/// See the module.
#[derive(Debug)]
pub(super) enum Socket {
    /// Registered: one can wait for it.
    Driven(TcpStream),
    /// Not registered: it is asked when its time has come.
    Ticked(std::net::TcpStream),
    /// Changing over failed.
    Lost,
}

impl Socket {
    /// Media flows from now on.
    pub(super) fn tick(&mut self) -> io::Result<()> {
        if let Self::Driven(stream) = std::mem::replace(self, Self::Lost) {
            *self = Self::Ticked(stream.into_std()?);
        }
        Ok(())
    }

    /// No media flows any more: packets are few, and each is to be heard at once.
    pub(super) fn drive(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Ticked(stream) => Self::Driven(TcpStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    /// Waits until reading is worth a try; at once where the clock decides.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Driven(stream) => stream.readable().await,
            Self::Ticked(_) => Ok(()),
            Self::Lost => Err(lost()),
        }
    }

    /// Waits until writing is worth a try.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Driven(stream) => stream.writable().await,
            Self::Ticked(_) => {
                tokio::time::sleep(WRITE_TICK).await;
                Ok(())
            }
            Self::Lost => Err(lost()),
        }
    }

    /// Reads what is there, as far as it fits; 0 is the end of the input, `WouldBlock` that there is nothing yet.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Driven(stream) => stream.try_read(buffer),
            Self::Ticked(stream) => (&mut &*stream).read(buffer),
            Self::Lost => Err(lost()),
        }
    }

    /// Writes what the kernel takes now.
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Driven(stream) => stream.try_write_vectored(slices),
            Self::Ticked(stream) => (&mut &*stream).write_vectored(slices),
            Self::Lost => Err(lost()),
        }
    }

    /// For the last words: the stream, registered again.
    pub(super) fn into_driven(mut self) -> io::Result<TcpStream> {
        self.drive()?;
        match self {
            Self::Driven(stream) => Ok(stream),
            Self::Ticked(_) | Self::Lost => Err(lost()),
        }
    }
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
