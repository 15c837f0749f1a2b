use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use remotemedia_media::Bitrate;
use rtc::{
    media_stream::MediaStreamTrack,
    peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8, MediaEngine},
    rtcp::{payload_feedbacks::picture_loss_indication::PictureLossIndication, receiver_report::ReceiverReport},
    rtp,
    rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind},
};
use tokio::time::{Instant, sleep, sleep_until};
use webrtc::media_stream::{
    track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
    track_remote::{TrackRemote, TrackRemoteEvent},
};

use super::{
    MeshRuntime, WireConfig, WireEvent, WireShared, build_registry,
    test_net::{LossyNetwork, Peer, in_virtual_time, negotiate},
};

const VIDEO: u32 = 1_001;
const AUDIO: u32 = 2_002;

/// A sender and a receiver of audio and video.
struct Call {
    network: Arc<LossyNetwork>,
    mesh: MeshRuntime,
    sender: Peer,
    receiver: Peer,
    sent: Arc<WireShared>,
    received: Arc<WireShared>,
    video: Arc<TrackLocalStaticRTP>,
    audio: Arc<TrackLocalStaticRTP>,
    video_type: u8,
    audio_type: u8,
    audio_packets: std::sync::atomic::AtomicU16,
    /// Sequence numbers of video packets that arrived, in order of arrival, and when they did.
    arrived: Arc<Mutex<Vec<(u16, Instant)>>>,
    remote: Arc<Mutex<Option<Arc<dyn TrackRemote>>>>,
}

fn config() -> WireConfig {
    WireConfig { min: Bitrate::from_kbps(50), start: Bitrate::from_kbps(600), max: Bitrate::from_kbps(4_000) }
}

fn track(ssrc: u32, kind: RtpCodecKind, codec: RTCRtpCodec) -> Arc<TrackLocalStaticRTP> {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
        codec,
        active: true,
        ..Default::default()
    };
    let name = ssrc.to_string();
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(name.clone(), name.clone(), name, kind, vec![encoding])))
}

async fn peer(mesh: &MeshRuntime, shared: &Arc<WireShared>) -> Peer {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    let registry = build_registry(&mut engine, shared).unwrap();
    Peer::new(mesh, |p| p.with_media_engine(engine).with_interceptor_registry(registry)).await
}

impl Call {
    async fn new(seed: u64) -> Self {
        let network = LossyNetwork::new(seed, Duration::from_millis(20), 0.0);
        let mesh = MeshRuntime::new(Some(network.clone()));
        let (sent, received) = (WireShared::new(&config()), WireShared::new(&config()));
        let (mut sender, mut receiver) = (peer(&mesh, &sent).await, peer(&mesh, &received).await);
        let codec = |mime: &str, clock_rate, channels| RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate,
            channels,
            ..Default::default()
        };
        let video = track(VIDEO, RtpCodecKind::Video, codec(MIME_TYPE_VP8, 90_000, 0));
        let audio = track(AUDIO, RtpCodecKind::Audio, codec(MIME_TYPE_OPUS, 48_000, 2));
        let video_sender = sender.connection.add_track(video.clone()).await.unwrap();
        let audio_sender = sender.connection.add_track(audio.clone()).await.unwrap();
        negotiate(&mut sender, &mut receiver).await;
        sender.connected().await;
        receiver.connected().await;
        sender.runtime.settle();
        receiver.runtime.settle();
        let payload_type =
            |p: &rtc::rtp_transceiver::rtp_sender::RTCRtpSendParameters| p.rtp_parameters.codecs[0].payload_type;
        let video_type = payload_type(&video_sender.get_parameters().await.unwrap());
        let audio_type = payload_type(&audio_sender.get_parameters().await.unwrap());
        let (arrived, remote) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let (log, slot, mut tracks) = (arrived.clone(), remote.clone(), receiver.tracks());
        tokio::spawn(async move {
            while let Some(track) = tracks.recv().await {
                let (log, slot) = (log.clone(), slot.clone());
                tokio::spawn(async move {
                    while let Some(event) = track.poll().await {
                        if let TrackRemoteEvent::OnRtpPacket(packet) = event
                            && packet.header.ssrc == VIDEO
                        {
                            log.lock().push((packet.header.sequence_number, Instant::now()));
                            slot.lock().get_or_insert_with(|| track.clone());
                        }
                    }
                });
            }
        });
        Self {
            network,
            mesh,
            sender,
            receiver,
            sent,
            received,
            video,
            audio,
            video_type,
            audio_type,
            audio_packets: Default::default(),
            arrived,
            remote,
        }
    }

    /// Sends 30 frames a second at the estimate, and audio, from the packet number on; answers the next number.
    async fn send(&self, length: Duration, first: u16) -> u16 {
        self.send_at(length, first, || self.sent.target()).await
    }

    async fn send_at(&self, length: Duration, first: u16, rate: impl Fn() -> Bitrate) -> u16 {
        let (start, mut sequence, mut frame) = (Instant::now(), first, 0u32);
        while start.elapsed() < length {
            let size = rate().bytes_in(Duration::from_micros(33_333));
            let packets = size.div_ceil(1_150).max(1);
            for i in 0..packets {
                let header = rtp::header::Header {
                    version: 2,
                    marker: i + 1 == packets,
                    payload_type: self.video_type,
                    sequence_number: sequence,
                    timestamp: frame * 3_000 + u32::from(first) * 100,
                    ssrc: VIDEO,
                    ..Default::default()
                };
                let mut payload = BytesMut::from(&[0x10u8, 0][..]);
                payload.put_bytes(frame as u8, size / packets);
                self.video.write_rtp(rtp::Packet { header, payload: payload.freeze() }).await.unwrap();
                sequence = sequence.wrapping_add(1);
            }
            let header = rtp::header::Header {
                version: 2,
                payload_type: self.audio_type,
                sequence_number: self.audio_packets.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                timestamp: frame * 1_600,
                ssrc: AUDIO,
                ..Default::default()
            };
            self.audio.write_rtp(rtp::Packet { header, payload: Bytes::from_static(&[7; 80]) }).await.unwrap();
            frame += 1;
            sleep_until(start + Duration::from_micros(33_333) * frame).await;
        }
        sleep(Duration::from_millis(500)).await;
        sequence
    }

    /// Video packets of `0..end` that never arrived.
    fn missing(&self, end: u16) -> usize {
        let arrived: std::collections::HashSet<u16> = self.arrived.lock().iter().map(|(number, _)| *number).collect();
        (0..end).filter(|n| !arrived.contains(n)).count()
    }

    /// How much later than the first packet behind it each packet arrived that had to be sent again.
    fn repair_times(&self) -> Vec<Duration> {
        let arrived = self.arrived.lock();
        let mut passed: Option<(u16, Instant)> = None;
        let (mut holes, mut times) = (std::collections::HashMap::new(), Vec::new());
        for (number, at) in arrived.iter().copied() {
            match passed {
                Some((newest, _)) if number <= newest => times.extend(holes.remove(&number).map(|since| at - since)),
                Some((newest, _)) => holes.extend((newest + 1..number).map(|hole| (hole, at))),
                None => {}
            }
            passed = passed.filter(|(newest, _)| *newest >= number).or(Some((number, at)));
        }
        times.sort_unstable();
        times
    }

    async fn close(self) {
        let _ = tokio::join!(self.sender.connection.close(), self.receiver.connection.close());
    }
}

