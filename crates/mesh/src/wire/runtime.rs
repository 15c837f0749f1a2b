use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio_util::sync::CancellationToken;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::socket::{ConnectionSockets, EmulatedSocket, WireSocket};
use crate::{IceServerReport, Network};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is asked of the system for each socket buffer. Without it the kernel drops a third of a burst of packets, and
/// reliable data channels crawl from one retransmission timeout to the next.
const SOCKET_BUFFER: usize = 4 << 20;

/// Timers, tasks and sockets for the peer connections of one mesh. Dropping it ends every task that is left.
pub(crate) struct MeshRuntime {
    network: Option<Arc<dyn Network>>,
    tasks: Arc<TaskCount>,
    cancel: CancellationToken,
    buffers: Arc<Mutex<Option<SocketBuffers>>>,
}

/// The bytes that the system granted the buffers of a socket, as it counts them (Linux doubles the figure for its own
/// bookkeeping, on asking as on telling).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketBuffers {
    /// For datagrams that wait to be read.
    pub(crate) receive: usize,
    /// For datagrams that wait to be sent.
    pub(crate) send: usize,
}

impl MeshRuntime {
    /// Sockets come from `network`, or from the system if there is none.
    pub(crate) fn new(network: Option<Arc<dyn Network>>) -> Self {
        Self { network, tasks: Arc::default(), cancel: CancellationToken::new(), buffers: Arc::new(Mutex::new(None)) }
    }

    /// A runtime for one peer connection.
    pub(crate) fn for_connection(&self) -> Arc<ConnectionRuntime> {
        let cancel = self.cancel.child_token();
        Arc::new(ConnectionRuntime {
            network: self.network.clone(),
            sockets: Arc::new(ConnectionSockets::new(cancel.clone())),
            tasks: Arc::new(TaskCount { own: AtomicUsize::new(0), parent: Some(self.tasks.clone()) }),
            cancel,
            buffers: self.buffers.clone(),
            settled: AtomicBool::new(false),
        })
    }

    /// Tasks of all connections that have not ended yet.
    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.get()
    }

    /// What the last system socket was granted; `None` before the first.
    pub(crate) fn socket_buffers(&self) -> Option<SocketBuffers> {
        *self.buffers.lock()
    }

    /// Ends every task of every connection at its next await.
    pub(crate) fn abort(&self) {
        self.cancel.cancel();
    }
}

impl Drop for MeshRuntime {
    fn drop(&mut self) {
        self.abort();
    }
}

impl fmt::Debug for MeshRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshRuntime")
            .field("network", &self.network)
            .field("live_tasks", &self.live_tasks())
            .finish_non_exhaustive()
    }
}

/// Timers, tasks and sockets of one peer connection.
pub(crate) struct ConnectionRuntime {
    network: Option<Arc<dyn Network>>,
    sockets: Arc<ConnectionSockets>,
    tasks: Arc<TaskCount>,
    cancel: CancellationToken,
    buffers: Arc<Mutex<Option<SocketBuffers>>>,
    settled: AtomicBool,
}

/// The longest that the driver of a connection sleeps before the connection is settled.
const EAGER: Duration = Duration::from_millis(2);

impl ConnectionRuntime {
    /// The connection is made: from now on its driver sleeps for as long as it likes.
    ///
    /// Until then it must not: what a step of the set-up leads to (a first DTLS flight, an SCTP INIT, the opening of data
    /// channels) is written only when the driver's loop comes round again, which otherwise takes up to 200 ms each.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// When the last datagram arrived on any of the connection's sockets, whatever it was; `None` before the first.
    /// One atomic load: cheap enough to ask every few milliseconds.
    pub(crate) fn last_received(&self) -> Option<tokio::time::Instant> {
        self.sockets.last_received()
    }

    /// What became of the STUN and TURN servers so far.
    pub(crate) fn ice_servers(&self) -> Vec<IceServerReport> {
        self.sockets.servers.reports()
    }

    /// Calls `listener` whenever a STUN or TURN server has failed. It must not wait.
    pub(crate) fn on_ice_server_failure(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.sockets.servers.on_failure(listener);
    }

    /// Tasks of this connection that have not ended yet.
    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.get()
    }

    /// Ends the connection's tasks at their next await, which frees its sockets. For a connection that does not close
    /// by itself.
    pub(crate) fn abort(&self) {
        self.cancel.cancel();
    }

    fn spawn_counted(&self, future: BoxFuture<'static, ()>) -> tokio::task::JoinHandle<()> {
        let alive = TaskCount::enter(&self.tasks);
        let cancel = self.cancel.clone();
        tokio::spawn(async move {
            let _alive = alive;
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = future => {}
            }
        })
    }
}

impl fmt::Debug for ConnectionRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionRuntime").field("live_tasks", &self.live_tasks()).finish_non_exhaustive()
    }
}

impl Runtime for ConnectionRuntime {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn JoinHandle> {
        Box::new(Task(self.spawn_counted(future)))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inner: Arc<dyn AsyncUdpSocket> = match &self.network {
            Some(network) => Arc::new(EmulatedSocket(network.wrap(socket)?)),
            None => {
                *self.buffers.lock() = Some(enlarge_buffers(&socket)?);
                TokioRuntime.wrap_udp_socket(socket)?
            }
        };
        Ok(Arc::new(WireSocket::new(inner, self.sockets.clone())))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, remote: SocketAddr) -> BoxFuture<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            // An address needs no thread of the resolver, which would also hold up a paused clock.
            let addresses = match parse_address(host) {
                Some(address) => Ok(vec![address]),
                None => tokio::net::lookup_host(host).await.map(Iterator::collect),
            };
            self.sockets.servers.resolved(host, &addresses);
            addresses
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let settled = self.settled.load(Ordering::Acquire);
        Box::pin(tokio::time::sleep(if settled { duration } else { duration.min(EAGER) }))
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }

    fn name(&self) -> &'static str {
        "remotemedia"
    }
}

