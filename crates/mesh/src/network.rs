use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

/// Where a mesh's datagrams go.
///
/// Timers and tasks are always tokio's, so that a paused clock drives the mesh; only the sockets differ: the system's,
/// or those of an emulated network.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Takes over a bound socket. An emulated network reads its address and drops it.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn wrap(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn DatagramSocket>>;
}

/// A datagram socket of an emulated network.
pub trait DatagramSocket: fmt::Debug + Send + Sync + 'static {
    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends one datagram, or registers the waker if there is no room.
    ///
    /// # Errors
    ///
    /// Whatever the system says; transient errors do not close the socket.
    fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>>;

    /// Receives one datagram into `buffer`, or registers the waker if there is none. Answers its length and sender.
    ///
    /// # Errors
    ///
    /// Whatever the system says; transient errors do not close the socket.
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;
}
