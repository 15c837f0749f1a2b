//! The system's sockets, with a say in which datagrams pass: a cut cable, a firewall.

use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use remotemedia_mesh::DatagramSocket;
use tokio::io::ReadBuf;

/// Which datagrams pass a [`FilteredSocket`]. Those that do not are lost, as on any network: nobody is told.
pub trait Filter: fmt::Debug + Send + Sync + 'static {
    /// Whether a datagram to that address goes out; asked once or more for each.
    fn lets_out(&self, to: SocketAddr) -> bool;

    /// Whether a datagram from that address comes in; asked once for each.
    fn lets_in(&self, from: SocketAddr) -> bool;
}

/// A socket of the system behind a filter.
#[derive(Debug)]
pub struct FilteredSocket<F> {
    socket: tokio::net::UdpSocket,
    filter: F,
}

impl<F: Filter> FilteredSocket<F> {
    /// Puts `filter` in front of a bound socket.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn new(socket: std::net::UdpSocket, filter: F) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)?, filter })
    }
}

impl<F: Filter> DatagramSocket for FilteredSocket<F> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>> {
        if !self.filter.lets_out(to) {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_send_to(cx, datagram, to).map_ok(|_| ())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            let mut read = ReadBuf::new(buffer);
            let from = ready!(self.socket.poll_recv_from(cx, &mut read))?;
            let len = read.filled().len();
            if self.filter.lets_in(from) {
                return Poll::Ready(Ok((len, from)));
            }
        }
    }
}