/// An address and a port. The library leaves the brackets of an IPv6 address out where it asks for a TURN server.
fn parse_address(host: &str) -> Option<SocketAddr> {
    host.parse().ok().or_else(|| {
        let (ip, port) = host.rsplit_once(':')?;
        Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
    })
}

fn enlarge_buffers(socket: &std::net::UdpSocket) -> io::Result<SocketBuffers> {
    let socket = SockRef::from(socket);
    // A kernel caps the size silently, others refuse it: either way a smaller buffer still carries a call.
    for result in [socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER)] {
        if let Err(error) = result {
            tracing::debug!(%error, bytes = SOCKET_BUFFER, "the system refused a socket buffer of this size");
        }
    }
    let granted = SocketBuffers { receive: socket.recv_buffer_size()?, send: socket.send_buffer_size()? };
    if granted.receive.min(granted.send) < SOCKET_BUFFER {
        tracing::debug!(
            asked = SOCKET_BUFFER,
            granted.receive,
            granted.send,
            "socket buffers are capped: raise net.core.rmem_max and wmem_max against losses in bursts"
        );
    }
    Ok(granted)
}

/// Tasks alive, in one connection and in all of a mesh.
#[derive(Default)]
struct TaskCount {
    own: AtomicUsize,
    parent: Option<Arc<TaskCount>>,
}

impl TaskCount {
    fn get(&self) -> usize {
        self.own.load(Ordering::Acquire)
    }

    fn enter(this: &Arc<Self>) -> AliveTask {
        let mut level = Some(this);
        while let Some(count) = level {
            count.own.fetch_add(1, Ordering::AcqRel);
            level = count.parent.as_ref();
        }
        AliveTask(this.clone())
    }
}

struct AliveTask(Arc<TaskCount>);

impl Drop for AliveTask {
    fn drop(&mut self) {
        let mut level = Some(&self.0);
        while let Some(count) = level {
            count.own.fetch_sub(1, Ordering::AcqRel);
            level = count.parent.as_ref();
        }
    }
}

struct Task(tokio::task::JoinHandle<()>);

impl JoinHandle for Task {
    // A tokio task is detached by dropping its handle, and holding the handle does not cancel it.
    fn detach(&self) {}

    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers_of(socket: &std::net::UdpSocket) -> (usize, usize) {
        let socket = SockRef::from(socket);
        (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap())
    }

    #[tokio::test]
    async fn system_sockets_get_buffers_of_4_mb_as_far_as_the_kernel_grants_them() {
        let own = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = buffers_of(&own);
        SockRef::from(&own).set_recv_buffer_size(4 << 20).unwrap();
        SockRef::from(&own).set_send_buffer_size(4 << 20).unwrap();
        let most = buffers_of(&own);
        assert!(most.0 > before.0 && most.1 > before.1, "the kernel grants nothing: {before:?}, then {most:?}");

        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        // The same socket of the kernel's, to look at it once it has been handed over.
        let window = socket.try_clone().unwrap();
        let mesh = MeshRuntime::new(None);
        assert_eq!(mesh.socket_buffers(), None);
        let socket = mesh.for_connection().wrap_udp_socket(socket).unwrap();
        assert_eq!(buffers_of(&window), most, "{before:?} before");
        let told = mesh.socket_buffers().unwrap();
        assert_eq!((told.receive, told.send), most);
        assert_eq!(socket.local_addr().unwrap(), window.local_addr().unwrap());
    }

    #[tokio::test]
    async fn addresses_are_not_looked_up_whichever_way_they_are_written() {
        let connection = MeshRuntime::new(None).for_connection();
        for (written, address) in [
            ("192.0.2.1:3478", "192.0.2.1:3478"),
            ("[2001:db8::1]:3478", "[2001:db8::1]:3478"),
            ("2001:db8::1:3478", "[2001:db8::1]:3478"),
        ] {
            assert_eq!(
                connection.resolve_host(written).await.unwrap(),
                [address.parse::<SocketAddr>().unwrap()],
                "{written}"
            );
        }
    }

    #[tokio::test]
    async fn silence_is_measured_from_the_last_datagram() {
        let mesh = MeshRuntime::new(None);
        let connection = mesh.for_connection();
        assert_eq!(connection.last_received(), None);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = connection.wrap_udp_socket(socket).unwrap();
        let before = tokio::time::Instant::now();
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(b"anything", socket.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from), (&b"anything"[..], other.local_addr().unwrap()));
        assert!(connection.last_received().is_some_and(|at| at >= before));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_counted_and_end_with_the_mesh() {
        let mesh = MeshRuntime::new(None);
        let (one, other) = (mesh.for_connection(), mesh.for_connection());
        for connection in [&one, &one, &other] {
            connection.spawn(Box::pin(std::future::pending()));
        }
        assert_eq!((mesh.live_tasks(), one.live_tasks(), other.live_tasks()), (3, 2, 1));
        one.abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!((mesh.live_tasks(), one.live_tasks()), (1, 0));
        drop(mesh);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(other.live_tasks(), 0);
    }
}
