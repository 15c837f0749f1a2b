//! Meshes in virtual time: hosts, links, and a signaling server that runs the real state machine.

use std::{
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant as WallClock},
};

use bytes::Bytes;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_mesh::{IncomingTrack, Mesh, MeshConfig, MeshEvent, MeshEvents, Signaler, TrackItem};
use remotemedia_netsim::{
    link::{LinkConfig, Loss},
    virt::{Gateway, Host, VirtualNetwork, VirtualSignaler, VirtualSignaling},
};
use remotemedia_rtp::OutgoingPacket;
use remotemedia_signaling::state::StateConfig;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// One way between two hosts.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(10);
/// There and back.
pub(crate) const RTT: Duration = Duration::from_millis(20);

/// A network and a signaling server.
pub(crate) struct World {
    pub(crate) net: VirtualNetwork,
    pub(crate) signaling: VirtualSignaling,
    up: LinkConfig,
}

/// A mesh on a host of its own.
pub(crate) struct Participant {
    pub(crate) id: PeerId,
    pub(crate) mesh: Mesh,
    pub(crate) host: Host,
    pub(crate) signaler: Arc<VirtualSignaler>,
}

impl World {
    /// 10 ms each way between any two hosts, and between a host and the signaling server; `loss` of the datagrams in each
    /// direction.
    pub(crate) fn new(net: VirtualNetwork, loss: f64) -> Self {
        Self::with_path(net, LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(loss)))
    }

    /// `up` from each host to every other, and its delay each way between a host and the signaling server.
    pub(crate) fn with_path(net: VirtualNetwork, up: LinkConfig) -> Self {
        let signaling = VirtualSignaling::new(1, StateConfig::default(), up.delay);
        Self { net, signaling, up }
    }

    /// A started mesh with the default configuration.
    pub(crate) async fn join(&self, name: &str) -> Participant {
        self.join_with(name, |_| ()).await
    }

    pub(crate) async fn join_with(&self, name: &str, change: impl FnOnce(&mut MeshConfig)) -> Participant {
        let host = self.net.add_host(self.up.clone(), LinkConfig::default());
        self.join_on(host, name, change).await
    }

    /// Behind an address translator.
    pub(crate) async fn join_behind(
        &self,
        gateway: &Gateway,
        name: &str,
        change: impl FnOnce(&mut MeshConfig),
    ) -> Participant {
        let host = gateway.add_host(self.up.clone(), LinkConfig::default());
        self.join_on(host, name, change).await
    }

    /// Alice and bob, connected, as both of them know.
    pub(crate) async fn call(&self) -> (Participant, Participant) {
        let (alice, bob) = (self.join("alice").await, self.join("bob").await);
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        (alice, bob)
    }

    async fn join_on(&self, host: Host, name: &str, change: impl FnOnce(&mut MeshConfig)) -> Participant {
        self.join_through(host, name, change, |signaler| signaler).await
    }

    /// With signaling that `wrap` has put something in front of.
    pub(crate) async fn join_through<S: Signaler>(
        &self,
        host: Host,
        name: &str,
        change: impl FnOnce(&mut MeshConfig),
        wrap: impl FnOnce(Arc<VirtualSignaler>) -> Arc<S>,
    ) -> Participant {
        let id = id(name);
        let signaler = self.signaling.join(id.clone()).await.unwrap();
        let mut config = MeshConfig::new(id.clone());
        config.bind = vec![(host.address(), 0).into()];
        change(&mut config);
        let mesh = Mesh::with_network(config, wrap(signaler.clone()), Arc::new(self.net.clone())).unwrap();
        mesh.start().await;
        Participant { id, mesh, host, signaler }
    }
}

