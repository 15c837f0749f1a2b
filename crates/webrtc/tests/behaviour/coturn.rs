//! A real STUN and TURN server, and a network that sees where datagrams go.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use remotemedia_netsim::filter::{Filter, FilteredSocket};
use remotemedia_webrtc::{DatagramSocket, Network, TurnServer};
use tempfile::TempDir;

/// coturn on a free port of this machine, until it is dropped.
pub(crate) struct Coturn {
    process: Child,
    /// For its files.
    _folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Coturn {
    const USER: &str = "alice";
    const PASSWORD: &str = "secret";

    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Self {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(30) {
            // Free now; if somebody takes it meanwhile coturn ends, and another one is tried.
            let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut coturn = Self::on(port);
            while begin.elapsed() < Duration::from_secs(30) && coturn.process.try_wait().unwrap().is_none() {
                if answers(coturn.address) {
                    return coturn;
                }
            }
        }
        panic!("turnserver does not answer");
    }

    fn on(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let process = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--fingerprint", "--simple-log", "--log-file", "stdout"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--allow-loopback-peers"])
            .args(["--lt-cred-mech", "--realm", "remotemedia.test"])
            .args(["--user", &format!("{}:{}", Self::USER, Self::PASSWORD)])
            .args(["--listening-port", &port.to_string()])
            .arg("--pidfile")
            .arg(folder.path().join("turnserver.pid"))
            .arg("--userdb")
            .arg(folder.path().join("turndb"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("turnserver of coturn is installed by `cargo xtask setup test`");
        Self { process, _folder: folder, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// With its user name and password.
    pub(crate) fn server(&self) -> TurnServer {
        TurnServer {
            urls: vec![format!("turn:{}", self.address)],
            username: Self::USER.into(),
            credential: Self::PASSWORD.into(),
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a STUN binding request is answered within a moment (RFC 8489).
fn answers(server: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut request = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    request[8..12].copy_from_slice(b"test");
    // On loopback a closed port answers too, with an error on the next call.
    let mut answer = [0; 200];
    let received = socket.send_to(&request, server).and_then(|_| socket.recv(&mut answer));
    received.is_ok_and(|len| len >= 20 && answer[..2] == [1, 1] && answer[8..12] == *b"test")
}

/// The system's sockets, behind a firewall that counts what goes elsewhere than to one server.
#[derive(Clone, Debug)]
pub(crate) struct Firewall {
    server: SocketAddr,
    /// Whether it lets nothing else through.
    is_shut: bool,
    elsewhere: Arc<AtomicU64>,
}

impl Firewall {
    /// Lets everything through.
    pub(crate) fn open(server: SocketAddr) -> Self {
        Self { server, is_shut: false, elsewhere: Arc::default() }
    }

    /// Lets through what goes to the server, and what comes from it.
    pub(crate) fn shut(server: SocketAddr) -> Self {
        Self { is_shut: true, ..Self::open(server) }
    }

    /// How often a datagram was to go elsewhere than to the server.
    pub(crate) fn elsewhere(&self) -> u64 {
        self.elsewhere.load(SeqCst)
    }
}

impl Network for Firewall {
    fn wrap(&self, socket: UdpSocket) -> io::Result<Arc<dyn DatagramSocket>> {
        Ok(Arc::new(FilteredSocket::new(socket, self.clone())?))
    }
}

impl Filter for Firewall {
    fn lets_out(&self, to: SocketAddr) -> bool {
        let is_elsewhere = to != self.server;
        self.elsewhere.fetch_add(u64::from(is_elsewhere), SeqCst);
        !(self.is_shut && is_elsewhere)
    }

    fn lets_in(&self, from: SocketAddr) -> bool {
        !self.is_shut || from == self.server
    }
}