#[test]
fn nothing_is_lost_on_a_clean_path_and_every_figure_is_filled() {
    in_virtual_time(async {
        let call = Call::new(1).await;
        let end = call.send(Duration::from_secs(10), 0).await;
        let (sent, received) = (call.sent.stats(), call.received.stats());
        println!("sent {sent:#?}\nreceived {received:#?}");
        assert_eq!(call.missing(end), 0);
        let (out, inn) = (sent.sent[&VIDEO], received.received[&VIDEO]);
        assert_eq!((out.packets, inn.packets), (u64::from(end), u64::from(end)));
        assert_eq!(out.bytes, inn.bytes);
        assert_eq!(sent.pacer_dropped, 0);
        assert_eq!(sent.feedback_lost, 0);
        let rtt = sent.round_trip_time.expect("a round trip was measured");
        assert!((Duration::from_millis(38)..=Duration::from_millis(46)).contains(&rtt), "{rtt:?}");
        assert!(sent.target >= Bitrate::from_kbps(2_000), "the estimate moved: {}", sent.target);
        assert!(sent.feedback_arrived > u64::from(end));
        assert!(sent.pacer_longest_wait <= Duration::from_millis(100), "{:?}", sent.pacer_longest_wait);
        assert!(out.jitter <= Duration::from_millis(50) && out.fraction_lost == 0.0, "{out:?}");
        call.close().await;
    });
}

#[test]
fn every_keyframe_request_arrives_also_behind_a_report() {
    in_virtual_time(async {
        let call = Call::new(2).await;
        call.send(Duration::from_secs(1), 0).await;
        let track = call.remote.lock().clone().expect("video arrived");
        let mut requests = 0;
        for i in 0..5 {
            let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: VIDEO };
            let mut compound: Vec<Box<dyn rtc::rtcp::Packet>> = vec![Box::new(pli)];
            if i % 2 == 1 {
                compound.insert(0, Box::new(ReceiverReport { ssrc: 1, ..Default::default() }));
            }
            track.write_rtcp(compound).await.unwrap();
            let asked =
                async { while call.sent.next_event().await != Some(WireEvent::KeyframeRequested { ssrc: VIDEO }) {} };
            tokio::time::timeout(Duration::from_millis(200), asked).await.expect("the request arrived");
            requests += 1;
        }
        assert_eq!((requests, call.sent.stats().sent[&VIDEO].pli), (5, 5));
        call.close().await;
    });
}

