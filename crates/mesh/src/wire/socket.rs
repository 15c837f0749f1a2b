use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::{
    dtls::{HandshakeGuard, Relevance, Verdict, relevance},
    ice_servers::IceServerWatch,
};
use crate::DatagramSocket;

/// What the sockets of one connection share.
pub(super) struct ConnectionSockets {
    epoch: Instant,
    /// Nanoseconds since `epoch`, plus one; zero before the first datagram.
    last_received: AtomicU64,
    guard: Mutex<HandshakeGuard<Route>>,
    /// The guard has nothing more to do: data channels need not pass it.
    handshake_done: AtomicBool,
    repeating: Mutex<bool>,
    cancel: CancellationToken,
    pub(super) servers: IceServerWatch,
}

/// Where a handshake datagram went, to send it there again.
#[derive(Clone)]
struct Route {
    outlet: Weak<Outlet>,
    destination: SocketAddr,
}

impl ConnectionSockets {
    pub(super) fn new(cancel: CancellationToken) -> Self {
        Self {
            epoch: Instant::now(),
            last_received: AtomicU64::new(0),
            guard: Mutex::default(),
            handshake_done: AtomicBool::new(false),
            repeating: Mutex::new(false),
            cancel,
            servers: IceServerWatch::default(),
        }
    }

    pub(super) fn last_received(&self) -> Option<Instant> {
        let nanos = self.last_received.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch + std::time::Duration::from_nanos(nanos))
    }

    fn touch(&self, now: Instant) {
        let nanos = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX - 1);
        self.last_received.store(nanos + 1, Ordering::Relaxed);
    }

    fn sent(self: &Arc<Self>, outlet: &Arc<Outlet>, destination: SocketAddr, datagram: &[u8]) {
        let route = Route { outlet: Arc::downgrade(outlet), destination };
        self.guard.lock().on_send(Instant::now().into_std(), datagram, route);
        self.repeat_when_due();
    }

    fn received(&self, now: Instant, datagram: &[u8]) -> Verdict {
        if relevance(datagram) == Relevance::None || self.handshake_done.load(Ordering::Relaxed) {
            return Verdict::Deliver;
        }
        let mut guard = self.guard.lock();
        let verdict = guard.on_receive(now.into_std(), datagram);
        let answer = if verdict == Verdict::Withhold { guard.answer(now.into_std()) } else { Vec::new() };
        self.handshake_done.store(guard.is_done(), Ordering::Relaxed);
        drop(guard);
        send_again(answer);
        verdict
    }

    /// Keeps one task at work while there is a flight to repeat.
    fn repeat_when_due(self: &Arc<Self>) {
        if self.guard.lock().next_repeat().is_none() || std::mem::replace(&mut *self.repeating.lock(), true) {
            return;
        }
        let (this, cancel) = (Arc::downgrade(self), self.cancel.clone());
        tokio::spawn(async move {
            loop {
                let Some(sockets) = this.upgrade() else { return };
                // Taken before the guard is asked, so that a flight sent in between starts a task of its own.
                let mut repeating = sockets.repeating.lock();
                let Some(due) = sockets.guard.lock().next_repeat() else {
                    *repeating = false;
                    return;
                };
                drop(repeating);
                drop(sockets);
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return,
                    () = sleep_until(due.into()) => {}
                }
                let Some(sockets) = this.upgrade() else { return };
                let again = sockets.guard.lock().due(Instant::now().into_std());
                send_again(again);
            }
        });
    }
}

fn send_again(datagrams: Vec<(Vec<u8>, Route)>) {
    for (datagram, route) in datagrams {
        if let Some(outlet) = route.outlet.upgrade() {
            outlet.send_if_idle(&datagram, route.destination);
        }
    }
}

/// The sending side of a socket, which remembers one waker only.
struct Outlet {
    socket: Arc<dyn AsyncUdpSocket>,
    /// Whether the connection's driver waits for room in the socket.
    awaited: Mutex<bool>,
}