pub(crate) fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// Waits for something, an hour of virtual time at most.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3_600), future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// The next event that satisfies `wanted`.
pub(crate) async fn event(events: &mut MeshEvents, wanted: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
    soon("an event", async {
        loop {
            let event = events.next().await.expect("the mesh is alive");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// Waits until `from` counts `to` as connected.
pub(crate) async fn sees(from: &Participant, to: &Participant) {
    soon("connected on both sides", async {
        while !from.mesh.peers().iter().any(|status| status.peer == to.id) {
            sleep(MS).await;
        }
    })
    .await;
}

/// A packet of 20 ms of sound, as long as Opus makes it at 32 kbit/s, that carries its number.
pub(crate) fn opus(number: u32) -> OutgoingPacket {
    let mut payload = vec![0x55; 80];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    OutgoingPacket { timestamp: RtpTimestamp(number.wrapping_mul(960)), marker: false, payload: Bytes::from(payload) }
}

/// Sends a packet each 20 ms to every peer for `duration`, whether they are connected or not. Answers how many it sent
/// to each.
pub(crate) async fn talk(mesh: Mesh, to: Vec<PeerId>, duration: Duration) -> u32 {
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < duration {
        for peer in &to {
            // Not connected for a while is part of some tests.
            let _ = mesh.send_media(peer, Codec::Opus, &[opus(number)], false);
        }
        number += 1;
        sleep(MS * 20).await;
    }
    number
}

/// What arrived on the audio tracks from one peer.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub packets: u32,
    pub last: Option<u32>,
    pub last_at: Option<std::time::Instant>,
    /// The longest time between the arrivals of two packets.
    pub longest_gap: Duration,
}

/// Reads a track until `duration` is over.
pub(crate) async fn listen(track: &mut IncomingTrack, duration: Duration, heard: &mut Heard) {
    let end = Instant::now() + duration;
    while let Ok(Some(item)) = tokio::time::timeout_at(end, track.recv()).await {
        let TrackItem::Packet { packet, .. } = item else { continue };
        let number = u32::from_be_bytes(packet.payload[..4].try_into().unwrap());
        let gap = heard.last_at.map_or(Duration::ZERO, |last| packet.arrival - last);
        heard.longest_gap = heard.longest_gap.max(gap);
        (heard.packets, heard.last, heard.last_at) = (heard.packets + 1, Some(number), Some(packet.arrival));
    }
}

/// The next audio track that the mesh is handed.
pub(crate) async fn audio_track(mesh: &Mesh) -> IncomingTrack {
    soon("an audio track", async {
        loop {
            let track = mesh.next_track().await.expect("the mesh is alive");
            if track.kind() == MediaKind::Audio {
                return track;
            }
        }
    })
    .await
}

/// Sends sound both ways until ten packets have come through each way.
pub(crate) async fn media_both_ways(a: &Participant, b: &Participant) {
    let ten = |mesh: Mesh| async move {
        let mut track = audio_track(&mesh).await;
        let mut packets = 0;
        while packets < 10 {
            packets += u32::from(matches!(track.recv().await, Some(TrackItem::Packet { .. })));
        }
        track
    };
    let talk_a = tokio::spawn(talk(a.mesh.clone(), vec![b.id.clone()], SECOND * 60));
    let talk_b = tokio::spawn(talk(b.mesh.clone(), vec![a.id.clone()], SECOND * 60));
    soon("media both ways", async { tokio::join!(ten(a.mesh.clone()), ten(b.mesh.clone())) }).await;
    talk_a.abort();
    talk_b.abort();
}

/// The given share of the sorted values lies at or below the answer.
pub(crate) fn percentile<T: Ord + Copy>(values: &mut [T], share: f64) -> T {
    values.sort();
    let index = (values.len() as f64 * share).ceil() as usize;
    values[index.clamp(1, values.len()) - 1]
}

/// Prints how long the tests of this program have taken so far, by the wall clock.
pub(crate) fn report(what: &str) {
    let first = with_tests(|tests| tests.first);
    eprintln!(
        "{what}; {:.1} s of real time since the first test began",
        first.map_or(0.0, |at| at.elapsed().as_secs_f64())
    );
}

/// The tests of this program.
struct Tests {
    first: Option<WallClock>,
    running: u32,
    ended: u32,
}

fn with_tests<T>(look: impl FnOnce(&mut Tests) -> T) -> T {
    static TESTS: Mutex<Tests> = Mutex::new(Tests { first: None, running: 0, ended: 0 });
    look(&mut TESTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A test that runs, from its beginning to its end.
#[must_use]
pub(crate) struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        let total = with_tests(|tests| {
            (tests.running, tests.ended) = (tests.running - 1, tests.ended + 1);
            let first = tests.first.filter(|_| tests.running == 0)?;
            Some((tests.ended, first.elapsed().as_secs_f64()))
        });
        // Whatever runs tests hides what passing ones print with macros, and tells nobody that it is about to end: the
        // total is told past it, when no test is left or, at times, in the moment before the next one begins.
        if let Some((ended, seconds)) = total {
            let _ = writeln!(std::io::stderr(), "virtual time: {ended} tests in {seconds:.1} s of real time");
        }
    }
}

/// Call at the beginning of every test, and keep the answer until its end.
pub(crate) fn begun() -> Running {
    with_tests(|tests| {
        tests.first.get_or_insert_with(WallClock::now);
        tests.running += 1;
    });
    if std::env::var_os("RUST_LOG").is_some() {
        // A second test finds it set.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
    }
    Running(())
}