#[test]
fn the_senders_clock_is_told_and_the_events_end_with_the_connection() {
    in_virtual_time(async {
        let call = Call::new(3).await;
        call.send(Duration::from_secs(2), 0).await;
        let received = call.received.clone();
        let mut reports = Vec::new();
        call.close().await;
        while let Some(event) = received.next_event().await {
            if let WireEvent::SenderReport { ssrc, .. } = event {
                reports.push(ssrc);
            }
        }
        reports.sort_unstable();
        assert_eq!(reports, [VIDEO, AUDIO]);
    });
}

#[test]
fn video_survives_a_path_that_loses_a_twentieth() {
    in_virtual_time(async {
        let call = Call::new(4).await;
        let first = call.send(Duration::from_secs(2), 0).await;
        call.network.set_loss(0.05);
        let end = call.send(Duration::from_secs(20), first).await;
        call.network.set_loss(0.0);
        let end = call.send(Duration::from_secs(2), end).await;
        let (sent, received) = (call.sent.stats(), call.received.stats());
        let (missing, out) = (call.missing(end), sent.sent[&VIDEO]);
        println!("of {end} packets {missing} missing, {} lost on the way; {out:?}", call.network.dropped());
        println!("asked for {}; target {}", received.received[&VIDEO].nacked, sent.target);
        let times = call.repair_times();
        let [p50, p95, worst] = [times.len() / 2, times.len() * 95 / 100, times.len() - 1].map(|i| times[i]);
        println!("{} repaired: p50 {p50:?}, p95 {p95:?}, worst {worst:?}", times.len());
        // A round trip of 40 ms, a wait of up to 20 ms for the next request, and once more where that is lost.
        assert!(p50 <= Duration::from_millis(70) && p95 <= Duration::from_millis(140), "{p50:?}, {p95:?}");
        let lost = sent.feedback_lost;
        assert!((lost / 2..lost * 2).contains(&out.retransmitted), "{} sent again for {lost} lost", out.retransmitted);
        assert_eq!(missing, 0, "of {end}");
        assert!(sent.feedback_lost > 0);
        assert!(sent.target >= Bitrate::from_kbps(600), "{}", sent.target);
        call.close().await;
    });
}

#[test]
fn the_estimate_follows_a_bottleneck() {
    in_virtual_time(async {
        let call = Call::new(5).await;
        let mut next = 0;
        let mut targets = Vec::new();
        for rate in [Some(2_500e3), Some(600e3), Some(2_000e3)] {
            call.network.set_rate(rate);
            for _ in 0..3 {
                next = call.send(Duration::from_secs(5), next).await;
                targets.push(call.sent.target().as_kbps());
            }
        }
        println!("target in kbit/s every 5 s at 2500, 600, 2000: {targets:?}");
        assert!((1_500..=2_500).contains(&targets[2]), "{targets:?}");
        assert!((300..=600).contains(&targets[5]), "{targets:?}");
        assert!((1_200..=2_000).contains(&targets[8]), "{targets:?}");
        call.close().await;
    });
}

#[test]
fn a_sender_that_ignores_the_estimate_loses_old_frames_but_no_audio_and_nothing_silently() {
    in_virtual_time(async {
        let call = Call::new(7).await;
        let limit = Bitrate::from_kbps(500);
        call.sent.set_bounds(Bitrate::from_kbps(50), Some(limit), limit);
        let written = call.send_at(Duration::from_secs(10), 0, || Bitrate::from_kbps(3_000)).await;
        let (sent, received) = (call.sent.stats(), call.received.stats());
        println!(
            "{written} packets written, {} sent, {} dropped, {} sent again, {} not, longest wait {:?}",
            sent.sent[&VIDEO].packets,
            sent.pacer_dropped,
            sent.sent[&VIDEO].retransmitted,
            sent.retransmissions_skipped,
            sent.pacer_longest_wait
        );
        assert_eq!(sent.sent[&VIDEO].packets + sent.pacer_dropped, u64::from(written));
        assert_eq!(received.received[&VIDEO].packets, sent.sent[&VIDEO].packets);
        assert!(sent.pacer_dropped > u64::from(written) / 4);
        assert!(sent.pacer_longest_wait <= Duration::from_millis(101), "{:?}", sent.pacer_longest_wait);
        let audio = u64::from(call.audio_packets.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!((sent.sent[&AUDIO].packets, received.received[&AUDIO].packets), (audio, audio));
        let (mut asked, sent_events) = (false, call.sent.clone());
        call.close().await;
        while let Some(event) = sent_events.next_event().await {
            asked |= event == WireEvent::FrameDropped { ssrc: VIDEO };
        }
        assert!(asked, "a dropped frame asks for a keyframe");
    });
}

#[test]
fn a_dropped_mesh_frees_its_tasks() {
    in_virtual_time(async {
        let call = Call::new(6).await;
        call.send(Duration::from_millis(200), 0).await;
        assert!(call.sender.runtime.last_received().is_some_and(|at| at.elapsed() < Duration::from_secs(1)));
        assert!(call.mesh.live_tasks() >= 2);
        let (one, other) = (call.sender.runtime.clone(), call.receiver.runtime.clone());
        drop(call);
        sleep(Duration::from_millis(10)).await;
        assert_eq!((one.live_tasks(), other.live_tasks()), (0, 0));
    });
}