impl Outlet {
    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let mut awaited = self.awaited.lock();
        let result = self.socket.poll_send(cx, transmit);
        *awaited = result.is_pending();
        result
    }

    /// Sends if there is room. A full socket drops the datagram, like a lossy path would: its next repetition is due
    /// soon. While the driver waits its waker must stay registered, so nothing is tried then.
    fn send_if_idle(&self, datagram: &[u8], destination: SocketAddr) {
        let awaited = self.awaited.lock();
        if *awaited {
            return;
        }
        let transmit = Transmit { destination, ecn: None, contents: datagram, segment_size: None, src_ip: None };
        let sent = self.socket.poll_send(&mut Context::from_waker(Waker::noop()), &transmit);
        if let Poll::Ready(Err(error)) = sent {
            tracing::debug!(%error, "a handshake datagram could not be repeated");
        }
    }
}

/// A connection's socket: notes when something arrives, and shows handshake datagrams to the guard.
pub(super) struct WireSocket {
    outlet: Arc<Outlet>,
    shared: Arc<ConnectionSockets>,
}

impl WireSocket {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, shared: Arc<ConnectionSockets>) -> Self {
        Self { outlet: Arc::new(Outlet { socket, awaited: Mutex::new(false) }), shared }
    }
}

impl fmt::Debug for WireSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.outlet.socket, f)
    }
}

impl AsyncUdpSocket for WireSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.outlet.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let result = self.outlet.poll_send(cx, transmit);
        if matches!(result, Poll::Ready(Ok(_))) {
            let stride = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
            for datagram in transmit.contents.chunks(stride) {
                self.shared.servers.sent(transmit.destination, datagram);
                if relevance(datagram) == Relevance::MayBeHandshake {
                    self.shared.sent(&self.outlet, transmit.destination, datagram);
                }
            }
        }
        result
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let count = match self.outlet.socket.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(count)) => count,
                other => return other,
            };
            let now = Instant::now();
            self.shared.touch(now);
            let mut kept = 0;
            for (buffer, meta) in bufs.iter_mut().zip(meta.iter_mut()).take(count) {
                let len = meta.len.min(buffer.len());
                meta.len = keep_wanted(&mut buffer[..len], meta.stride, |datagram| {
                    self.shared.servers.received(datagram);
                    self.shared.received(now, datagram) == Verdict::Deliver
                });
                kept += meta.len;
            }
            // Nothing left of a batch: ask again, since "no message" is no answer that a reader understands.
            if kept > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.outlet.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.outlet.socket.max_gro_segments()
    }
}

/// Removes unwanted datagrams from a buffer that holds one per `stride` bytes; answers what is left of it.
fn keep_wanted(buffer: &mut [u8], stride: usize, mut wanted: impl FnMut(&[u8]) -> bool) -> usize {
    let (stride, mut write, mut read) = (stride.max(1), 0, 0);
    while read < buffer.len() {
        let end = (read + stride).min(buffer.len());
        if wanted(&buffer[read..end]) {
            if write != read {
                buffer.copy_within(read..end, write);
            }
            write += end - read;
        }
        read = end;
    }
    write
}

/// A socket of an emulated network, seen as one of the system's.
pub(super) struct EmulatedSocket(pub(super) Arc<dyn DatagramSocket>);

impl fmt::Debug for EmulatedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsyncUdpSocket for EmulatedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, transmit.contents, transmit.destination).map_ok(|()| transmit.contents.len())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        self.0.poll_recv(cx, buffer).map_ok(|(len, from)| {
            *meta = RecvMeta::default();
            meta.len = len;
            meta.stride = len.max(1);
            meta.addr = from;
            1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwanted_datagrams_leave_a_batch_and_the_rest_keeps_its_order() {
        let mut batch = *b"aaabbbcccdd";
        let len = keep_wanted(&mut batch, 3, |d| d[0] != b'b');
        assert_eq!(&batch[..len], b"aaacccdd");
        let len = keep_wanted(&mut batch[..len], 3, |d| d.len() == 3);
        assert_eq!(&batch[..len], b"aaaccc");
        assert_eq!(keep_wanted(&mut batch[..3], 3, |_| false), 0);
    }
}
