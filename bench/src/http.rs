//! The smallest client that can be trusted with a stopwatch: one connection, kept alive, nothing between us and the socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// A kept connection to a server on this machine.
pub struct HttpClient(BufReader<TcpStream>);

/// An answer and how long it took.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Until the last byte, in milliseconds.
    pub total_ms: f64,
}

/// A body that was read and thrown away.
pub struct Drained {
    /// Its length.
    pub bytes: u64,
    /// Until the first byte of the body, in milliseconds.
    pub first_byte_ms: f64,
    /// Until the last byte, in milliseconds.
    pub total_ms: f64,
}

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

impl HttpClient {
    /// Connects to 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::with_capacity(READ_BYTES, stream)))
    }

    /// GET with the whole body.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer has no length.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        let start = Instant::now();
        let (status, length) = self.head(path)?;
        let mut body = vec![0; usize::try_from(length)?];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, body, total_ms: start.elapsed().as_secs_f64() * 1e3 })
    }

    /// GET of a large body, which is thrown away.
    ///
    /// # Errors
    ///
    /// When the connection breaks, the status is not 200, or the answer has no length.
    pub fn drain(&mut self, path: &str) -> Result<Drained> {
        let start = Instant::now();
        let (status, length) = self.head(path)?;
        ensure!(status == 200, "GET {path}: {status}");
        let mut left = length;
        let mut first_byte_ms = None;
        while left > 0 {
            let read = self.0.fill_buf()?.len();
            ensure!(read > 0, "the connection broke {left} bytes before the end");
            first_byte_ms.get_or_insert(start.elapsed().as_secs_f64() * 1e3);
            let read = read.min(usize::try_from(left)?);
            self.0.consume(read);
            left -= read as u64;
        }
        let total_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Drained { bytes: length, first_byte_ms: first_byte_ms.unwrap_or(total_ms), total_ms })
    }

    fn head(&mut self, path: &str) -> Result<(u16, u64)> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split_whitespace().nth(1).context("a status line")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        Ok((status, length.context("Content-Length")?))
    }
}
