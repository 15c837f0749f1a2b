use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;
use remotemedia_mesh::DatagramSocket;

use super::{VirtualNetwork, router::Datagram};

/// How many bytes wait in a socket's inbox, each datagram counted with 64 bytes of overhead; what comes when it is full is
/// dropped and counted in [`NetworkStats::inbox_full`](super::NetworkStats::inbox_full). A kernel that grants large
/// buffers gives as much.
pub const INBOX_BYTES: usize = 4 << 20;

/// What a waiting datagram costs beside its payload.
const OVERHEAD: usize = 64;

/// The largest payload of UDP over IPv4.
const MAX_PAYLOAD: usize = 65_507;

/// A UDP socket of a [`VirtualNetwork`]. Closed when dropped.
#[derive(Debug)]
pub struct VirtualSocket {
    network: VirtualNetwork,
    address: SocketAddr,
    inbox: Arc<Inbox>,
    /// Held, but not used, so that the system gives its port to no one else.
    _real: Option<UdpSocket>,
}

impl VirtualSocket {
    pub(super) fn open(network: VirtualNetwork, address: SocketAddr) -> io::Result<Self> {
        let inbox = Arc::<Inbox>::default();
        network.with_router(|router, _| router.open(address, inbox.clone()))?;
        Ok(Self { network, address, inbox, _real: None })
    }

    pub(super) fn in_place_of(real: UdpSocket, network: VirtualNetwork) -> io::Result<Self> {
        let address = real.local_addr()?;
        let mut socket = Self::open(network, address)?;
        socket._real = Some(real);
        Ok(socket)
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one datagram. It never waits: the sender's link queues or drops.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a payload over 65,507 bytes.
    pub fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            let advice = format!("{} bytes are too many for a datagram: send at most {MAX_PAYLOAD}", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, advice));
        }
        let datagram = Datagram { from: self.address, to, payload: Bytes::copy_from_slice(payload) };
        self.network.with_router(|router, now| router.send(now, datagram));
        Ok(())
    }

    /// The next datagram and its sender. Cancel-safe; one task at a time.
    pub async fn recv_from(&self) -> (Bytes, SocketAddr) {
        let datagram = poll_fn(|cx| self.inbox.poll_pop(cx)).await;
        (datagram.payload, datagram.from)
    }
}

impl DatagramSocket for VirtualSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn poll_send(&self, _: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>> {
        Poll::Ready(self.send_to(datagram, to))
    }

    /// As with UDP, what does not fit into `buffer` is cut off.
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.inbox.poll_pop(cx).map(|datagram| {
            let length = datagram.payload.len().min(buffer.len());
            buffer[..length].copy_from_slice(&datagram.payload[..length]);
            Ok((length, datagram.from))
        })
    }
}

impl Drop for VirtualSocket {
    fn drop(&mut self) {
        self.network.with_router(|router, _| router.close(self.address));
    }
}

/// What arrived at a socket and was not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<InboxState>,
}

#[derive(Debug, Default)]
struct InboxState {
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    reader: Option<Waker>,
}

/// The inbox had no room.
#[derive(Debug)]
pub(super) struct Full;

impl Inbox {
    pub(super) fn push(&self, datagram: Datagram) -> Result<Option<Waker>, Full> {
        let mut state = self.state.lock();
        let bytes = datagram.payload.len() + OVERHEAD;
        if state.bytes + bytes > INBOX_BYTES {
            return Err(Full);
        }
        state.bytes += bytes;
        state.datagrams.push_back(datagram);
        Ok(state.reader.take())
    }

    fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Datagram> {
        let mut state = self.state.lock();
        match state.datagrams.pop_front() {
            Some(datagram) => {
                state.bytes -= datagram.payload.len() + OVERHEAD;
                Poll::Ready(datagram)
            }
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
