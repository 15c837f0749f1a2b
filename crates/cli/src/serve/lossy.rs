//! A network that loses packets on purpose.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use remotemedia_webrtc::{DatagramSocket, Network};
use tokio::{io::ReadBuf, net::UdpSocket};

/// The system's sockets, less a fraction of the media packets that go through them, each way.
#[derive(Debug)]
pub(super) struct LossyNetwork {
    fraction: f64,
}

#[derive(Debug)]
struct LossySocket {
    socket: UdpSocket,
    fraction: f64,
}

impl LossyNetwork {
    pub(super) fn new(fraction: f64) -> Self {
        Self { fraction }
    }
}

impl Network for LossyNetwork {
    fn wrap(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn DatagramSocket>> {
        socket.set_nonblocking(true)?;
        Ok(Arc::new(LossySocket { socket: UdpSocket::from_std(socket)?, fraction: self.fraction }))
    }
}

impl LossySocket {
    fn loses(&self, datagram: &[u8]) -> bool {
        is_media(datagram) && rand::random::<f64>() < self.fraction
    }
}

impl DatagramSocket for LossySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>> {
        if self.loses(datagram) {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_send_to(cx, datagram, to).map_ok(drop)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            let mut read = ReadBuf::new(buffer);
            let from = ready!(self.socket.poll_recv_from(cx, &mut read))?;
            if !self.loses(read.filled()) {
                return Poll::Ready(Ok((read.filled().len(), from)));
            }
        }
    }
}

/// Whether it is RTP or RTCP (RFC 7983): handshakes, path checks and messages get through.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// How many of 2,000 datagrams with that first byte arrive.
    async fn arrive(fraction: f64, first: u8) -> usize {
        let open = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = LossyNetwork::new(fraction).wrap(open()).unwrap();
        let receiver = UdpSocket::from_std({
            let socket = open();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .unwrap();
        let to = receiver.local_addr().unwrap();
        let mut arrived = 0;
        for _ in 0..2_000 {
            poll_fn(|cx| sender.poll_send(cx, &[first; 100], to)).await.unwrap();
            // Loopback delivers at once.
            while receiver.try_recv(&mut [0; 200]).is_ok() {
                arrived += 1;
            }
            if arrived % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while tokio::time::timeout(std::time::Duration::from_millis(200), receiver.recv(&mut [0; 200])).await.is_ok() {
            arrived += 1;
        }
        arrived
    }

    #[tokio::test]
    async fn media_is_lost_at_that_rate_and_nothing_else_is() {
        let media = arrive(0.3, 128).await;
        assert!((1_250..1_550).contains(&media), "{media}");
        assert_eq!(arrive(0.3, 22).await, 2_000);
        assert_eq!(arrive(0.0, 128).await, 2_000);
    }
}
