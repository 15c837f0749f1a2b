//! Transports on an emulated network, and the media they are given.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use remotemedia_codecs::test_media::{Clip, draw_number, read_number};
use remotemedia_netsim::{
    link::LinkConfig,
    virt::{Host, VirtualNetwork, VirtualSignaler, VirtualSignaling},
};
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData, VideoFrame};
use remotemedia_signaling::state::StateConfig;
use remotemedia_webrtc::{Environment, SharedSignaler, VideoCodec, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, timeout, timeout_at};

/// From a host to the middle of the network; nothing is added on the way from there.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(10);

/// The time between two pictures.
pub(crate) const PICTURE: Duration = Duration::from_millis(40);

/// The size of the pictures that tests send.
pub(crate) const SIZE: (u32, u32) = (320, 180);

pub(crate) struct World {
    network: VirtualNetwork,
    signaling: VirtualSignaling,
    link: LinkConfig,
    hosts: Mutex<HashMap<String, Host>>,
}

impl World {
    /// Every host's way up is `link`.
    pub(crate) fn new(network: VirtualNetwork, link: LinkConfig) -> Self {
        let signaling = VirtualSignaling::new(1, StateConfig::default(), ONE_WAY);
        Self { network, signaling, link, hosts: Mutex::default() }
    }

    /// A network that only takes time.
    pub(crate) fn clean(network: VirtualNetwork) -> Self {
        Self::new(network, LinkConfig::with_delay(ONE_WAY))
    }

    /// A transport that runs, with small pictures in VP8.
    pub(crate) async fn join(&self, name: &str) -> WebRtcTransport {
        self.join_with(name, |_| {}).await
    }

    /// A transport that runs, with what `change` sets otherwise.
    pub(crate) async fn join_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut WebRtcTransportConfig),
    ) -> WebRtcTransport {
        let transport = self.transport(name, change).await;
        transport.start().await.unwrap();
        transport
    }

    /// As [`World::join_with`], in an environment that `adapt` changes.
    pub(crate) async fn join_in(
        &self,
        name: &str,
        change: impl FnOnce(&mut WebRtcTransportConfig),
        adapt: impl FnOnce(&mut Environment),
    ) -> WebRtcTransport {
        let transport = self.transport_in(name, change, adapt).await;
        transport.start().await.unwrap();
        transport
    }

    /// What the transport of that name runs on.
    pub(crate) fn host(&self, name: &str) -> Host {
        self.hosts.lock()[name].clone()
    }

    /// A peer that is in the room and never answers.
    pub(crate) async fn register(&self, name: &str) -> Arc<VirtualSignaler> {
        self.signaling.join(name.parse().unwrap()).await.unwrap()
    }

    /// A transport that was not started.
    pub(crate) async fn transport(
        &self,
        name: &str,
        change: impl FnOnce(&mut WebRtcTransportConfig),
    ) -> WebRtcTransport {
        self.transport_in(name, change, |_| {}).await
    }

    async fn transport_in(
        &self,
        name: &str,
        change: impl FnOnce(&mut WebRtcTransportConfig),
        adapt: impl FnOnce(&mut Environment),
    ) -> WebRtcTransport {
        let host = self.network.add_host(self.link.clone(), LinkConfig::default());
        let address: IpAddr = host.address();
        self.hosts.lock().insert(name.to_owned(), host);
        let signaler = self.signaling.join(name.parse().unwrap()).await.unwrap();
        let mut config = WebRtcTransportConfig {
            peer_id: name.into(),
            stun_servers: vec![],
            local_addresses: vec![address],
            video_codec: VideoCodec::vp8().size(SIZE.0, SIZE.1).bitrate_kbps(400),
            ..Default::default()
        };
        change(&mut config);
        let mut environment = Environment {
            signaler: Some(SharedSignaler(signaler)),
            network: Some(Arc::new(self.network.clone())),
            inline_codecs: true,
            nodes: None,
        };
        adapt(&mut environment);
        WebRtcTransport::with_environment(config, environment).unwrap()
    }
}

/// A picture with `number` drawn into it.
pub(crate) fn picture(clip: &Clip, number: u16) -> VideoFrame {
    draw_number(&clip.frame(number.into()), number).unwrap()
}

/// The clip that tests show.
pub(crate) fn clip() -> Clip {
    Clip::new(5, SIZE.0, SIZE.1)
}

/// A picture of `peer`, which must come before `patience` is over.
pub(crate) async fn see(viewer: &WebRtcTransport, peer: &str, patience: Duration) -> Arc<VideoFrame> {
    match timeout(patience, viewer.recv_video(peer)).await {
        Ok(frame) => frame.unwrap().expect("a picture of a connected peer"),
        Err(_) => panic!("{} saw no picture of {peer} within {patience:?}", viewer.peer_id()),
    }
}

/// Every picture of `peer` until `end`, with the number in it and when it came.
pub(crate) async fn watch(viewer: &WebRtcTransport, peer: &str, end: Instant) -> Vec<(u16, Instant, Arc<VideoFrame>)> {
    let mut seen = Vec::new();
    while let Ok(frame) = timeout_at(end, viewer.recv_video(peer)).await {
        let Some(frame) = frame.unwrap() else { break };
        if let Some(number) = read_number(&frame).unwrap() {
            seen.push((number, Instant::now(), frame));
        }
    }
    seen
}

/// All audio of `peer` until `end`, interleaved.
pub(crate) async fn listen(listener: &WebRtcTransport, peer: &str, end: Instant) -> Vec<f32> {
    let mut heard = Vec::new();
    while let Ok(frame) = timeout_at(end, listener.recv_audio(peer)).await {
        let Some(frame) = frame.unwrap() else { break };
        heard.extend_from_slice(frame.samples());
    }
    heard
}

/// `len` samples per channel of a 440 Hz tone from sample number `start` on, each channel as loud as `levels` says.
pub(crate) fn tone(rate: u32, start: usize, len: usize, levels: &[f32]) -> RuntimeData {
    let sample = |n: usize| (n as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin();
    let samples: Vec<f32> = (start..start + len).flat_map(|n| levels.iter().map(move |l| l * sample(n))).collect();
    RuntimeData::from(AudioFrame::new(samples, rate, levels.len() as u16).unwrap())
}

/// Root mean square.
pub(crate) fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
